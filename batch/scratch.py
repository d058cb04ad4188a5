"""Folders for files of a moment: private, and gone with the run, however it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

NEW = "overnight-new-"


class ScratchFolder:
    """A folder (mode 700) in the system's temporary one.

    A run that was killed leaves its folder behind. The lock on the folder died with the run, and
    that tells the next run, which removes it. Raises `OSError` when there is no room for it.
    """

    def __init__(self, prefix: str) -> None:
        sweep(Path(tempfile.gettempdir()), prefix)
        # Nobody takes it for an old one: it is locked before it has its name.
        unnamed = Path(tempfile.mkdtemp(prefix=NEW))
        self._lock = os.open(unnamed, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = unnamed.with_name(prefix + unnamed.name.removeprefix(NEW))
        unnamed.rename(self.path)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep(place: Path, prefix: str) -> None:
    """Remove our folders of runs that were killed; blocks."""
    for folder in place.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(fd).st_uid == os.getuid():
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(fd)
