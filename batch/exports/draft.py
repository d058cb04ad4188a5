"""Files in the making: nobody sees them before they are whole, and no link leads them astray.

Folders to write into may come from strangers, as results files do. Below the folder that the user
named every step is opened from the one before it and no link is followed, neither in a folder's
place nor in that of the file or its draft.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ..errors import Locked
from ..files import FOLDER, part_of
from ..lines import SLAB
from .terms import Taken

DRAFT = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

OF_ONE_FILE = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EISDIR})
"""What keeps one file from being written, but not the next."""


class Draft:
    """A file that is written under another name and takes its place when it is kept.

    `path` is relative to `root`, with `/` between its parts. Raises `OSError`, and `Locked` when
    another export writes the same file. Leaving the `with` block removes what was not kept. The
    file is private, or what the umask allows where it is one among the user's pictures.
    """

    def __init__(self, root: Path, path: str, *, among_pictures: bool = False) -> None:
        *folders, self._name = path.split("/")
        self._part = part_of(Path(self._name)).name
        self._path = root / path
        self.path = self._path.with_name(self._part)
        """Where the draft stands."""
        self._folder = open_folder(root, folders, make=among_pictures)
        mode = 0o666 if among_pictures else 0o600
        try:
            self.file: BinaryIO = os.fdopen(open_part(self._folder, self._part, mode), "w+b")
        except BlockingIOError as error:
            os.close(self._folder)
            raise Locked(f"another export is writing {self._path}") from error
        except OSError:
            os.close(self._folder)
            raise
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if not self._kept:
            with suppress(FileNotFoundError):
                os.unlink(self._part, dir_fd=self._folder)
        os.close(self._folder)
        with suppress(OSError):  # what could not be written was told, and is gone
            self.file.close()

    def keep(self, *, overwrite: bool) -> bool:
        """Bring the draft to the disk and into its place; blocks.

        False when the very same file stands there already. Raises `OSError`, and `Taken` when
        another one does and `overwrite` is not set.
        """
        self.file.flush()
        if (same := self._is_there()) is not None:
            if same:
                return False
            if not overwrite:
                raise Taken(str(self._path))
        os.fsync(self.file.fileno())
        os.replace(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._kept = True
        return True

    def _is_there(self) -> bool | None:
        """Whether the same bytes stand there already; None when nothing does."""
        try:
            fd = os.open(self._name, EXISTING, dir_fd=self._folder)
        except FileNotFoundError:
            return None
        except OSError:
            return False  # a link, a socket, a file that may not be read
        with os.fdopen(fd, "rb") as there:
            return stat.S_ISREG(os.fstat(fd).st_mode) and self._is_same(there)

    def _is_same(self, there: BinaryIO) -> bool:
        """Whether an open file holds the bytes of the draft."""
        if os.fstat(there.fileno()).st_size != self.file.seek(0, os.SEEK_END):
            return False
        self.file.seek(0)
        while piece := there.read(SLAB):
            if piece != self.file.read(SLAB):
                return False
        return True


def write_file(root: Path, path: str, pieces: Iterable[bytes], *, overwrite: bool) -> bool:
    """Write a small file among pictures; whether it is new or changed. Raises as `Draft` does."""
    with Draft(root, path, among_pictures=True) as draft:
        draft.file.writelines(pieces)
        return draft.keep(overwrite=overwrite)


def open_folder(root: Path, folders: Sequence[str], *, make: bool) -> int:
    """Open a folder step by step from `root`, refusing every link on the way.

    With `make` missing ones are made.
    """
    here = os.open(root, FOLDER)
    try:
        for folder in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=here)
            inner = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
    except OSError:
        os.close(here)
        raise
    return here


def open_part(folder: int, name: str, mode: int) -> int:
    """Open and empty the draft `name`, locked, so that two exports never share one.

    Raises `BlockingIOError` when another export has it, or had it a moment ago.
    """
    fd = os.open(name, DRAFT, mode, dir_fd=folder)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        check_part(os.fstat(fd), os.stat(name, dir_fd=folder, follow_symlinks=False))
        os.ftruncate(fd, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def check_part(ours: os.stat_result, there: os.stat_result) -> None:
    """Raise `OSError` for a draft that is no plain file, or took its place before it was locked."""
    if not os.path.samestat(ours, there):
        raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
    if not stat.S_ISREG(ours.st_mode) or ours.st_nlink > 1:
        raise OSError(errno.EPERM, "something else stands where the draft is to be")
