"""What a reply's headers say is left of the provider's limits.

Sources: OpenAI's and Groq's rate limit pages (`x-ratelimit-remaining-requests: 59`, its reset a Go
duration until all is there again), Anthropic's (`anthropic-ratelimit-tokens-remaining`, its reset
RFC 3339), the IETF draft `ratelimit-remaining`, and the plain `x-ratelimit-remaining` of many
gateways, whose reset is seconds or a moment of the epoch (OpenRouter: in milliseconds).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from ..models import Allowance, Bucket
from .retry_after import seconds_of_reset

LONGEST_RESET = 86_400.0
"""Seconds; no limit of a vendor is about more than a day."""
MOST = 1e12
"""Requests or tokens; whoever says that more are left tells no number."""


class Limit(Struct, frozen=True):
    """How one limit is told."""

    kind: str
    """What it counts: a field of `Allowance`."""
    reset: str
    size: str
    """The headers that say when all of it is there again, and how much all is."""
    is_plain: bool
    """A window that begins anew at its end, told in seconds or as a moment."""


HEADERS = (
    ("requests", "x-ratelimit-{}-requests"),
    ("tokens", "x-ratelimit-{}-tokens"),
    ("requests", "anthropic-ratelimit-requests-{}"),
    ("tokens", "anthropic-ratelimit-tokens-{}"),
    ("input_tokens", "anthropic-ratelimit-input-tokens-{}"),
    ("output_tokens", "anthropic-ratelimit-output-tokens-{}"),
    ("requests", "x-ratelimit-{}"),
    ("requests", "ratelimit-{}"),
)
LIMITS = {
    name.format("remaining"): Limit(
        kind, name.format("reset"), name.format("limit"), name.endswith("ratelimit-{}")
    )
    for kind, name in HEADERS
}
"""By the header that says what is left; of two that count the same the first one is taken."""


def allowance_of(headers: Mapping[str, str]) -> Allowance | None:
    """What is still allowed; None when the headers, found by lower-case names, do not say.

    A number that cannot be (negative, NaN, text) and a reset that is past count as not said.
    """
    buckets: dict[str, Bucket] = {}
    for name, limit in LIMITS.items():  # eight look-ups and no more: most servers say nothing
        if name in headers and limit.kind not in buckets:
            bucket = bucket_of(limit, headers[name], headers)
            if bucket is not None:
                buckets[limit.kind] = bucket
    return Allowance(**buckets) if buckets else None


def bucket_of(limit: Limit, remaining: str, headers: Mapping[str, str]) -> Bucket | None:
    """One limit's bucket; None without a usable number and a usable reset."""
    left = number_of(remaining)
    reset = seconds_of_reset(headers.get(limit.reset, ""), headers, is_plain=limit.is_plain)
    if left is None or reset is None:
        return None
    size = None if limit.is_plain else number_of(headers.get(limit.size, ""))
    # The reset is when the bucket is full, so what it lacks comes back evenly until then.
    refill = max(0.0, size - left) / reset if size else 0.0
    return Bucket(left, min(reset, LONGEST_RESET), refill)


def number_of(text: str) -> float | None:
    """A number of requests or tokens; None when it cannot be one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= MOST else None
