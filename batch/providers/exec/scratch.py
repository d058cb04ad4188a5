"""The image files that commands are given: private, and gone with the run, however it ended."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from ...files import private
from ...models import Image
from ...scratch import ScratchFolder
from ...threads import in_thread

PREFIX = "overnight-exec-"
ENDINGS = {"image/jpeg": ".jpg"}
"""Endings that differ from their media type."""


class Scratch:
    """A folder of files, made when the first image needs it."""

    def __init__(self) -> None:
        self._folder: ScratchFolder | None = None
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
        """The folder."""
        if self._folder is None:
            self._folder = ScratchFolder(PREFIX)
        return self._folder.path

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            self._folder.close()
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
