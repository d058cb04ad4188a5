"""The numbers of a run, as plain counters that cost next to nothing to move."""

from __future__ import annotations

import heapq
import math
from collections import Counter

from .models import Result, Usage

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
        self.answered_by: Counter[str] = Counter()
        """The answers by the name of the provider that gave them."""
        self.failed = 0
        self.retries = 0
        self.unfit = 0
        """Answers that did not pass the checks; their tokens and cost count too."""
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
        self.answered_by[result.provider] += 1
        self._pay(result.input_tokens, result.output_tokens, result.cost_usd)
        if not result.attempts:
            return  # it was a twin's answer
        self.latencies.add(result.latency_s)
        slow = (result.latency_s, result.id)
        if len(self.slowest) < 3:
            heapq.heappush(self.slowest, slow)
        elif slow > self.slowest[0]:
            heapq.heapreplace(self.slowest, slow)

    def count_unfit(self, usage: Usage, cost: float | None) -> None:
        """Count an answer that is not accepted: it was paid all the same."""
        self.unfit += 1
        self._pay(usage.input_tokens, usage.output_tokens, cost)

    def _pay(self, input_tokens: int | None, output_tokens: int | None, cost: float | None) -> None:
        """Count what an answer took."""
        self.input_tokens += input_tokens or 0
        self.output_tokens += output_tokens or 0
        self.unknown_usage += output_tokens is None
        self.cost += cost or 0.0

    def count_failed(self, code: str) -> None:
        """Count a job that ended without an answer."""
        self.failed += 1
        self.failures[code] += 1
