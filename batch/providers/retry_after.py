"""How long a server asks to wait: every form that is met in the wild, and the hostile ones."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = 366 * 86_400.0
"""Seconds; more than a year is no promise that anyone keeps."""

RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,9}(?:\.\d{1,9})?)s"')
DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)")
EPOCH = re.compile(r"[1-9]\d{9}(?:\d{3})?(?:\.\d{1,9})?")
"""A moment from 2001 on, in seconds or (with three digits more) in milliseconds."""
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def retry_after(headers: Mapping[str, str], body: bytes = b"") -> float | None:
    """Seconds to wait, or None when nothing usable is said.

    Order: `retry-after-ms` → `retry-after` as seconds → as an HTTP date (against the server's own
    `Date`, so that a wrong clock here does no harm) → Gemini's `retryDelay` in the body → the
    reset of a bucket of which nothing is left.
    """
    milliseconds = seconds_of(headers.get("retry-after-ms"), 0.001)
    if milliseconds is not None:
        return milliseconds
    value = headers.get("retry-after")
    seconds = seconds_of(value)
    if seconds is None and value:
        seconds = seconds_until(value, headers)
    if seconds is None and (found := RETRY_DELAY.search(body)):
        seconds = seconds_of(found[1].decode())
    return bucket_reset(headers) if seconds is None else seconds


def clock_time(wait: float) -> str:
    """The minute in `wait` seconds, on the clock of this machine's wall."""
    return f"{datetime.now().astimezone() + timedelta(seconds=wait):%Y-%m-%d %H:%M}"


def bucket_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until the last of the empty buckets is filled again; None when none is empty.

    `x-ratelimit-remaining-requests` has its `x-ratelimit-reset-requests` (a Go duration: `6m0s`),
    `anthropic-ratelimit-tokens-remaining` its `anthropic-ratelimit-tokens-reset` (RFC 3339),
    `x-ratelimit-remaining` its `x-ratelimit-reset` (seconds or a moment of the epoch).
    """
    lower = ((name.lower(), left) for name, left in headers.items())
    waits = [
        seconds_of_reset(
            headers.get(name.replace("remaining", "reset"), ""),
            headers,
            is_plain=name.endswith("ratelimit-remaining"),
        )
        for name, left in lower
        if "ratelimit" in name and "remaining" in name and left.strip() == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def seconds_of_reset(
    reset: str, headers: Mapping[str, str], *, is_plain: bool = False
) -> float | None:
    """Seconds of a Go duration, or until a moment.

    A bare number has a known meaning only in a header without a bucket's name, a plain one:
    seconds, or a moment of the epoch when it is more than a year.
    """
    if reset and not DURATION.sub("", reset):
        return usable(sum(float(count) * UNITS[unit] for count, unit in DURATION.findall(reset)))
    seconds = seconds_of(reset) if is_plain else None
    if seconds is not None and seconds < LONGEST:
        return seconds
    return seconds_until(reset, headers) if is_plain or "T" in reset else None


def seconds_of(text: str | None, unit: float = 1.0) -> float | None:
    """Seconds of a number in some unit of seconds; None when it is no usable one."""
    try:
        return usable(float(text or "") * unit)
    except ValueError:
        return None


def usable(seconds: float) -> float | None:
    """A positive finite number of seconds, at most `LONGEST`; anything else counts as absent."""
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(seconds, LONGEST)


def seconds_until(date: str, headers: Mapping[str, str]) -> float | None:
    """Seconds from the server's `Date` (else our clock) to a moment; None when it is past."""
    try:
        then = moment(date)
        start = moment(headers["date"]) if headers.get("date") else datetime.now(UTC)
        return usable((then - start).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


@functools.lru_cache(maxsize=16)
def moment(text: str) -> datetime:
    """An HTTP date, RFC 3339, or a moment of the epoch in whole seconds or milliseconds.

    Raises `ValueError`, `TypeError` or `OverflowError` for anything else. Remembered, because
    every reply of a second names the same ones, and reading a date takes 10 µs.
    """
    if EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(text[:10]), UTC)
    return datetime.fromisoformat(text) if text[4:5] == "-" else parsedate_to_datetime(text)
