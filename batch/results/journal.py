"""The journal of a run: one record is one write, counted only once it is in the file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from ..errors import OutputError
from ..files import write_synced
from ..models import Failed, Result
from .append import FULL, AppendFile, Reserve
from .failed import settle_failures
from .paths import Paths
from .records import encode_line

SYNC_RECORDS = 64
SYNC_SECONDS = 1.0
"""The most that a power cut may cost, in records and in seconds."""

SYNC_SPACING = 0.2
"""Seconds between two syncs at the least: writing waits for the disk while one is under way."""


class Journal:
    """Appends results and failures, syncs them in groups, and keeps a reserve for a full disk.

    `trouble` is called in the event loop with the `OutputError` that must stop the run.
    """

    def __init__(
        self, paths: Paths, trouble: Callable[[OutputError], None], *, sync_each: bool = False
    ) -> None:
        self._paths = paths
        self._trouble = trouble
        self._sync_each = sync_each
        self._results = AppendFile(paths.results)
        self._failed: AppendFile | None = None
        self._reserve = Reserve(paths.reserve)
        self._unsaved: list[tuple[AppendFile, bytes]] = []
        self._unsynced = 0
        self._sync_error: OutputError | None = None
        self._last_sync = 0.0
        self._syncing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._thread = ThreadPoolExecutor(1, "sync")
        # A pool makes its thread with the first task, which fails when no files are left to open.
        self._thread.submit(int).result()

    def append(self, result: Result) -> None:
        """Put an answer into the file; raises `OutputError` when it could not be saved."""
        self._append(self._results, encode_line(result))

    def append_failed(self, failed: Failed) -> None:
        """Put a job without an answer into the failed file; raises `OutputError`."""
        if self._failed is None:
            self._failed = AppendFile(self._paths.failed)
        self._append(self._failed, encode_line(failed.line()))

    def _append(self, file: AppendFile, line: bytes) -> None:
        """Write a line; when the disk is full, into the space that was reserved."""
        try:
            file.append(line)
        except OSError as error:
            if error.errno not in FULL or not self._reserve.release():
                self._give_up(file, line, error)
            self._trouble(OutputError(f"cannot write {file.path}: {error.strerror}"))
            try:
                file.append(line)
            except OSError as again:
                self._give_up(file, line, again)
        self._unsynced += 1
        if self._unsynced in (1, SYNC_RECORDS):
            self._plan_sync()

    def _give_up(self, file: AppendFile, line: bytes, error: OSError) -> NoReturn:
        """Keep a line that cannot be written for the end, and say so."""
        self._unsaved.append((file, line))
        raise OutputError(f"cannot write {file.path}: {error.strerror}") from error

    def _plan_sync(self) -> None:
        """Sync within a second, and sooner when much waits, but only a few times a second."""
        if self._closing or self._syncing is not None or not self._unsynced:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        moment = loop.time() + SYNC_SECONDS
        if self._unsynced >= SYNC_RECORDS:
            moment = min(moment, self._last_sync + SYNC_SPACING)
        self._timer = loop.call_at(moment, self._start_sync)

    def _start_sync(self) -> None:
        """Sync in the thread, unless that is under way: then it follows when the first ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._syncing is None and self._unsynced:
            loop = asyncio.get_running_loop()
            self._unsynced = 0
            self._last_sync = loop.time()
            self._syncing = loop.run_in_executor(self._thread, self._sync)
            self._syncing.add_done_callback(self._synced)

    def _files(self) -> Iterator[AppendFile]:
        """The files that are open."""
        yield self._results
        if self._failed is not None:
            yield self._failed

    def _sync(self) -> None:
        """Bring the files to the disk (in the thread); raises `OutputError`."""
        for file in self._files():
            try:
                file.sync()
            except OSError as error:
                raise OutputError(f"cannot sync {file.path}: {error.strerror}") from error

    def _synced(self, done: asyncio.Future[None]) -> None:
        """Go on after a sync; after one that failed nothing is counted or synced any more."""
        self._syncing = None
        error = None if done.cancelled() else done.exception()
        if error is None:
            self._plan_sync()
            return
        self._sync_error = error if isinstance(error, OutputError) else OutputError(str(error))
        self._trouble(self._sync_error)

    async def settled(self) -> None:
        """With `sync_each`: wait until what was appended so far is on the disk.

        Raises `OutputError` when it did not get there.
        """
        while self._sync_each and (self._unsynced or self._syncing is not None):
            if self._sync_error is not None:
                break
            self._start_sync()
            if self._syncing is not None:
                await asyncio.wait([self._syncing])
        if self._sync_each and self._sync_error is not None:
            raise self._sync_error

    async def close(self) -> None:
        """Save and sync the rest, settle the failed file, remove the reserve, close.

        Raises `OutputError` that tells everything that could not be brought to the disk.
        """
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        while self._syncing is not None:
            await asyncio.wait([self._syncing])
        self._reserve.release()
        loop = asyncio.get_running_loop()
        try:
            wrong = await loop.run_in_executor(self._thread, self._finish)
        finally:
            self._thread.shutdown()
            for file in self._files():
                file.close()
        if wrong:
            raise OutputError("; ".join(wrong))

    def _finish(self) -> list[str]:
        """Do the work of `close` in the thread; what went wrong, in words."""
        wrong = list(self._save_rest())
        for file in self._files():
            try:
                file.sync()
            except OSError as error:
                wrong.append(f"cannot sync {file.path}: {error.strerror}{put_back(file)}")
        if not wrong:
            try:
                settle_failures(self._paths, self._results.began)
            except OSError as error:
                wrong.append(f"cannot rewrite {self._paths.failed}: {error.strerror}")
        return wrong

    def _save_rest(self) -> Iterator[str]:
        """Write unsaved lines now that the reserve is free, else into the temporary folder."""
        try:
            while self._unsaved:
                file, line = self._unsaved[0]
                file.append(line)
                self._unsaved.pop(0)
        except OSError as error:
            words = f"{error.strerror}: {len(self._unsaved)} lines that could not be written"
            try:
                yield f"{words} are in {rescue(line for _, line in self._unsaved)}"
            except OSError as again:
                yield f"{words} are lost: {again.strerror}"


def rescue(lines: Iterator[bytes]) -> str:
    """Write lines to a new file in the temporary folder; its name. Raises `OSError`."""
    with tempfile.NamedTemporaryFile("wb", prefix="overnight-", delete=False) as file:
        write_synced(file, lines)
    return file.name


def put_back(file: AppendFile) -> str:
    """Save the lines of a file that was removed; words that tell where they are."""
    try:
        saved = file.put_back()
    except OSError as error:
        return f" (its lines could not be saved: {error.strerror})"
    return f" (its lines were saved to {saved})" if saved else ""
