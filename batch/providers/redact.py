"""Keeps secrets out of what is told and kept."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Sequence
from urllib.parse import quote

WHOLE = 8
"""Characters from which on a form of a secret is looked for that does not show what it is."""


def redacted(text: str, secrets: Sequence[str]) -> str:
    """The text with `[key]` for each secret in it."""
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return text


def secret_forms(key: str) -> tuple[str, ...]:
    """A key as servers echo it, the longest form first; empty for none.

    Plain, percent-encoded, base64, in hexadecimal digits, as JSON and HTML escape it, and in the
    letters of a host's name.
    """
    if not key:
        return ()
    plain = base64.b64encode(key.encode()).decode()
    certain = (key, quote(key), quote(key, safe=""), plain, plain.rstrip("="))
    found = {*certain, *(form for form in hidden_forms(key) if len(form) >= WHOLE)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def hidden_forms(key: str) -> Iterator[str]:
    """The forms in which a short key would be found by chance."""
    digits = key.encode().hex()
    spelt = "".join(f"\\u{ord(character):04x}" for character in key)
    written = (key, key.lower(), key.upper(), json.dumps(key)[1:-1], repr(key)[1:-1], spelt)
    for form in (*written, html.escape(key), quote(key, safe="").lower(), digits, digits.upper()):
        for text in (form, form.replace("/", "\\/")):
            escaped = json.dumps(text)[1:-1]  # once more, as an error's words are in a JSON body
            yield from (text, escaped, escaped.replace("/", "\\/"))
    for before in range(3):
        core = base64_core(key.encode(), before)
        yield from (core, core.replace("+", "-").replace("/", "_"))


def base64_core(data: bytes, before: int) -> str:
    """What the base64 of any text holds that has `data` after 0, 1 or 2 bytes more than triples.

    `Bearer KEY` as a whole is such a text. The letters at both ends hang on what stands beside.
    """
    text = base64.b64encode(bytes(before) + data).decode().rstrip("=")
    first = (0, 2, 3)[before]
    last = len(text) - ((before + len(data)) % 3 > 0)
    return text[first:last]
