"""Writing files so that they are private, whole, and on the disk."""

from __future__ import annotations

import errno
import hashlib
import os
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


def private(path: str, flags: int) -> int:
    """Open a file that, if it is new, only its owner can read."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


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
