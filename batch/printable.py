"""Text from strangers (file names, answers, error messages), made safe to print."""

from __future__ import annotations

import json

LONGEST = 200
"""Characters of a name or of somebody else's words in a message."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with what could steer a terminal, except for `keep`, written as `\x1b`."""
    return "".join(c if c.isprintable() or c in keep else f"\\x{ord(c):02x}" for c in text)


def printable_json(line: bytes) -> bytes:
    """One line of JSON with the same meaning, its control characters escaped.

    JSON demands that of those below U+0020 alone, and terminals obey others (U+009B) too.
    """
    text = line.decode().removesuffix("\n")
    if text.isprintable():
        return line
    told = (c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    return "".join(told).encode() + b"\n"


def shortened(text: str) -> str:
    """The text made printable, and cut when it is long: the name of a file may be a page."""
    return printable(text if len(text) <= LONGEST else text[:LONGEST] + "…")
