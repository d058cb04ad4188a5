"""Records with sidecars: each answer goes into the journal first, then beside its picture."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..models import Failed, Result
from .journal import Journal
from .sidecar_rules import Answer
from .sidecars import Sidecars

MOST_WAITING = 256
"""Answers whose sidecars are not written yet; beyond that jobs wait for the disk."""


class Attached:
    """A journal whose answers are written as sidecars too, in a thread of their own.

    `trouble` is called once, in the event loop, with why the first one could not be written: the
    answers are in the results file, so the run goes on.
    """

    def __init__(
        self, journal: Journal, results: Path, sidecars: Sidecars, trouble: Callable[[str], None]
    ) -> None:
        self._journal = journal
        self._results = results
        self._sidecars = sidecars
        self._trouble = trouble
        self._told = bool(sidecars.tally.trouble)
        self._waiting: list[Answer] = []
        self._writing: asyncio.Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "sidecars")

    def append(self, result: Result) -> None:
        """Save an answer, then have its sidecar written; raises `OutputError`."""
        self._journal.append(result)
        self._waiting.append(answer_of(result))
        self._start()

    def append_failed(self, failed: Failed) -> None:
        """Save a failure, which has no sidecar; raises `OutputError`."""
        self._journal.append_failed(failed)

    async def settled(self) -> None:
        """Wait until what was saved may be counted, and while the disk is far behind."""
        await self._journal.settled()
        while len(self._waiting) > MOST_WAITING and self._writing is not None:
            await asyncio.wait([self._writing])

    def _start(self) -> None:
        """Write what waits, unless that is under way: then it follows."""
        if self._writing is None and self._waiting:
            batch, self._waiting = self._waiting, []
            loop = asyncio.get_running_loop()
            self._writing = loop.run_in_executor(self._thread, self._write, batch)
            self._writing.add_done_callback(self._written)

    def _write(self, batch: list[Answer]) -> None:
        """Write sidecars (in the thread), their records on the disk before them.

        When those cannot get there the journal ends the run, and the next one writes the sidecars
        of what is left of them.
        """
        try:
            fd = os.open(self._results, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError:
            return
        for answer in batch:
            self._sidecars.settle(answer)
        self._sidecars.flush()

    def _written(self, done: asyncio.Future[None]) -> None:
        """Go on with what came meanwhile; tell the first trouble."""
        self._writing = None
        if self._sidecars.tally.trouble and not self._told:
            self._told = True
            self._trouble(self._sidecars.tally.trouble)
        if not done.cancelled():
            done.result()
        self._start()

    async def close(self) -> None:
        """Write the rest, then close the journal; raises `OutputError`."""
        try:
            while self._writing is not None:
                await asyncio.wait([self._writing])
        finally:
            self._thread.shutdown()
            await self._journal.close()


def answer_of(result: Result) -> Answer:
    """What the sidecar of a result is made from."""
    return Answer(
        result.id,
        result.output,
        result.provider,
        result.model,
        result.source,
        result.finish_reason,
        result.finished_at,
        result.media,
    )
