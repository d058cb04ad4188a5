"""Memory and time a job as the number of jobs grows, with the `fake` provider.

By hand: `python tests/bench/scale.py [--jobs 2000 200000] [--rerun]`. Prints peak memory, seconds
and microseconds a job for each size, for the run and for the run again that finds all done.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from throughput import write_jobs


def measured(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of a command that must succeed."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[2_000, 200_000])
    options = parser.parse_args()
    print(f"{'jobs':>10}{'':>8}{'seconds':>9}{'µs a job':>10}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for count in options.jobs:
            jobs = write_jobs(Path(folder) / f"jobs-{count}.jsonl", count)
            command = [sys.executable, "-m", "batch", "run", str(jobs), "--provider", "fake"]
            for which in ("run", "again"):
                seconds, memory = measured([*command, "-j", "128", "--progress", "none"])
                each = seconds / count * 1e6
                print(f"{count:>10,}{which:>8}{seconds:>9.2f}{each:>10.1f}{memory:>9.1f}")


if __name__ == "__main__":
    main()
