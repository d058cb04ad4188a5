"""What a start costs: `--help` beside a bare interpreter and click's import; the first request.

By hand: `python tests/bench/start.py [--rounds 15]`. Prints medians in milliseconds.
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

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from server import Server


def seconds(command: list[str]) -> float:
    """Wall seconds of a command."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def first_request() -> float:
    """Seconds from exec to the arrival of the first request at a server."""
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        jobs = Path(folder) / "jobs.jsonl"
        jobs.write_text(json.dumps({"id": "a", "prompt": "hello"}) + "\n")
        command = [sys.executable, "-m", "batch", "run", str(jobs), "--provider", "openai"]
        started = time.monotonic()
        subprocess.run([*command, "-m", "m", "--base-url", server.url, "-q"], check=True)
        return server.requests[0].at - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import click'": [sys.executable, "-c", "import click"],
        "overnight --help": [str(Path(sys.executable).parent / "overnight"), "--help"],
        "overnight run --help": [str(Path(sys.executable).parent / "overnight"), "run", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(seconds(command))
    times["exec → first request"] = [first_request() for _ in range(rounds)]
    for name, values in times.items():
        print(f"{name:<28}{statistics.median(values) * 1000:>8.0f} ms")


if __name__ == "__main__":
    main()
