"""A stream (stdin, a pipe) copied to a file, so that it can be read twice and resumed."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO

from ..errors import BatchError, OutputError, UsageError
from ..files import anew, part_of, write_synced
from ..lines import SLAB


async def spool_stream(source: str, spool: Path) -> None:
    """Copy a stream to its end into the file `spool`.

    Raises `UsageError` when the stream cannot be read, `OutputError` (73) when the file cannot be
    written. The copying thread is left behind when the task is cancelled: nothing ends a read
    while the other side of a pipe is silent.
    """
    copied: Future[None] = Future()
    copied.set_running_or_notify_cancel()
    threading.Thread(target=copy_stream, args=(source, spool, copied), daemon=True).start()
    await asyncio.wrap_future(copied)


def copy_stream(source: str, spool: Path, copied: Future[None]) -> None:
    """Copy a stream and tell how that went (in the thread)."""
    try:
        write_spool(spool, blocks(source))
    except BatchError as error:
        copied.set_exception(error)
    else:
        copied.set_result(None)


def write_spool(spool: Path, pieces: Iterator[bytes]) -> None:
    """Write the file `spool`; it stands there whole or not at all. Raises `OutputError` (73)."""
    part = part_of(spool)
    try:
        with open(part, "wb", opener=anew) as file:
            write_synced(file, pieces)
        part.replace(spool)
    except OSError as error:
        raise OutputError(f"cannot keep the jobs in {spool}: {error.strerror}", 73) from error


def blocks(source: str) -> Iterator[bytes]:
    """The bytes of a stream as they come; raises `UsageError`."""
    name = "stdin" if source == "-" else source
    try:
        with opened(source) as stream:
            while block := stream.read(SLAB):
                yield block
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot read {name}: {words}") from error


def opened(source: str) -> BinaryIO:
    """A stream, opened without a buffer, whose lock would hold up the end of the process."""
    if source != "-":
        return open(source, "rb", buffering=0)
    if sys.stdin is None:
        raise ValueError("it is closed")
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except io.UnsupportedOperation:  # a stand-in for stdin that has no file
        return sys.stdin.buffer
