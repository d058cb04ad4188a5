"""Which pictures of a folder are left out: patterns as in a `.gitignore`.

A line is a glob; `#` begins a comment, `!` takes back what earlier lines left out, `/` at the end
means folders only, and with a `/` elsewhere it is told from the folder that was given and not from
anywhere below it. `*` and `?` stop at a `/`, `**` does not. The last line that fits decides; what
stands in a folder that is left out cannot be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError

FILE_NAME = ".overnightignore"

GLOB = re.compile(r"(\*\*/)|(/\*\*)\Z|(\*+)|(\?)|(\[[!^]?\]?[^\]/]*\])|\\(.)|(.)", re.DOTALL)


OPERATORS = re.compile(r"[\\\[\]^&|~]")
"""What means more to a regular expression between brackets than to a glob."""


class Pattern(NamedTuple):
    """One line."""

    finds: re.Pattern[str]
    folders_only: bool
    takes_back: bool


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
            lines = path.read_text("utf-8-sig").splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not UTF-8: save it as UTF-8") from error
        return cls([*lines, *globs])

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Whether a file or folder is left out; those that it stands in were asked before."""
        for pattern in reversed(self._patterns):
            if (is_folder or not pattern.folders_only) and pattern.finds.fullmatch(path):
                return not pattern.takes_back
        return False


def pattern_of(line: str) -> Pattern | None:
    """The pattern of a line; None for a blank one and a comment.

    Raises `UsageError` for one that is no glob.
    """
    text = re.sub(r"(?<!\\)\s+\Z", "", line)
    if not text or text.startswith("#"):
        return None
    takes_back = text.startswith("!")
    text = text.removeprefix("!")
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    anchored = "/" in text
    head = "" if anchored else "(?:.*/)?"
    try:
        finds = re.compile(head + translated(text.removeprefix("/")), re.DOTALL)
    except re.error as error:
        raise UsageError(f"{line!r} is no pattern: {error}") from error
    return Pattern(finds, folders_only, takes_back)


def translated(glob: str) -> str:
    """A glob as a regular expression."""

    def piece(found: re.Match[str]) -> str:
        folders, below, stars, one, some, escaped, plain = found.groups()
        if folders:
            text = "(?:.*/)?"
        elif below:
            text = "/.+"
        elif stars:
            text = "[^/]*"
        elif one:
            text = "[^/]"
        elif some:
            inside = some[1:-1]
            negated = inside.startswith(("!", "^"))
            inside = OPERATORS.sub(r"\\\g<0>", inside[negated:])
            text = f"(?!/)[{'^' if negated else ''}{inside}]"
        else:
            text = re.escape(escaped or plain)
        return text

    return GLOB.sub(piece, glob)
