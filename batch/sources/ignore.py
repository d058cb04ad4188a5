"""Which pictures of a folder are left out: patterns as in a `.gitignore`.

A line is a glob; `#` begins a comment, `!` takes back what earlier lines left out, `/` at the end
means folders only, and with a `/` elsewhere it is told from the folder that was given and not from
anywhere below it. `*` and `?` stop at a `/`, `**` does not. The last line that fits decides; what
stands in a folder that is left out cannot be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..files import read_below
from ..printable import shortened

FILE_NAME = ".overnightignore"
LONGEST_FILE = 1 << 20
"""Bytes of that file; it comes with the folder, so from anybody."""

GLOB = re.compile(r"(\*+)|(\?)|(\[[!^]?\]?[^\]/]*\])|\\(.)|(.)", re.DOTALL)


OPERATORS = re.compile(r"[\\\[\]^&|~]")
"""What means more to a regular expression between brackets than to a glob."""


class Pattern(NamedTuple):
    """One line."""

    parts: tuple[re.Pattern[str] | None, ...]
    """What the names of a path have to be, one after the other; None for any number of them."""
    folders_only: bool
    takes_back: bool

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a path of these names is meant, in time that grows with both alone."""
        parts, last = self.parts, len(self.parts) - 1
        if last == 1 and parts[0] is None and parts[1] is not None:
            return parts[1].fullmatch(names[-1]) is not None
        reached = {0}  # how many parts may be behind us
        for name in names:
            after: set[int] = set()
            for at in self._passed(reached) - {last + 1}:
                part = parts[at]
                if part is None:
                    after |= {at, at + 1}
                elif part.fullmatch(name):
                    after.add(at + 1)
            reached = after
        return last + 1 in reached

    def _passed(self, reached: set[int]) -> set[int]:
        """Those and where else one stands when `**` is no name at all; the last one is some."""
        last = len(self.parts) - 1
        return reached | {at + 1 for at in reached if at < last and self.parts[at] is None}


class Ignore:
    """The patterns of a folder; paths are told from it, with `/` between folders."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._patterns = [found for line in lines if (found := pattern_of(line)) is not None]

    @classmethod
    def of(cls, folder: str, globs: Iterable[str]) -> Ignore:
        """The patterns of a folder's own file, then those that were given.

        Raises `UsageError` for a file that cannot be read.
        """
        path = Path(folder, FILE_NAME)
        try:
            data = read_below(folder, FILE_NAME, LONGEST_FILE + 1)
            if len(data) > LONGEST_FILE:
                raise UsageError(f"{path} is over the limit of {LONGEST_FILE:,} bytes")
            lines = data.decode("utf-8-sig").splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not UTF-8: save it as UTF-8") from error
        return cls([*lines, *globs])

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Whether a file or folder is left out; those that it stands in were asked before."""
        names = path.split("/")
        for pattern in reversed(self._patterns):
            if (is_folder or not pattern.folders_only) and pattern.fits(names):
                return not pattern.takes_back
        return False


def pattern_of(line: str) -> Pattern | None:
    """The pattern of a line; None for a blank one and a comment.

    Raises `UsageError` for one that is no glob.
    """
    text = without_last_blanks(line)
    if not text or text.startswith("#"):
        return None
    takes_back = text.startswith("!")
    text = text.removeprefix("!")
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    globs = text.removeprefix("/").split("/") if "/" in text else ["**", text]
    try:
        parts = [part_of(glob) for glob in globs]
    except re.error as error:
        raise UsageError(f"{shortened(line)!r} is no pattern: {error}") from error
    # Several `**` in a row say no more than one.
    once = [part for at, part in enumerate(parts) if part or not at or parts[at - 1]]
    return Pattern(tuple(once), folders_only, takes_back)


def without_last_blanks(line: str) -> str:
    """A line without the blanks at its end, but for one behind a backslash."""
    text = line.rstrip()
    return line[: len(text) + 1] if text.endswith("\\") else text


def part_of(glob: str) -> re.Pattern[str] | None:
    """What one name has to be; None for `**`."""
    if glob == "**":
        return None
    pieces = [""]  # those between the stars
    for found in GLOB.finditer(glob):
        stars, one, some, escaped, plain = found.groups()
        if stars:
            pieces.append("")
        else:
            pieces[-1] += "." if one else class_of(some) if some else re.escape(escaped or plain)
    first, *middle = pieces
    if not middle:
        return re.compile(first, re.DOTALL)
    # Where a piece is found first no later place is better, so nothing is tried twice.
    found_first = "".join(f"(?>.*?{piece})" for piece in middle[:-1])
    return re.compile(f"{first}{found_first}.*{middle[-1]}", re.DOTALL)


def class_of(some: str) -> str:
    """One of several characters, as a regular expression."""
    inside = some[1:-1]
    negated = inside.startswith(("!", "^"))
    inside = OPERATORS.sub(r"\\\g<0>", inside[negated:])
    return f"[{'^' if negated else ''}{inside}]"
