"""What `--hedge` does where one answer of a hundred takes a hundred times as long.

By hand: `python tests/bench/tail.py [--jobs 2000] [-j 32] [--seeds 5] [--sockets]`. The runs are
in virtual time, with the real runner and lane; `--sockets` adds one over real sockets to the
loopback server, ten times faster. Extra requests are those beyond one a job.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from clock import VirtualLoop, now
from rehearsal import Night, jobs

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


def run(options: argparse.Namespace, share: float, seed: int, hedged: bool) -> tuple[float, ...]:
    """Seconds of a run, seconds from its last job but one of a hundred to the end, requests."""

    async def night() -> tuple[float, ...]:
        client = Uneven(share, seed)
        night = Night(client=client, concurrency=options.concurrency, rpm=options.rpm)
        if hedged:
            night.route.completer = Hedge(client, night.lane)
        await night.run(jobs(options.jobs))
        assert night.tally.answered == options.jobs
        return now(), client.asked - options.jobs

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(night())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("-j", "--concurrency", type=int, default=32)
    parser.add_argument("--rpm", type=float)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.jobs} jobs, {options.concurrency} in flight, {FAST} s or {SLOW} s an answer")
    print(f"{'slow':>6}{'without':>10}{'--hedge':>10}{'extra requests':>16}")
    for share in (0.0, 0.005, 0.01, 0.02):
        rows = [
            (*run(options, share, seed, hedged=False), *run(options, share, seed, hedged=True))
            for seed in range(options.seeds)
        ]
        plain, _, hedge, extra = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{share:>6.1%}{plain:>8.0f} s{hedge:>8.0f} s{extra / options.jobs:>15.1%}")


if __name__ == "__main__":
    main()
