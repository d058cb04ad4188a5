"""The image files that commands are given: private, and gone with the run, however it ended."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ...files import private
from ...models import Image
from ...threads import in_thread

PREFIX = "overnight-exec-"
ENDINGS = {"image/jpeg": ".jpg"}
"""Endings that differ from their media type."""


class Scratch:
    """A folder (mode 700) in the system's temporary one, made when the first image needs it.

    A run that was killed leaves its folder behind. The lock on the folder died with the run, and
    that tells the next run, which removes it.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = -1
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def files(self, images: Sequence[Image]) -> AsyncIterator[list[str]]:
        """The paths of files (mode 600) that hold the images; they are removed at the end.

        Raises `OSError` when there is no room for them.
        """
        names = [f"{next(self._numbers)}{ending(image.media_type)}" for image in images]
        folder = self._opened() if images else Path()
        paths = [folder / name for name in names]
        try:
            if images:
                await in_thread(write_files, paths, images)
            yield [str(path) for path in paths]
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _opened(self) -> Path:
        """The folder, which nobody takes for an old one: it is locked before it has its name."""
        if self._folder is None:
            sweep(Path(tempfile.gettempdir()))
            unnamed = Path(tempfile.mkdtemp(prefix="overnight-new-"))
            self._lock = os.open(unnamed, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._folder = unnamed.with_name(PREFIX + unnamed.name.removeprefix("overnight-new-"))
            unnamed.rename(self._folder)
        return self._folder

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._folder = None


def ending(media_type: str) -> str:
    """The ending of a file's name by which commands tell the type of an image."""
    return ENDINGS.get(media_type, f".{media_type.rpartition('/')[2]}")


def write_files(paths: Sequence[Path], images: Sequence[Image]) -> None:
    """Write each image to its path; blocks."""
    for path, image in zip(paths, images, strict=True):
        fd = private(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(fd, "wb") as file:
            file.write(image.data)


def sweep(place: Path) -> None:
    """Remove our folders of runs that were killed; blocks."""
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(fd).st_uid == os.getuid():
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
            finally:
                os.close(fd)
