"""Fills `{{name}}` in a prompt: plain replacement, no expressions, nothing to escape from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

PLACEHOLDER = re.compile(r"\{\{([\w.\-\s]+)\}\}")
"""Whatever may be meant as a name, so that a mistyped one is told and not sent to the model."""


class UnknownName(Exception):
    """A placeholder names a value that the job does not give."""


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
    """`text` with each `{{name}}` replaced by its value; raises `UnknownName`.

    Text goes in as it is, everything else as JSON. A value is never read as a template itself.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1].strip()
        if not name:
            return found[0]
        if name not in values:
            known = ", ".join(sorted(values)) or "no vars"
            raise UnknownName(f"no value for {{{{{name}}}}} (the job gives {known})")
        given = values[name]
        return given if isinstance(given, str) else msgspec.json.encode(given).decode()

    return PLACEHOLDER.sub(value, text) if "{{" in text else text
