"""The answers of a results file, read with suspicion: it may be damaged, or somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import UsageError
from ..lines import Line
from ..models import Result
from ..results.index import Index, file_lines
from ..results.records import decoded
from .terms import LeftOut

RESULT = msgspec.json.Decoder(Result)


class Answer(NamedTuple):
    """A result and the line that holds it."""

    line: bytes
    result: Result


class Answers:
    """The answers of a results file, which may be read more than once.

    About 120 bytes a line are held while it is opened. Raises `UsageError` when it is no results
    file of ours or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            index = Index.scan(path)
        except OSError as error:
            raise unreadable(path, error) from error
        self._doubled = frozenset(index.doubled)

    def read(self, left_out: LeftOut) -> Iterator[Answer]:
        """The answers in the order of the file; what is none is left out."""
        for line in lines_of(self._path):
            if line.offset in self._doubled:
                left_out.add(f"line {line.number}", "its id has a later line")
                continue
            result = decoded(RESULT, line)
            if result is None or line.data is None or not result.id:
                left_out.add(f"line {line.number}", "it is damaged: the next run mends the file")
                continue
            yield Answer(line.data, result)


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a file; raises `UsageError` when it cannot be read."""
    try:
        yield from file_lines(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> UsageError:
    """The error for a results file that cannot be read."""
    return UsageError(f"cannot read {path}: {error.strerror}")
