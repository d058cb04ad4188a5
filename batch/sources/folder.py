"""A folder of images: one job a file, recursively, in natural order."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from ..errors import UsageError
from ..models import Job
from .entries import Entry, Problem
from .ids import Ids
from .parse import LONGEST_ID, BadLine, LineParser, hashed_id

SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".heif",
    }
)
"""File names that stand for images; whether the bytes are one is told from the bytes."""

GROUP = 4096
"""Files checked between two turns of the event loop."""

DIGITS = re.compile(r"(\d+)")
PLAIN_START = re.compile(r"[A-Za-z0-9_]")


class FolderSource:
    """The images of a folder as they stood when it was opened."""

    def __init__(self, name: str, folder: Path, parser: LineParser) -> None:
        self.name = name
        self.root = parser.root
        self.passed_over = 0
        self._folder = folder
        self._parser = parser
        try:
            self._files = sorted(image_files(str(folder), self.root), key=natural)
        except OSError as error:
            raise UsageError(f"cannot read {folder}: {error.strerror}") from error

    async def entries(self, ids: Ids) -> AsyncIterator[list[Entry]]:
        """Every image as a job."""
        for start in range(0, len(self._files), GROUP):
            group = range(start, min(start + GROUP, len(self._files)))
            yield [self._entry(at, ids) for at in group]

    def _entry(self, at: int, ids: Ids) -> Entry:
        """The job of one file."""
        try:
            job = self._job(at)
        except BadLine as error:
            return Entry(at, at + 1, None, Problem(self._files[at], str(error)))
        if ids.claim(job.id):
            return Entry(at, at + 1, job)
        words = f"the id {job.id!r} is taken: give --root with a folder that holds all sources"
        return Entry(at, at + 1, None, Problem(job.id, words, duplicate=True))

    def _job(self, at: int) -> Job:
        """The job of the file at an index; its id is the path."""
        path = self._files[at]
        # A prefix keeps a name like "~a.png" or "a:b.png" from looking like an address.
        plain = PLAIN_START.match(path) and ":" not in path
        return self._parser.job({"id": printable_id(path), "image": path if plain else f"./{path}"})

    async def jobs(self, addresses: array[int]) -> AsyncIterator[Job]:
        """The jobs of the files at `addresses`."""
        for at in addresses:
            yield self._job(at)

    def grown(self) -> bool:
        """Whether images came or went since the folder was opened."""
        return sorted(image_files(str(self._folder), self.root), key=natural) != self._files

    async def close(self) -> None:
        """Nothing is open."""


def image_files(folder: str, root: str) -> list[str]:
    """Paths of the image files under `folder`, relative to `root`, in no order.

    Hidden files and folders are left out. Links to folders are not followed; a link to a file is
    listed and held to the root when it is opened.
    """
    found: list[str] = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as items:
            for item in items:
                if item.name.startswith("."):
                    continue
                if item.is_dir(follow_symlinks=False):
                    waiting.append(item.path)
                elif Path(item.name).suffix.lower() in SUFFIXES:
                    found.append(os.path.relpath(item.path, root))
    return found


def natural(path: str) -> list[tuple[int, int | str]]:
    """A sort key under which `img_2` comes before `img_10`."""
    return [
        (0, int(piece)) if piece.isdigit() else (1, piece.lower())
        for piece in DIGITS.split(path.replace(os.sep, "\0"))
        if piece
    ]


def printable_id(path: str) -> str:
    """The path as an id: as it is when printable UTF-8, else percent-encoded, else its hash."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        size = LONGEST_ID + 1
    if not path.isprintable() or size > LONGEST_ID:
        path = quote(os.fsencode(path))
    return path if len(path) <= LONGEST_ID or size <= LONGEST_ID else hashed_id({"image": path})
