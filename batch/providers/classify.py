"""From a response to an error: one table, as data, which a provider may override.

Sources: the vendors' error pages and what compatible servers were seen to send (OpenAI, Anthropic,
Gemini, vLLM, llama.cpp, Ollama, OpenRouter; state of November 2026).
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from ..errors import Denied, Halt, RateLimited, Rejected, Retryable
from .retry_after import clock_time, retry_after

WORDS_LENGTH = 4_096
"""Characters of a server's words that are looked at; the client cuts them further."""

ERROR_LENGTH = 1 << 18
"""Bytes of an error's body from which on it is read as text: no server has that much to say."""

PAGE = "<page>"
WAIT = "<retry-after>"
PER_DAY = "<per day>"
RETRY = "<x-should-retry: true>"
DO_NOT_RETRY = "<x-should-retry: false>"
"""Signs that are no code of the body: a web page, a time to wait, a day's quota, the header."""

CAP_CODES = frozenset(
    {
        "billing_hard_limit_reached",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "enforced_spend_limit_reached",
    }
)
"""Codes of a month's limit, which the vendors lift on the first of the next one."""
QUOTA_CODES = frozenset({"insufficient_quota", "credit_balance_exhausted", "budget_exceeded"})
"""Codes or types that no waiting will mend; the month's codes come with the first of them too."""

KEY_CODES = frozenset({"invalid_api_key", "API_KEY_INVALID"})
PLACE_CODES = frozenset({"unsupported_country_region_territory"})
MODEL_CODES = frozenset({"model_not_found"})
REFUSAL_CODES = frozenset(
    {"content_filter", "content_policy_violation", "moderation", "image_content_policy_violation"}
)
BUSY_CODES = frozenset(
    {"slow_down", "server_is_overloaded", "RESOURCE_EXHAUSTED", "unavailable_error"}
)
LENGTH_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
CODE_NAMES = ("code", "type", "status", "reason", "error_code", "limit_source", "quotaId")
"""Members of an error object whose text is a code."""

CAP_WORDS = re.compile(r"reached your specified .{0,20}usage limits", re.IGNORECASE)
SPENT_WORDS = re.compile(r"credit balance|used all available credits", re.IGNORECASE)
BILLING_WORDS = re.compile(r"enable billing|without a billing account", re.IGNORECASE)
PLACE_WORDS = re.compile(r"user location is not supported", re.IGNORECASE)
KEY_CAP_WORDS = re.compile(r"key limit exceeded|\bbudget\b|spend limit", re.IGNORECASE)
UNABLE = re.compile(r"no endpoints found that support", re.IGNORECASE)
TOO_LARGE = re.compile(r"request too large for", re.IGNORECASE)
MODERATED = re.compile(
    r"moderation|\b(?:input|prompt|content|message|request|image)s? (?:was|were) flagged",
    re.IGNORECASE,
)
CUT_SHORT = re.compile(r"unexpected end of data", re.IGNORECASE)
BUSY = re.compile(r"maximum pending requests|server busy|loading model", re.IGNORECASE)
THROTTLED = re.compile(
    r"too many requests|\b(?:rate|request|daily|usage|message)s? ?limit"
    r"|reached (?:the|your) limit|come back (?:later|tomorrow|in)\b",
    re.IGNORECASE,
)
"""A limit told in words alone, as free hosts do with status 200."""

TAGS = re.compile(r"<(?:script|style)[^<>]*>[^<>]*</(?:script|style)>|<[^<>]{0,500}>")

AGAIN = "then run the same command again"
SPENT = f"the quota or credit is spent: top it up or raise its limit, {AGAIN}"
CAP = (
    "the month's spend limit is reached: raise it or wait for the first of the next month "
    f"(00:00 UTC), {AGAIN}"
)
KEY_CAP = f"the spend limit of this key is reached: raise it or use another key, {AGAIN}"
DAY = (
    "the quota of this day is spent: the next day begins at midnight Pacific time "
    f"(07:00 UTC, in winter 08:00); wait for it, {AGAIN}"
)
BILLING = f"the account has no billing: set it up with the provider, {AGAIN}"
PLACE = "the provider does not serve the place of this machine: send from another (--proxy URL)"
KEY = "the key was refused: check the key file or the environment variable"
ACCESS = "access was denied: check the key and what it may do"
UNKNOWN = "the server does not know this model or address: check -m and --base-url"

LONG_WAIT = 60.0
"""Seconds; a shorter time to wait beside a stop code is a habit of the server, no promise."""


class Rule(Struct, frozen=True):
    """One line of the table. It holds for its statuses when a sign or the words fit, if named."""

    error: type[Halt | Rejected | Retryable]
    tells: str
    """The failure's code; for a `Halt` what the user can do."""
    statuses: Container[int] = range(1000)
    signs: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None

    def holds(self, status: int, signs: set[str], words: str) -> bool:
        """Whether this line is about such a response."""
        if status not in self.statuses:
            return False
        if not self.signs and self.words is None:
            return True
        return bool(self.signs & signs or (self.words and self.words.search(words)))


SERVER_STATUSES = range(500, 1000)
PASSING_STATUSES = frozenset({408, 409, 425, *SERVER_STATUSES})

RULES = (
    Rule(Halt, CAP, signs=CAP_CODES),
    Rule(Halt, SPENT, signs=QUOTA_CODES),
    Rule(Halt, CAP, {400}, words=CAP_WORDS),
    Rule(Halt, SPENT, {400}, words=SPENT_WORDS),
    Rule(Halt, BILLING, {400}, words=BILLING_WORDS),
    Rule(Denied, PLACE, {400, 403}, PLACE_CODES, PLACE_WORDS),
    Rule(Halt, DAY, {429}, frozenset({PER_DAY})),
    Rule(RateLimited, "rate_limited", {402}, frozenset({WAIT, "openrouter_in_flight_budget"})),
    Rule(Halt, SPENT, {402}),
    Rule(Rejected, "rejected", {429}, words=TOO_LARGE),  # more than the limit of a whole minute
    Rule(RateLimited, "rate_limited", {429, 498}, frozenset({WAIT})),
    Rule(Halt, SPENT, {429}, frozenset({DO_NOT_RETRY}), SPENT_WORDS),
    Rule(RateLimited, "rate_limited", {429, 498}),
    Rule(RateLimited, "rate_limited", {503}, BUSY_CODES, BUSY),
    Rule(RateLimited, "rate_limited", {403}, frozenset({PAGE})),  # a CDN that holds bots back
    Rule(Retryable, "server_error", signs=frozenset({RETRY})),
    Rule(Denied, KEY, signs=KEY_CODES),
    Rule(Denied, KEY, {401}),
    Rule(Rejected, "refused", signs=REFUSAL_CODES),
    Rule(Rejected, "refused", {403}, words=MODERATED),
    Rule(Denied, KEY_CAP, {403}, words=KEY_CAP_WORDS),
    Rule(Denied, ACCESS, {403}),
    Rule(Rejected, "unsupported", {404}, words=UNABLE),  # the model is there, but sees no images
    Rule(Halt, UNKNOWN, {404, 405}),
    Rule(Halt, UNKNOWN, signs=MODEL_CODES),
    Rule(Rejected, "rejected", signs=LENGTH_CODES),
    Rule(Rejected, "server_error", PASSING_STATUSES, frozenset({DO_NOT_RETRY})),
    Rule(Retryable, "server_error", PASSING_STATUSES),
    Rule(Retryable, "server_error", {400}, words=CUT_SHORT),
    Rule(Retryable, "bad_response", range(201)),  # below 200 there is no reply
    Rule(Rejected, "rejected"),
)
"""The first line that holds decides. Status 200 stands for an error without one in a 2xx body."""


def classify(
    status: int, headers: Mapping[str, str], body: bytes, rules: Sequence[Rule] = RULES
) -> Halt | Rejected | Retryable:
    """The error that a response stands for.

    `headers` are looked up by lower-case names. The message holds the server's own words; the
    caller takes keys out of it and cuts it. The last of `rules` has to hold for everything.
    """
    if 300 <= status < 400:
        place = redirected_to(headers.get("location", ""))
        return Halt(f"the server redirects to {place} (HTTP {status}): is the base URL right?")
    words, signs = error_words(body)
    wait = retry_after(headers, body)
    signs |= outer_signs(headers, body, wait)
    rule = next(rule for rule in rules if rule.holds(status, signs, words))
    message = f"HTTP {status}: {words}" if words else f"HTTP {status}"
    if issubclass(rule.error, Halt):
        told = f"{rule.tells}{resume_words(headers)} ({message})"
        return Denied(told, status) if rule.error is Denied else Halt(told)
    if issubclass(rule.error, Retryable):
        return rule.error(message, rule.tells, status, wait)
    return Rejected(message, rule.tells, status)


def resume_words(headers: Mapping[str, str]) -> str:
    """When a stop ends, if the headers say so.

    The body is not asked: Gemini's names seconds also when the quota of the day is spent.
    """
    wait = retry_after(headers)
    if wait is None or wait < LONG_WAIT:
        return ""
    return f"; the server asks to wait until {clock_time(wait)}"


def redirected_to(location: str) -> str:
    """The host of a `Location`, or its path on the same host."""
    try:
        place = urlsplit(location).hostname or urlsplit(location).path
    except ValueError:
        place = ""
    return plain(place)[:200] or "another place"


def outer_signs(headers: Mapping[str, str], body: bytes, wait: float | None) -> set[str]:
    """The signs that stand outside of an error's codes."""
    signs = {RETRY: headers.get("x-should-retry") == "true"}
    signs[DO_NOT_RETRY] = headers.get("x-should-retry") == "false"
    signs[WAIT] = wait is not None
    signs[PAGE] = is_html(body)
    return {sign for sign, is_there in signs.items() if is_there}


def is_html(body: bytes) -> bool:
    """Whether a body is a web page, as CDNs and login walls send; bare XML is none."""
    start = body[:2_000].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith(b"<") and (not start.startswith(b"<?xml") or b"<html" in start)


def error_words(body: bytes) -> tuple[str, set[str]]:
    """The message of an error body, and every code or type that it names.

    Bodies are JSON objects, lists or strings, web pages or plain text.
    """
    text = body[:20_000].decode("utf-8", "replace")
    try:
        # Cut there it is no JSON any more, and told as the text that it is.
        value = msgspec.json.decode(body[:ERROR_LENGTH])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return plain("<page> " + TAGS.sub(" ", text) if is_html(body) else text), set()
    codes: set[str] = set()
    while isinstance(value, (dict, list)) and value:
        if isinstance(value, list):
            value = value[0]
            continue
        collect_codes(value, codes)
        names = ("error", "errors", "message", "detail", "msg")
        value = next((value[name] for name in names if value.get(name)), None)
    return plain(value if isinstance(value, str) else text), codes


def collect_codes(error: dict[str, Any], codes: set[str]) -> None:
    """Add the codes that an error object names, itself and in its details."""
    for name, value in error.items():
        if name in CODE_NAMES and isinstance(value, str):
            codes.add(PER_DAY if name == "quotaId" and "PerDay" in value else value)
        elif name in ("details", "metadata", "violations"):
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict):
                    collect_codes(inner, codes)


def plain(text: str) -> str:
    """One line of printable text, cut to `WORDS_LENGTH` characters."""
    line = " ".join(text.split())
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line[:WORDS_LENGTH]
    )
