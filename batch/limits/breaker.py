"""Notices that a provider is away."""

from __future__ import annotations

TROUBLES = 8
"""Transport errors, timeouts or 5xx in a row that say: not this job, the provider is away."""

FIRST_PROBE = 5.0
LONGEST_PROBE = 120.0
"""Seconds between two looks at a provider that is away: doubling from the first to the longest."""


def doubled(first: float, times: int, longest: float) -> float:
    """`first` · 2^(`times` − 1), at most `longest`: also after a week of doubling."""
    return min(longest, first * 2.0 ** min(times - 1, 60))


class Breaker:
    """Notices that the provider is away, and says when to look again.

    `threshold` is the number of errors in a row that it takes.
    """

    def __init__(self, threshold: int = TROUBLES) -> None:
        self._threshold = threshold
        self.openings = 0
        """How often it opened."""
        self.troubles = 0
        """Errors in a row."""
        self._probes = 0

    def __repr__(self) -> str:
        return f"Breaker(troubles={self.troubles}, probes={self._probes})"

    @property
    def is_open(self) -> bool:
        """Whether the provider counts as away."""
        return self.troubles >= self._threshold

    def answered(self) -> None:
        """The provider is there."""
        self.troubles = self._probes = 0

    def troubled(self) -> None:
        """One more error in a row."""
        self.troubles += 1
        self.openings += self.troubles == self._threshold

    def next_probe(self) -> float:
        """Seconds until the provider is looked at again."""
        self._probes += 1
        return doubled(FIRST_PROBE, self._probes, LONGEST_PROBE)
