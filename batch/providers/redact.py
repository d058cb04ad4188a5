"""Keeps secrets out of what is told and kept."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import pybase64


def redacted(text: str, secrets: Sequence[str]) -> str:
    """The text with `[key]` for each secret in it."""
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return text


def secret_forms(key: str) -> tuple[str, ...]:
    """A key as servers echo it: plain, percent-encoded, base64."""
    if not key:
        return ()
    plain = pybase64.b64encode(key.encode()).decode()
    return tuple(dict.fromkeys((key, quote(key), quote(key, safe=""), plain, plain.rstrip("="))))
