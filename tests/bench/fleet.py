"""Three equal servers in name: one is ten times slower, one is killed; the time beside the ideal.

By hand: `python tests/bench/fleet.py [--jobs 600] [-j 24] [--latency 0.2] [--rounds 3]`.
Each server serves a third of the concurrency at once, so that its capacity is known: places a
latency. The ideal time is that of jobs that never wait where a server has a free place: what is
left at the kill by the sum of the capacities that are left. The start of the process is not in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from throughput import HERE, write_jobs

SLOWER = 10


def serve(latency: float, places: int) -> subprocess.Popen[str]:
    """A server as a process of its own; its first line is its address."""
    words = ("--latency", str(latency), "--places", str(places))
    return subprocess.Popen(
        [sys.executable, str(HERE.parent / "server.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def lines(path: Path) -> int:
    """The number of results so far."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(path: Path, count: int, run: subprocess.Popen[bytes]) -> float:
    """The moment at which so many results are there."""
    while lines(path) < count:
        if run.poll() is not None:
            raise SystemExit(f"the run ended with {run.returncode}: {run.stderr.read().decode()}")
        time.sleep(0.002)
    return time.perf_counter()


def measured(jobs: Path, count: int, concurrency: int, latency: float) -> tuple[float, float, str]:
    """Seconds of a run, seconds of the ideal one, and the summary's line about the servers."""
    places = concurrency // 3
    servers = [serve(seconds, places) for seconds in (latency, latency * SLOWER, latency)]
    urls = [server.stdout.readline().strip() for server in servers]
    output = jobs.with_name(f"{time.monotonic_ns()}.results.jsonl")
    addresses = [word for url in urls for word in ("--base-url", url)]
    command = [
        *(sys.executable, "-m", "batch", "run", str(jobs), "-o", str(output)),
        *("--provider", "openai", "-m", "m", "-j", str(concurrency), *addresses),
    ]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    started = wait_for(output, 1, run) - latency
    killed = wait_for(output, count // 3, run)
    servers[2].kill()
    told = run.communicate()[1].decode()
    seconds = time.perf_counter() - started
    for server in servers:
        server.communicate()
    ids = {json.loads(line)["id"] for line in output.read_text().splitlines()}
    if run.returncode or len(ids) != count or lines(output) != count:
        raise SystemExit(f"exit {run.returncode}, {len(ids)} of {count} answered:\n{told}")
    fast, slow = places / latency, places / latency / SLOWER
    before = killed - started
    left = count - before * (2 * fast + slow)
    line = next(line for line in told.splitlines() if line.startswith("endpoints: "))
    return seconds, before + left / (fast + slow), line


def main() -> None:
    """Print the rounds and the ratio to the ideal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("-j", "--concurrency", type=int, default=24)
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        jobs = write_jobs(Path(folder) / "jobs.jsonl", options.jobs)
        for _ in range(options.rounds):
            seconds, ideal, line = measured(
                jobs, options.jobs, options.concurrency, options.latency
            )
            ratios.append(seconds / ideal)
            print(f"{seconds:.2f} s, ideal {ideal:.2f} s: {ratios[-1]:.2f} times; {line}")
    print(f"median: {statistics.median(ratios):.2f} times the ideal")


if __name__ == "__main__":
    main()
