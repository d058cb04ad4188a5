"""Text from strangers (file names, answers, error messages), made safe to print."""

from __future__ import annotations

LONGEST = 200
"""Characters of a name or of somebody else's words in a message."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with what could steer a terminal, except for `keep`, written as `\x1b`."""
    return "".join(c if c.isprintable() or c in keep else f"\\x{ord(c):02x}" for c in text)


def shortened(text: str) -> str:
    """The text made printable, and cut when it is long: the name of a file may be a page."""
    return printable(text if len(text) <= LONGEST else text[:LONGEST] + "…")
