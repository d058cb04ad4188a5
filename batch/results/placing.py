"""A small text file beside somebody's picture: read as it is, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from msgspec import Struct

from ..files import part_of, write_synced

LONGEST = 16 << 20
"""Bytes of a sidecar that is read; a larger one is somebody's and no caption."""


class Found(Struct, frozen=True):
    """A sidecar that stands there."""

    text: str
    """Bytes that are no UTF-8 come as lone surrogates, and are written back as they were."""
    mode: int
    mtime_ns: int

    def __bytes__(self) -> bytes:
        """The text as it stands in the file."""
        return self.text.encode("utf-8", "surrogateescape")


def read_sidecar(path: Path) -> Found | None:
    """The sidecar at a path; None when there is none, or nothing but white space in it.

    An empty file is what a captioner leaves that died while it wrote. A byte order mark and the
    last newlines are left out. Raises `OSError` for what cannot be read or is no regular file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if about.st_size > LONGEST:
            raise OSError(errno.EFBIG, "too large for a sidecar", str(path))
        data = os.read(fd, about.st_size + 1)
    finally:
        os.close(fd)
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").rstrip("\r\n")
    return Found(text, stat.S_IMODE(about.st_mode), about.st_mtime_ns) if text.strip() else None


def write_sidecar(path: Path, text: str, mode: int | None = None) -> None:
    """Put a text at a path: written beside it, synced, then renamed over what stood there.

    `mode` is that of the file which is replaced; a new one gets what the umask allows, because
    others shall read it as they read the picture. Raises `OSError`, and leaves no half file.
    """
    part = part_of(path)
    with contextlib.suppress(FileNotFoundError):
        part.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(part, "wb", opener=lambda name, _: os.open(name, flags, 0o666)) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            write_synced(file, [text.encode("utf-8", "surrogateescape")])
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def keep_backup(path: Path) -> None:
    """Give what stands at a path a second name, `a.txt.bak`, `a.txt.bak2` …, that nothing has yet.

    The file keeps its own name too until it is replaced, so at no moment is there none. Where the
    file system knows no second names it is a copy. Raises `OSError`.
    """
    number = 1
    while True:
        backup = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        try:
            return os.link(path, backup, follow_symlinks=False)
        except FileExistsError:
            if backup.samefile(path):
                return None  # a run was killed between the two steps
            number += 1
        except OSError:
            with open(backup, "xb") as file:
                return write_synced(file, [path.read_bytes()])
