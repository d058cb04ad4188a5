"""CPU a request and requests a second of `overnight run`, beside a bare loop, in one run.

By hand: `python tests/bench/throughput.py [--jobs 20000] [--rounds 3] [--latency 0] [-j 128]`.
Client and server are pinned to a core each. CPU is that of the whole process as the kernel counts
it; the start is taken off by a run of 100 jobs. Machines are noisy: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SMALL = 100


def write_jobs(path: Path, count: int) -> Path:
    """A job file of `count` short prompts."""
    with path.open("w") as file:
        for number in range(count):
            prompt = f"Say the number {number} in words, then name one thing that it counts."
            file.write(json.dumps({"id": f"job-{number}", "prompt": prompt}) + "\n")
    return path


def measured(command: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in MB of a command on core 0."""
    started = time.perf_counter()
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}: {errors.decode()}")
    wall = time.perf_counter() - started
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def overnight(jobs: Path, url: str, concurrency: int) -> list[str]:
    """The real command with everything on."""
    output = jobs.with_name(f"{time.monotonic_ns()}.results.jsonl")
    return [
        *(sys.executable, "-m", "batch", "run", str(jobs), "-o", str(output)),
        *("--provider", "openai", "-m", "m", "--base-url", url, "-j", str(concurrency)),
    ]


def bare(jobs: Path, url: str, concurrency: int) -> list[str]:
    """The bare loop."""
    return [sys.executable, str(HERE / "bare.py"), str(jobs), url, str(concurrency)]


def main() -> None:
    """Print a table: both clients, medians, ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", default="0")
    parser.add_argument("-j", "--concurrency", type=int, default=128)
    options = parser.parse_args()
    server = subprocess.Popen(
        [
            *("taskset", "-c", "1", sys.executable, str(HERE.parent / "server.py")),
            *("--latency", options.latency, "--port", "0"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    url = server.stdout.readline().strip()
    with tempfile.TemporaryDirectory() as folder:
        many = write_jobs(Path(folder) / "many.jsonl", options.jobs)
        few = write_jobs(Path(folder) / "few.jsonl", SMALL)
        rows: dict[str, list[tuple[float, float, float]]] = {"overnight": [], "bare": []}
        for _ in range(options.rounds):
            for name, client in (("overnight", overnight), ("bare", bare)):
                start = measured(client(few, url, options.concurrency))
                whole = measured(client(many, url, options.concurrency))
                count = options.jobs - SMALL
                wall, cpu = whole[0] - start[0], whole[1] - start[1]
                rows[name].append((count / wall, cpu / count * 1e6, whole[2]))
    server.stdin.close()
    server.wait()
    print(f"{options.jobs} jobs, {options.concurrency} in flight, latency {options.latency} s")
    print(f"{'client':<12}{'requests/s':>12}{'CPU µs/request':>16}{'peak MB':>10}")
    for name, values in rows.items():
        rate, cpu, memory = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name:<12}{rate:>12,.0f}{cpu:>16.0f}{memory:>10.0f}")
    ratios = [a[1] / b[1] for a, b in zip(rows["overnight"], rows["bare"], strict=True)]
    rounds = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"CPU ratio: {statistics.median(ratios):.2f} (rounds {rounds})")


if __name__ == "__main__":
    main()
