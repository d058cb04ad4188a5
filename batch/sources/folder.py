"""A folder of images, or one of them: one job a file, recursively, in natural order."""

from __future__ import annotations

import asyncio
import os
import re
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from ..errors import UsageError
from ..models import Job
from .decode import BadLine
from .entries import Entry, Problem
from .ids import LONGEST_ID, Ids, short_hash
from .ignore import Ignore
from .parse import LineParser
from .pictures import FROM_TEXT, picture_vars

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".apng",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
    ".hif",
)
"""File names that stand for images; whether the bytes are one is told from the bytes."""

GROUP = 4096
"""Files checked between two turns of the event loop."""

DIGITS = re.compile(r"(\d+)")
PLAIN_START = re.compile(r"[A-Za-z0-9_]")


class FolderRules(Struct, frozen=True):
    """Which files of a folder are its images."""

    suffixes: tuple[str, ...] = SUFFIXES
    """Endings in lower case."""
    exclude: tuple[str, ...] = ()
    """Patterns as in `.overnightignore`, which is heeded too."""


EVERY_IMAGE = FolderRules()

ReadMore = Callable[[str, str], Mapping[str, str]]
"""Root and reference of an image → further values for its prompt; blocks."""


class FolderSource:
    """The images of a folder as they stood when it was opened; of a file that is one, this one."""

    def __init__(
        self,
        name: str,
        path: Path,
        parser: LineParser,
        rules: FolderRules = EVERY_IMAGE,
        read_more: ReadMore | None = None,
    ) -> None:
        self.name = name
        self.root = parser.root
        self.passed_over = 0
        self._path = path
        self._parser = parser
        self._rules = rules
        self._names = parser.placeholders()
        self._read_more = read_more
        self._reads_files = bool(FROM_TEXT & self._names) or read_more is not None
        if not path.is_relative_to(self.root):
            raise UsageError(f"{name} is not inside --root {self.root}")
        try:
            self._files = self._listed()
        except OSError as error:
            raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error

    def _listed(self) -> list[str]:
        """The images as they stand now, as paths from the root; raises `OSError`."""
        if self._path.is_dir():
            return image_files(str(self._path), self.root, self._rules)
        self._path.stat()
        return [os.path.relpath(self._path, self.root)]

    def images(self) -> Iterator[tuple[str, str]]:
        """The id of every image and its path from the root."""
        return ((printable_id(path), path) for path in self._files)

    async def entries(self, ids: Ids) -> AsyncIterator[list[Entry]]:
        """Every image as a job."""
        for start in range(0, len(self._files), GROUP):
            group = range(start, min(start + GROUP, len(self._files)))
            if self._reads_files:
                yield await asyncio.to_thread(self._group, group, ids)
            else:
                yield self._group(group, ids)

    def _group(self, group: range, ids: Ids) -> list[Entry]:
        """The jobs of some files."""
        return [self._entry(at, ids) for at in group]

    def _entry(self, at: int, ids: Ids) -> Entry:
        """The job of one file."""
        try:
            job = self._job(at)
        except BadLine as error:
            return Entry(at, at + 1, None, Problem(printable_id(self._files[at]), str(error)))
        if ids.claim(job.id):
            return Entry(at, at + 1, job)
        words = f"the id {job.id!r} is taken: give --root with a folder that holds all sources"
        return Entry(at, at + 1, None, Problem(f"line-{at + 1}", words, taken=job.id))

    def _job(self, at: int) -> Job:
        """The job of the file at an index; its id is the path."""
        path = self._files[at]
        # A prefix keeps a name like "~a.png" or "a:b.png" from looking like an address.
        plain = PLAIN_START.match(path) and ":" not in path
        image = path if plain else f"./{path}"
        fields = {"id": printable_id(path), "image": image}
        if not self._names:
            return self._parser.job(fields)
        values = picture_vars(self.root, path, self._names)
        if self._read_more is not None:
            values.update(self._read_more(self.root, image))
        return self._parser.job({**fields, "vars": values})

    async def jobs(self, addresses: array[int]) -> AsyncIterator[Job]:
        """The jobs of the files at `addresses`."""
        for at in addresses:
            yield await asyncio.to_thread(self._job, at) if self._reads_files else self._job(at)

    def grown(self) -> bool:
        """Whether images came or went since the folder was opened."""
        try:
            return self._listed() != self._files
        except (OSError, UsageError):
            return True

    async def close(self) -> None:
        """Nothing is open."""


def image_files(folder: str, root: str, rules: FolderRules = EVERY_IMAGE) -> list[str]:
    """Paths of the image files under `folder`, relative to `root`, in natural order.

    Hidden files and folders are left out. Links to folders are not followed; a link to a file is
    listed and held to the root when it is opened. Raises `OSError` for a folder that cannot be
    read: images that are silently missing would be found out in the morning.
    """
    top = os.path.relpath(folder, root)
    prefix = "" if top == os.curdir else f"{top}/"
    cut = len(folder.rstrip("/")) + 1
    ignore = Ignore.of(folder, rules.exclude)
    found: list[str] = []
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            items = os.scandir(here)
        except FileNotFoundError:
            if here == folder:
                raise
            continue  # it went while we looked
        with items:
            for item in items:
                if item.name.startswith("."):
                    continue
                is_folder = item.is_dir(follow_symlinks=False)
                if not (is_folder or item.name.lower().endswith(rules.suffixes)):
                    continue
                if ignore.leaves_out(item.path[cut:], is_folder=is_folder):
                    continue
                if is_folder:
                    waiting.append(item.path)
                else:
                    found.append(prefix + item.path[cut:])
    return sorted(found, key=natural)


def natural(path: str) -> tuple[list[int | str], str]:
    """A sort key under which `img_2` comes before `img_10`; no two paths have the same."""
    pieces: list[int | str] = list(DIGITS.split(path.lower().replace(os.sep, "\0")))
    pieces[1::2] = map(int, pieces[1::2])
    return pieces, path


def printable_id(path: str) -> str:
    """The path as an id: as it is when printable UTF-8, else percent-encoded, else its hash."""
    raw = os.fsencode(path)
    name = path if path.isprintable() else quote(raw)
    if len(name.encode()) <= LONGEST_ID:
        return name
    return short_hash(raw)
