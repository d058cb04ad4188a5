"""Numbers drawn: histograms as bars of an SVG, and how answers begin."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from msgspec import Struct

BARS = 24
HEIGHT = 56.0
"""Units of the drawing; a bar is one unit wide."""

FIRST_WORDS = 3
MOST_BEGINNINGS = 6


class Bar(Struct, frozen=True):
    """One bar of a histogram."""

    x: int
    height: float
    label: str

    @property
    def y(self) -> float:
        """Where the bar begins, from the top."""
        return round(HEIGHT - self.height, 2)


class Histogram(Struct, frozen=True):
    """How often which size occurs."""

    title: str
    bars: list[Bar]
    width: int
    """Bars from the first to the last, empty ones too."""
    low: str
    middle: str
    high: str


class Beginning(Struct, frozen=True):
    """Words that several answers begin with."""

    words: str
    number: int
    share: float
    """Of all answers, in hundredths."""


def histogram(
    title: str, numbers: Sequence[float], written: Callable[[float], str], *, whole: bool
) -> Histogram | None:
    """The histogram of some numbers; None for fewer than two different ones.

    What is beyond the 99th percentile stands in the last bar, so that one straggler does not press
    all others into the first. `whole` numbers get bars of whole width.
    """
    ordered = sorted(numbers)
    if not ordered or ordered[0] == ordered[-1]:
        return None
    low, top = ordered[0], ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.99) - 1)]
    if top == low:
        top = ordered[-1]
    step = (top - low) / BARS
    if whole:
        step = max(1, math.ceil((top - low + 1) / BARS))
    counts = Counter(min(BARS - 1, int((number - low) / step)) for number in ordered)
    most = max(counts.values())
    last = max(counts)
    bars = []
    for at, number in sorted(counts.items()):
        start, end = low + at * step, low + (at + 1) * step - whole
        span = written(start) if start == end else f"{written(start)} to {written(end)}"
        if at == BARS - 1 and ordered[-1] > top:
            span = f"{written(start)} and more"
        bars.append(Bar(at, round(max(1.0, HEIGHT * number / most), 2), f"{span}: {number:,}"))
    high = written(ordered[-1]) if ordered[-1] <= top else f"{written(low + last * step)} and more"
    middle = f"median {written(median(ordered))}"
    return Histogram(title, bars, last + 1, written(low), middle, high)


def beginnings(texts: Iterable[str]) -> list[Beginning]:
    """The most frequent first words of answers that are longer than those, the first first."""
    counts: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    total = 0
    for text in texts:
        words = text.split(None, FIRST_WORDS)
        if len(words) <= FIRST_WORDS:
            continue
        total += 1
        first = " ".join(words[:FIRST_WORDS])
        counts[first.casefold()] += 1
        spelled.setdefault(first.casefold(), first)
    return [
        Beginning(spelled[first], number, round(100 * number / total, 1))
        for first, number in counts.most_common(MOST_BEGINNINGS)
        if number > 1
    ]
