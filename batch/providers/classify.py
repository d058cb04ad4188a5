"""From a response to an error: one table, as data, which a provider may override.

Sources: the vendors' error pages and what compatible servers were seen to send (OpenAI, vLLM,
llama.cpp, Ollama, OpenRouter; state of November 2026).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..errors import BatchError, Halt, RateLimited, Rejected, Retryable
from .retry_after import retry_after

MESSAGE_LENGTH = 500

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "enforced_spend_limit_reached",
    }
)
"""Codes or types of an error body that no waiting tonight will mend."""

KEY_CODES = frozenset({"invalid_api_key", "API_KEY_INVALID"})
REFUSAL_CODES = frozenset(
    {"content_filter", "content_policy_violation", "moderation", "image_content_policy_violation"}
)
BUSY_CODES = frozenset(
    {"slow_down", "server_is_overloaded", "RESOURCE_EXHAUSTED", "unavailable_error"}
)

SPENT = re.compile(r"reached your specified .{0,20}usage limits|billing", re.IGNORECASE)
CUT_SHORT = re.compile(r"unexpected end of data", re.IGNORECASE)
BUSY = re.compile(r"maximum pending requests|server busy|loading model", re.IGNORECASE)
THROTTLED = re.compile(
    r"too many requests|(?:rate|request|daily|usage)s? ?limit|limit reached|come back",
    re.IGNORECASE,
)

RATE_STATUSES = frozenset({429, 498})
PASSING_STATUSES = frozenset({408, 409, 425})
TAGS = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^<>]{0,500}>", re.DOTALL)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> BatchError:
    """The error that a response other than 2xx stands for.

    `headers` are looked up in lower case. The message is the server's own words, cut to
    `MESSAGE_LENGTH` characters; the caller takes keys out of it.
    """
    if 300 <= status < 400:
        host = urlsplit(headers.get("location", "")).netloc or "another place"
        return Halt(f"the server redirects to {host} (HTTP {status}): is the base URL right?")
    words, codes = error_words(body)
    message = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    wait = retry_after(headers, body)
    final = stop_reason(status, codes, words, wait)
    if final:
        return Halt(f"{final} ({message})")
    should_retry = headers.get("x-should-retry")
    busy = status == 503 and bool(codes & BUSY_CODES or BUSY.search(words))
    cdn = status == 403 and is_html(body)
    if status in RATE_STATUSES or busy or cdn or status == 402:
        return RateLimited(message, "rate_limited", status, wait)
    if should_retry == "true" or (
        should_retry != "false"
        and (status >= 500 or status in PASSING_STATUSES or CUT_SHORT.search(words))
    ):
        return Retryable(message, "server_error", status, wait)
    refused = status == 403 or bool(codes & REFUSAL_CODES)
    return Rejected(message, "refused" if refused else "rejected", status)


def stop_reason(status: int, codes: set[str], words: str, wait: float | None) -> str:
    """Why no job can be answered after such a response; empty when the next one may be."""
    if codes & QUOTA_CODES or (status == 402 and wait is None):
        return "the quota or credit is spent: top it up, then run the same command again"
    if status == 400 and SPENT.search(words):
        return "a spending limit is reached: raise it, then run the same command again"
    if status == 401 or codes & KEY_CODES:
        return "the key was refused: check the key file or the environment variable"
    moderated = bool(codes & REFUSAL_CODES) or "moderation" in words.lower()
    if status == 403 and not moderated and not words.startswith("<"):
        return "access was denied: check what the key may do"
    if status in {404, 405}:
        return "the server does not know this model or address: check -m and --base-url"
    return ""


def is_html(body: bytes) -> bool:
    """Whether a body is a web page, as CDNs and login walls send."""
    return body.lstrip()[:1] == b"<"


def error_words(body: bytes) -> tuple[str, set[str]]:
    """The message of an error body, and every code or type that it names.

    Bodies are JSON objects, lists or strings, web pages or plain text.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:20_000].decode("utf-8", "replace")
        if is_html(body):
            return "<page> " + plain(TAGS.sub(" ", text), 200), set()
        return plain(text), set()
    if isinstance(value, list) and value:
        value = value[0]
    codes: set[str] = set()
    while isinstance(value, dict):
        collect_codes(value, codes)
        inner = next((value[k] for k in ("error", "message", "detail") if value.get(k)), "")
        if isinstance(inner, list) and inner:
            inner = inner[0]
        if not isinstance(inner, dict):
            return plain(inner if isinstance(inner, str) else str(inner)), codes
        value = inner
    return plain(str(value)), codes


def collect_codes(error: dict[str, Any], codes: set[str]) -> None:
    """Add the codes that an error object and its `details` name."""
    details = error.get("details")
    inner = details if isinstance(details, list) else [details]
    for place in (error, *inner):
        if isinstance(place, dict):
            codes.update(
                str(place[name])
                for name in ("code", "type", "status", "reason", "error_code")
                if isinstance(place.get(name), str)
            )


def plain(text: str, length: int = MESSAGE_LENGTH) -> str:
    """One line of printable text, cut to `length` characters."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line[:length])
