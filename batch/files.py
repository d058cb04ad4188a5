"""Writing files so that they are private, whole, and on the disk."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import IO

NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})
"""What file systems say that cannot sync a folder, or do not let it be read."""


LONGEST_NAME = 240
"""Bytes of a name that leave room for the dot and the `.part` of its temporary file."""


def part_of(path: Path) -> Path:
    """The temporary file that shall replace a file: hidden beside it, and never too long a name."""
    raw = os.fsencode(path.name)
    name = path.name if len(raw) <= LONGEST_NAME else hashlib.sha256(raw).hexdigest()[:16]
    return path.with_name(f".{name}.part")


FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Follows no link and never waits for a pipe or a device."""

NO_FILE = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP})
"""What the system says to `PLAIN` of a link, a pipe that nobody reads, a socket."""


def private(path: str, flags: int) -> int:
    """Open a file of ours as `open` does; if it is new, only its owner can read it.

    Its folder may be one that others write into, who can guess its name. So a link, a pipe and a
    device raise `OSError`; for writing also a second name of another file and, where each may
    only touch his own (`/tmp`), somebody else's file. Nothing is cut before that is known.
    """
    try:
        fd = os.open(path, flags & ~os.O_TRUNC | PLAIN, 0o600)
    except OSError as error:
        if error.errno in NO_FILE:
            raise foreign(path) from error
        raise
    try:
        about = os.fstat(fd)
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if not stat.S_ISREG(about.st_mode) or (writes and is_planted(path, about)):
            raise foreign(path)
        if flags & os.O_TRUNC:
            os.ftruncate(fd, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def anew(path: str, flags: int) -> int:
    """Open a temporary file that only its owner can read, in place of whatever stands there."""
    Path(path).unlink(missing_ok=True)
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def foreign(path: str) -> OSError:
    """The error for what stands in the place of a file of ours."""
    words = "something else stands there: a link, a pipe, or a file of somebody else"
    return OSError(errno.EPERM, words, path)


def is_planted(path: str, about: os.stat_result) -> bool:
    """Whether what is written to a file would be somebody else's.

    It has a second name, or stands in a sticky folder and belongs neither to us nor to its owner.
    """
    if about.st_nlink > 1 or about.st_uid == os.geteuid():
        return about.st_nlink > 1
    folder = Path(path).parent.stat()
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    return bool(shared) and about.st_uid != folder.st_uid


def read_private(path: Path, most: int) -> bytes:
    """The first `most` bytes of a small file of ours; raises `OSError` as `private` does."""
    fd = private(str(path), os.O_RDONLY)
    with open(fd, "rb", buffering=0) as file:
        return b"".join(pieces_of(file, most))


def pieces_of(file: IO[bytes], most: int) -> Iterable[bytes]:
    """The bytes of an unbuffered file as they come, but not more than `most`."""
    while most > 0 and (piece := file.read(most)):
        yield piece
        most -= len(piece)


def open_below(root: str, path: str) -> int:
    """Open the file at `path` for reading, folder by folder from `root`, through no link at all.

    Whoever holds the descriptor closes it. Raises `OSError`; never waits for a pipe or a device.
    """
    *folders, name = [part for part in path.split("/") if part not in ("", ".")] or ["."]
    here = os.open(root or ".", FOLDER)
    try:
        for folder in folders:
            inner = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        return os.open(name, os.O_RDONLY | PLAIN, dir_fd=here)
    finally:
        os.close(here)


def read_below(root: str, path: str, most: int) -> bytes:
    """The first `most` bytes of a regular file; raises `OSError` for links and all else."""
    with open(open_below(root, path), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no regular file", path)
        return b"".join(pieces_of(file, most))


def write_synced(file: IO[bytes], pieces: Iterable[bytes]) -> None:
    """Write pieces to an open file; they are on the disk when this returns."""
    file.writelines(pieces)
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make new and renamed names in a folder durable, where its file system can."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise
