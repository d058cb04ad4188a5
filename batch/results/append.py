"""A file that only grows, by whole lines, and the space that is kept for its last ones.

No text wrapper and no buffer stands between a line and the kernel: a buffer would hide a full disk
until the file is closed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError
from ..files import anew, part_of, private, sync_folder, write_synced
from ..lines import SLAB

RESERVE = 4 << 20
"""Bytes set aside for the answers in flight when the disk fills up."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class AppendFile:
    """A regular file that is only appended to, one whole line at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        try:
            existed = path.exists()
            self._fd = private(str(path), flags)
            self.began = os.fstat(self._fd).st_size
            """The size when it was opened: what is beyond was appended since."""
            if not existed:
                sync_folder(path.parent)
        except OSError as error:
            raise OutputError(f"cannot create {path}: {error.strerror}", 73) from error
        self._size = self.began
        self._broken: OSError | None = None
        self._unsynced: OSError | None = None

    def append(self, line: bytes) -> None:
        """Write a line whole or not at all; raises `OSError`."""
        if self._broken is not None:
            raise self._broken
        written = os.write(self._fd, line)
        if written != len(line):
            self._cut_back(written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._size += written

    def _cut_back(self, written: int) -> None:
        """Take the first bytes of a line off again; nothing may follow them if that fails."""
        try:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
        except OSError as error:
            self._broken = error
            raise

    def sync(self) -> None:
        """Bring what was written to the disk; raises `OSError` when the file is not ours now.

        Once that failed it fails for ever: the kernel forgets what it could not write, so a second
        try would succeed without it.
        """
        size = self._size  # before the look at the file, which may grow while it is looked at
        if self._unsynced is not None:
            raise self._unsynced
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            self._unsynced = error
            raise
        if self.is_lost():
            raise OSError(errno.ESTALE, "the file was removed or replaced during the run")
        if os.fstat(self._fd).st_size < size:
            raise OSError(errno.EIO, "the file was cut by another program")

    def is_lost(self) -> bool:
        """Whether another file, or none, stands under the name of this one."""
        try:
            return not os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return True

    def put_back(self) -> Path | None:
        """Save a file that has no name any more, under its own name if that is free.

        Returns where its lines are now; None when they still have a name, wherever it was moved.
        Raises `OSError`.
        """
        if os.fstat(self._fd).st_nlink:
            return None
        part = part_of(self.path)
        with open(part, "wb", opener=anew) as file:
            write_synced(file, self._slabs())
        saved = self.path
        try:
            os.link(part, saved)
            part.unlink()
        except OSError:  # the name is taken, or this disk knows no second names
            saved = self.path.with_name(f"{self.path.name}.rescued-{os.getpid()}")
            part.replace(saved)
        sync_folder(saved.parent)
        return saved

    def _slabs(self) -> Iterator[bytes]:
        """The bytes of the file, whatever its name is by now."""
        at = 0
        while slab := os.pread(self._fd, SLAB, at):
            at += len(slab)
            yield slab

    def close(self) -> None:
        """Close the file; what could go wrong with its lines was told by `sync`."""
        with contextlib.suppress(OSError):
            os.close(self._fd)


class Reserve:
    """Space set aside for the last answers, as a file; none where the file system cannot.

    Raises `OutputError` (74) when the disk is full already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = True
        try:
            fd = anew(str(path), os.O_WRONLY)
            try:
                os.posix_fallocate(fd, 0, RESERVE)
            finally:
                os.close(fd)
        except OSError as error:
            self.release()
            if error.errno in FULL:
                words = f"{path.parent} has no room for answers ({RESERVE >> 20} MiB to begin)"
                raise OutputError(f"{words}: {error.strerror}: nothing was sent") from error

    def release(self) -> bool:
        """Free the space, once; whether there was some."""
        if self._held:
            with contextlib.suppress(OSError):  # what stands there is none of ours
                self._path.unlink(missing_ok=True)
        had, self._held = self._held, False
        return had
