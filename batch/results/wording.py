"""What of an answer goes into a sidecar: the model's words on one line, joined to what was there.

The results file keeps the answer as it came; only sidecars and exported captions are worded.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from .records import LONE

BREAK = re.compile(r"[,\n]")
BULLET = re.compile(r"^(?:[-*•]|\d{1,3}[.)])\s+")
STOPS = (".", "!", "?", "…", "。", "！", "？")
"""What ends a sentence."""


class Wording(Struct, frozen=True):
    """How an answer is worded for its sidecar."""

    prefix: str = ""
    suffix: str = ""
    strip_phrases: tuple[str, ...] = ()
    """Phrases taken out wherever they stand, in upper or lower case."""
    tags: bool = False
    """The answer is a list of tags and not a text."""

    def caption(self, output: str) -> str:
        """The sidecar's text; empty when nothing of the answer is left, whatever stands around it.

        Prefix and suffix are put on as they are: no space or comma comes in between.
        """
        return one_line(self._worded(output, one_line))

    def text(self, output: str) -> str:
        """The same with the line breaks of the answer, for readers of more than one line."""
        return self._worded(output, str.strip)

    def _worded(self, output: str, shape: Callable[[str], str]) -> str:
        """The answer as it shall be put, `shape` given to what is no list of tags."""
        text = output
        for phrase in self.strip_phrases:
            text = re.sub(re.escape(phrase), "", text, flags=re.IGNORECASE)
        text = ", ".join(tags_of(text)) if self.tags else shape(text)
        if self.strip_phrases:
            text = re.sub(" {2,}", " ", text)
        return f"{self.prefix}{text}{self.suffix}" if text else ""

    def joined(self, first: str, second: str) -> str:
        """Two texts as one: tags with a comma between, sentences with a full stop and a space."""
        if self.tags:
            return f"{first.rstrip(', ')}, {second.lstrip(', ')}"
        stop = "" if first.endswith(STOPS) else "."
        return f"{first}{stop} {second}"


def one_line(text: str) -> str:
    """The text on one line, less what no text file should hold: control characters, a BOM.

    Trainers read the first line only, so lines are joined by a space.
    """
    if text.isprintable():
        return text.strip()
    text = LONE.sub("\N{REPLACEMENT CHARACTER}", text)
    lines = (line.strip() for line in text.replace("\t", " ").splitlines())
    joined = " ".join(filter(None, lines))
    return "".join(c for c in joined if is_text(c)).strip()


def is_text(character: str) -> bool:
    """Whether a character may stand in a sidecar: XML takes no others."""
    code = ord(character)
    return code >= 0x20 and not 0x7F <= code < 0xA0 and code not in (0xFEFF, 0xFFFE, 0xFFFF)


def tags_of(text: str) -> list[str]:
    """The tags of a list with commas or a line each, bullets taken off, each once."""
    found: dict[str, str] = {}
    for piece in BREAK.split(text.replace("\r", "\n")):
        tag = one_line(BULLET.sub("", piece.strip())).rstrip(".")
        if tag:
            found.setdefault(tag.casefold(), tag)
    return list(found.values())
