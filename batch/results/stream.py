"""Results to stdout, failures to stderr, no file at all: nothing to resume from."""

from __future__ import annotations

import os

from ..errors import OutputError
from ..models import Failed, Result
from ..printable import printable_json
from .records import encode_line

STDOUT = 1
STDERR = 2


class Stream:
    """Writes each record at once, so that a pipe sees it."""

    def append(self, result: Result) -> None:
        """Write an answer to stdout; raises `OutputError` when nobody reads it any more."""
        write_all(STDOUT, printable_json(encode_line(result)))

    def append_failed(self, failed: Failed) -> None:
        """Write a failure to stderr."""
        write_all(STDERR, printable_json(encode_line(failed.line())))

    async def settled(self) -> None:
        """Nothing is kept back."""

    async def close(self) -> None:
        """Nothing is held."""


def write_all(fd: int, line: bytes) -> None:
    """Write a whole line; raises `OutputError`."""
    view = memoryview(line)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from error
