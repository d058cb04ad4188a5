"""How long a server asks to wait: every form that is met in the wild, and the hostile ones."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 366 * 86_400.0
"""Seconds; more than a year is no promise that anyone keeps."""

RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,9}(?:\.\d{1,9})?)s"')


def retry_after(headers: Mapping[str, str], body: bytes = b"") -> float | None:
    """Seconds to wait, or None when nothing usable is said.

    Order: `retry-after-ms` → `retry-after` as seconds → as an HTTP date (against the server's own
    `Date`, so that a wrong clock here does no harm) → Gemini's `retryDelay` in the body.
    """
    milliseconds = usable(headers.get("retry-after-ms"), 0.001)
    if milliseconds is not None:
        return milliseconds
    value = headers.get("retry-after")
    seconds = usable(value)
    if seconds is None and value:
        seconds = seconds_until(value, headers.get("date"))
    if seconds is None and (found := RETRY_DELAY.search(body)):
        seconds = usable(found[1].decode())
    return seconds


def usable(text: str | None, unit: float = 1.0) -> float | None:
    """A positive finite number of seconds, at most `LONGEST`; anything else counts as absent."""
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(seconds, LONGEST)


def seconds_until(date: str, now: str | None) -> float | None:
    """Seconds from `now` (the server's clock, else ours) to an HTTP date; None when it is past."""
    try:
        then = parsedate_to_datetime(date)
        start = parsedate_to_datetime(now) if now else datetime.now(UTC)
        return usable(str((then - start).total_seconds()))
    except (ValueError, TypeError, OverflowError):
        return None
