"""The append-only results file: one record is one write, counted only once it is in the file.

No text wrapper and no buffer stands between a record and the kernel: a buffer would hide a full
disk until the file is closed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from ..errors import OutputError
from ..models import Failed, Result
from .paths import Paths
from .records import encode_line
from .repair import sync_folder

SYNC_RECORDS = 64
SYNC_SECONDS = 1.0
"""The most that a power cut may cost, in records and in seconds."""

RESERVE = 4 << 20
"""Bytes set aside for the answers in flight when the disk fills up."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class AppendFile:
    """A regular file that is only appended to, one whole line at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        existed = path.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise OutputError(f"cannot create {path}: {error.strerror}", 73) from error
        self._size = os.fstat(self._fd).st_size
        if not existed:
            sync_folder(path.parent)

    def append(self, line: bytes) -> None:
        """Write a line whole or not at all; raises `OSError`."""
        written = 0
        try:
            written = os.write(self._fd, line)
        finally:
            if written != len(line):
                os.ftruncate(self._fd, self._size)
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._size += written

    def sync(self) -> None:
        """Bring what was written to the disk; raises `OSError` when the file is not ours now."""
        os.fdatasync(self._fd)
        stat = os.fstat(self._fd)
        if stat.st_nlink == 0 or not os.path.samestat(stat, self.path.stat()):
            raise OSError(errno.ESTALE, "the file was removed or replaced during the run")
        if stat.st_size < self._size:
            raise OSError(errno.EIO, "the file was cut by another program")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


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
        self._reserved = reserve(paths.reserve)
        self._unsaved: list[tuple[AppendFile, bytes]] = []
        self._unsynced = 0
        self._syncing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
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
            if error.errno not in FULL or not self._release_reserve():
                self._give_up(file, line, error)
            self._trouble(OutputError(f"cannot write {file.path}: {error.strerror}"))
            try:
                file.append(line)
            except OSError as again:
                self._give_up(file, line, again)
        self._unsynced += 1
        if self._unsynced >= SYNC_RECORDS:
            self._start_sync()
        elif self._timer is None and self._syncing is None:
            self._timer = asyncio.get_running_loop().call_later(SYNC_SECONDS, self._start_sync)

    def _give_up(self, file: AppendFile, line: bytes, error: OSError) -> NoReturn:
        """Keep a line that cannot be written for the rescue file, and say so."""
        self._unsaved.append((file, line))
        raise OutputError(f"cannot write {file.path}: {error.strerror}") from error

    def _release_reserve(self) -> bool:
        """Free the reserved space, once; whether there was some."""
        if self._reserved:
            self._paths.reserve.unlink(missing_ok=True)
        had, self._reserved = self._reserved, False
        return had

    def _start_sync(self) -> None:
        """Sync in the thread, unless that is under way: then it follows when the first ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._syncing is None and self._unsynced:
            loop = asyncio.get_running_loop()
            self._unsynced = 0
            self._syncing = loop.run_in_executor(self._thread, self._sync)
            self._syncing.add_done_callback(self._synced)

    def _sync(self) -> None:
        """Bring both files to the disk (in the thread)."""
        self._results.sync()
        if self._failed is not None:
            self._failed.sync()

    def _synced(self, done: asyncio.Future[None]) -> None:
        """Go on after a sync; an error is never retried, because the kernel forgets it."""
        self._syncing = None
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            words = error.strerror if isinstance(error, OSError) else str(error)
            self._trouble(OutputError(f"cannot sync {self._paths.results}: {words}"))
        elif self._unsynced >= SYNC_RECORDS:
            self._start_sync()
        elif self._unsynced and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SYNC_SECONDS, self._start_sync)

    async def settled(self) -> None:
        """With `sync_each`: wait until what was appended so far is on the disk."""
        while self._sync_each and (self._unsynced or self._syncing is not None):
            self._start_sync()
            if self._syncing is not None:
                await asyncio.wait([self._syncing])

    async def close(self) -> None:
        """Sync the rest, close the files, remove the reserve; unsaved answers are rescued.

        Raises `OutputError` when something could not be brought to the disk.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
        self._release_reserve()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._sync)
            self._save_rest()
        except OSError as error:
            raise OutputError(f"cannot sync {self._paths.results}: {error.strerror}") from error
        finally:
            self._thread.shutdown()
            self._results.close()
            if self._failed is not None:
                self._failed.close()

    def _save_rest(self) -> None:
        """Write unsaved lines now that the reserve is free, else into the temporary folder."""
        try:
            while self._unsaved:
                file, line = self._unsaved[0]
                file.append(line)
                self._unsaved.pop(0)
            self._sync()
        except OSError as error:
            with tempfile.NamedTemporaryFile("wb", prefix="overnight-", delete=False) as rescue:
                rescue.writelines(line for _, line in self._unsaved)
            words = f"{len(self._unsaved)} lines that could not be written are in {rescue.name}"
            raise OutputError(f"{error.strerror}: {words}") from error


def reserve(path: Path) -> bool:
    """Set space aside for the last answers; False where the file system cannot.

    Raises `OutputError` (74) when the disk is full already.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, RESERVE)
        finally:
            os.close(fd)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in FULL:
            raise OutputError(f"the disk of {path.parent} is full: nothing was sent") from error
        return False
    return True
