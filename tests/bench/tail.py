"""What `--hedge` does where one answer of a hundred takes a hundred times as long.

By hand: `python tests/bench/tail.py [--jobs 2000] [-j 32] [--seeds 5] [--sockets]`. The runs are
in virtual time, with the real runner and lane; `--sockets` measures the command over real sockets
instead, where a slow answer takes 10 s. Extra requests are those beyond one a job.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from clock import VirtualLoop, now
from rehearsal import Night, jobs
from server import Delay, Server
from throughput import overnight, write_jobs

from batch.completers.hedge import Hedge
from batch.models import Reply

FAST, SLOW = 0.3, 30.0
"""Seconds of an answer, give or take a third, and of a slow one."""


class Uneven:
    """Answers that take long now and then, whatever is asked."""

    def __init__(self, share: float, seed: int) -> None:
        self.asked = 0
        self._share = share
        self._random = random.Random(seed)

    async def complete(self, request: object) -> Reply:
        self.asked += 1
        slow = self._random.random() < self._share
        await asyncio.sleep((SLOW if slow else FAST) * self._random.uniform(0.67, 1.33))
        return Reply("yes")


def run(options: argparse.Namespace, share: float, seed: int, *, hedged: bool) -> tuple[float, int]:
    """Seconds of a run, and its requests beyond one a job."""

    async def night() -> tuple[float, int]:
        client = Uneven(share, seed)
        night = Night(client=client, concurrency=options.concurrency, rpm=options.rpm)
        if hedged:
            night.route.completer = Hedge(client, night.lane)
        await night.run(jobs(options.jobs))
        assert night.tally.answered == options.jobs
        return now(), client.asked - options.jobs

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(night())


def over_sockets(options: argparse.Namespace, share: float, *, hedged: bool) -> tuple[float, int]:
    """Seconds of the command against the loopback server, and its requests beyond one a job."""
    slow, dice = Delay(10.0 - FAST), random.Random(1)

    def fault(_: object) -> Delay | None:
        return slow if dice.random() < share else None

    with tempfile.TemporaryDirectory() as folder, Server(latency=FAST, faults=fault) as server:
        path = write_jobs(Path(folder) / "jobs.jsonl", options.jobs)
        command = [*overnight(path, server.url, options.concurrency), *["--hedge"] * hedged]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took = time.perf_counter() - began
    return took, server.arrived - options.jobs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("-j", "--concurrency", type=int, default=32)
    parser.add_argument("--rpm", type=float)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sockets", action="store_true")
    options = parser.parse_args()
    slow = 10.0 if options.sockets else SLOW
    print(f"{options.jobs} jobs, {options.concurrency} in flight, {FAST} s or {slow:g} s an answer")
    print(f"{'slow':>6}{'without':>10}{'--hedge':>10}{'extra requests':>16}")
    for share in (0.0, 0.005, 0.01, 0.02):
        if options.sockets:
            pairs = [[over_sockets(options, share, hedged=hedged) for hedged in (False, True)]]
        else:
            pairs = [
                [run(options, share, seed, hedged=hedged) for hedged in (False, True)]
                for seed in range(options.seeds)
            ]
        rows = [(*plain, *hedged) for plain, hedged in pairs]
        plain, _, hedge, extra = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{share:>6.1%}{plain:>8.0f} s{hedge:>8.0f} s{extra / options.jobs:>15.1%}")


if __name__ == "__main__":
    main()
