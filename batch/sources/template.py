"""Fills `{{name}}` in a prompt: plain replacement, no expressions, nothing to escape from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..printable import shortened

PLACEHOLDER = re.compile(r"\{\{([\w.\-\s]+)\}\}")
"""Whatever may be meant as a name, so that a mistyped one is told and not sent to the model."""

LONGEST = 16 << 20
"""Characters of a filled text. A line of 8 MiB that names one long value a million times would
otherwise stand for terabytes."""


class UnknownName(Exception):
    """A placeholder names a value that the job does not give."""


class TooLong(Exception):
    """A text would grow beyond `LONGEST` when it is filled."""


def is_unfilled(fields: Mapping[str, Any]) -> bool:
    """Whether a job holds placeholders but no `vars`, so that they go out as they are written."""
    if "vars" in fields:
        return False
    texts = (fields.get("prompt"), fields.get("system"))
    return any(
        isinstance(text, str) and "{{" in text and PLACEHOLDER.search(text) for text in texts
    )


def names_in(text: str) -> set[str]:
    """The names that a text has placeholders for."""
    return {found[1].strip() for found in PLACEHOLDER.finditer(text)} - {""}


def fill(text: str, values: Mapping[str, Any]) -> str:
    """`text` with each `{{name}}` replaced by its value; raises `UnknownName` and `TooLong`.

    Text goes in as it is, everything else as JSON. A value is never read as a template itself.
    """
    texts: dict[str, str] = {}
    room = LONGEST - len(text)

    def value(found: re.Match[str]) -> str:
        nonlocal room
        name = found[1].strip()
        if not name:
            return found[0]
        if name not in values:
            known = shortened(", ".join(sorted(values))) or "no vars"
            raise UnknownName(f"no value for {{{{{shortened(name)}}}}} (the job gives {known})")
        given = texts.get(name)
        if given is None:
            given = texts[name] = text_of(values[name])
        room -= len(given)
        if room < 0:
            raise TooLong(f"its `vars` make it longer than {LONGEST >> 20} Mi characters")
        return given

    return PLACEHOLDER.sub(value, text) if "{{" in text else text


def text_of(value: Any) -> str:
    """A value as it goes into a text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
