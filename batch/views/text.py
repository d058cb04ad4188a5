"""How numbers and names are written for people."""

from __future__ import annotations

from collections.abc import Sequence

from ..printable import printable

BARS = "▁▂▃▄▅▆▇█"


def clean(text: str) -> str:
    """The text without what could steer a terminal; newlines stay."""
    return printable(text, keep="\n")


def duration(seconds: float) -> str:
    """Seconds as people say them: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def latency(seconds: float) -> str:
    """Seconds to three digits: `0.213 s`, `3.21 s`, then as `duration`."""
    if seconds >= 10:
        return duration(seconds)
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds:.3f} s"


def count(number: int, noun: str, nouns: str = "") -> str:
    """`1 job`, `2,000 jobs`; `nouns` where an s is not enough."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {nouns or noun + 's'}"


def codes(failures: dict[str, int]) -> str:
    """Failure codes with their numbers, the most frequent first."""
    ordered = sorted(failures.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{code} {number:,}" for code, number in ordered)


def spark(numbers: Sequence[float]) -> str:
    """Numbers over time as a line of bars, at most 24 of them."""
    step = -(-len(numbers) // 24) or 1
    shown = [max(numbers[at : at + step]) for at in range(0, len(numbers), step)]
    most = max(shown, default=0) or 1
    return "".join(BARS[round(number / most * (len(BARS) - 1))] for number in shown)
