"""One run of a command: its prompt in a file, its answer from a pipe, its end in any case.

`subprocess.Popen` starts it, because asyncio under uvloop forks the whole process for each command
(measured with 400 MB held: 17 ms during which no request moves, against 0.3 ms) and gives it
sockets for pipes, which a command cannot open as /dev/stdin and /dev/stdout.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from msgspec import Struct

from ...processes import send, start

GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL: an abandoned run ends within two."""

LAST_WORDS = 8192
"""Bytes kept of the end of stderr."""


class Ended(Struct, frozen=True):
    """What came of a command that ended by itself."""

    status: int
    """The exit code, or the number of the signal that ended it, negative."""
    output: bytes
    last_words: bytes
    """The end of what it wrote to stderr; all of it is there when the status is not 0."""


class TooMuch(Exception):
    """A command wrote more than is taken."""


class Pipe(asyncio.Protocol):
    """A pipe that a command writes to.

    `kept` is the first `most` bytes of it and one more, or the last `most`; `theirs` is the end
    that the command gets; `ended` is done when nobody can write any more, or too much came.
    """

    def __init__(self, most: int, *, keeps_end: bool = False) -> None:
        self.kept = bytearray()
        self.ended = asyncio.get_running_loop().create_future()
        self._most = most
        self._keeps_end = keeps_end
        self._transport: asyncio.ReadTransport | None = None
        ours, theirs = os.pipe()
        self._ours, self.theirs = os.fdopen(ours, "rb", 0), os.fdopen(theirs, "wb", 0)

    async def open(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: self, self._ours)

    def data_received(self, data: bytes) -> None:
        """Keep what there is room for; what comes beyond it is read and dropped."""
        if self._keeps_end:
            self.kept += data
            del self.kept[: -self._most]
        elif not self.is_over:
            self.kept += data[: self._most + 1 - len(self.kept)]
            if self.is_over:
                self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The last end that could write was closed."""
        self._end()

    @property
    def is_over(self) -> bool:
        """Whether more came than is taken."""
        return len(self.kept) > self._most

    def close(self) -> None:
        """Close both ends."""
        self.theirs.close()
        if self._transport is None:
            self._ours.close()
        else:
            self._transport.close()
            self._transport = None  # it knows us: no circle is left to the collector

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def run_command(
    words: Sequence[str],
    typed: IO[bytes],
    environment: Mapping[str, str],
    most: int,
) -> Ended:
    """Run a command whose stdin is `typed` to its end.

    Whatever ends the waiting (a timeout, a cancellation) ends the command and all that it started
    in its process group. Raises `TooMuch` for more than `most` bytes of output, `OSError` when it
    cannot be started.
    """
    output, told = Pipe(most), Pipe(LAST_WORDS, keeps_end=True)
    try:
        await output.open()
        await told.open()
        process = start(words, typed, environment, output.theirs, told.theirs)
        output.theirs.close()
        told.theirs.close()
        exited = exit_of(process)
        by_itself = False
        try:
            await asyncio.wait([output.ended])
            if output.is_over:
                raise TooMuch
            await asyncio.wait([exited])
            if exited.result():  # what it left running may hold stderr for ever
                await asyncio.wait([told.ended], timeout=GRACE)
            by_itself = True
        finally:
            if not by_itself:
                await end(process, [exited, output.ended, told.ended])
        return Ended(exited.result(), bytes(output.kept), bytes(told.kept))
    finally:
        output.close()
        told.close()


def exit_of(process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """The exit code of a command, or the number of the signal that ended it, once it ended."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()

    def tell(status: int) -> None:
        if not exited.done():
            exited.set_result(status)

    def wait() -> None:
        status = process.wait()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(tell, status)

    # A thread of its own that nobody joins: a command that we may not kill (sudo) holds up nothing.
    threading.Thread(target=wait, name="exec", daemon=True).start()
    return exited


async def end(
    process: subprocess.Popen[bytes], signs: Sequence[asyncio.Future[int] | asyncio.Future[None]]
) -> None:
    """End a command's process group: SIGTERM, a moment to clean up, SIGKILL.

    `signs` tell that nothing of it is left: it ended (the first), and nobody holds its pipes.
    """
    send(process, signal.SIGTERM)
    try:
        await asyncio.wait(signs, timeout=GRACE)
    finally:
        send(process, signal.SIGKILL)
    await asyncio.wait(signs[:1], timeout=GRACE)
