"""The numbers of a run, as plain counters that cost next to nothing to move."""

from __future__ import annotations

import heapq
import math
from collections import Counter

from .models import Result

FINEST = 0.0005
"""Seconds; latencies below are told as this."""

STEP = math.log(1.05)
"""Width of a bucket: 5 %, so that its middle is at most 2.5 % away."""


class Latencies:
    """A histogram with buckets 5 % wide: percentiles of any number of values in bounded memory."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._count = 0

    def add(self, seconds: float) -> None:
        """Count one latency."""
        self._buckets[int(math.log(max(seconds, FINEST) / FINEST) / STEP)] += 1
        self._count += 1

    def percentile(self, share: float) -> float | None:
        """The latency (seconds, ± 2.5 %) that `share` of the values do not exceed."""
        rank = math.ceil(self._count * share)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return float(f"{FINEST * math.exp((bucket + 0.5) * STEP):.5g}")
        return None


class Tally:
    """What this run has done so far."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.retries = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.unknown_usage = 0
        self.cost = 0.0
        self.latencies = Latencies()
        self.failures: Counter[str] = Counter()
        self.slowest: list[tuple[float, str]] = []
        """The three slowest jobs as (seconds, id), a heap."""

    def count(self, result: Result) -> None:
        """Count an answer that is in the file."""
        self.answered += 1
        self.input_tokens += result.input_tokens or 0
        self.output_tokens += result.output_tokens or 0
        self.unknown_usage += result.output_tokens is None
        self.cost += result.cost_usd or 0.0
        self.latencies.add(result.latency_s)
        slow = (result.latency_s, result.id)
        if len(self.slowest) < 3:
            heapq.heappush(self.slowest, slow)
        elif slow > self.slowest[0]:
            heapq.heapreplace(self.slowest, slow)

    def count_failed(self, code: str) -> None:
        """Count a job that ended without an answer."""
        self.failed += 1
        self.failures[code] += 1
