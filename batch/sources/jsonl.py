"""A JSONL job file: checked as a whole before the first request, read again for the run."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiofiles
import msgspec
from aiofiles.threadpool.binary import AsyncFileIO

from ..errors import UsageError
from ..lines import SLAB, Line, LineCutter
from ..models import Job
from .decode import BadLine, decoded
from .entries import Entry, Problem
from .ids import Ids, hashed_id, numbered
from .parse import LineParser, PassedOver

BOM = b"\xef\xbb\xbf"
MAGIC = {
    b"\x1f\x8b": "gzip: unpack it first (gunzip)",
    b"\x28\xb5\x2f\xfd": "zstd: unpack it first (unzstd)",
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "an image: give its folder, or a job file that names it",
    b"\xff\xd8\xff": "an image: give its folder, or a job file that names it",
}
GROUP = 256
"""Entries given at a time: few enough that their objects die before the collector walks them."""

NEAR = 4 << 20
"""Bytes between two wanted lines up to which reading on is cheaper than a seek."""

CHECK_BITS = 24
"""Of an address: a hash of the line, so that an edited one is not taken for what was checked. The
other 40 bits are its offset: files of up to a tebibyte."""


class JsonlSource:
    """An open job file; only what stood in it when it was opened counts."""

    def __init__(self, name: str, path: Path, parser: LineParser, longest: int) -> None:
        self.name = name
        self.root = parser.root
        self.passed_over = 0
        self._path = path
        self._parser = parser
        self._longest = longest
        self._renamed = array("Q")
        """Offsets of the lines whose derived id was taken, ascending."""
        self._numbers = array("l")
        """Beside each: which line of its name it is; negative for the name of its image."""
        self._file: AsyncFileIO | None = None
        try:
            with path.open("rb", buffering=0) as file:
                refuse_other_formats(name, file.read(16))
                self._fd = os.dup(file.fileno())
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        self._stat = os.fstat(self._fd)

    async def _lines(self, start: int = 0) -> AsyncGenerator[list[Line], None]:
        """Slabs of lines up to the size that the file had when it was opened."""
        if self._file is None:
            self._file = await aiofiles.open(self._fd, "rb", buffering=0, closefd=False)
        await self._file.seek(start)
        cutter = LineCutter(self._longest, start)
        left = self._stat.st_size - start
        while left > 0 and (slab := await self._file.read(min(SLAB, left))):
            left -= len(slab)
            yield cutter.cut(slab)
        yield cutter.rest()

    async def entries(self, ids: Ids) -> AsyncIterator[list[Entry]]:
        """Every line as a job or a problem; the first line may give defaults."""
        self.passed_over = 0
        del self._renamed[:], self._numbers[:]
        first = True
        async for lines in self._lines():
            entries: list[Entry] = []
            for line in lines:
                if len(entries) >= GROUP:
                    yield entries
                    entries = []
                data = text_of(line)
                if data is not None and not data.strip():
                    continue
                entry = self._entry(line, data, ids, first=first)
                first = False
                if entry is not None:
                    entries.append(entry)
            yield entries

    def _entry(self, line: Line, data: bytes | None, ids: Ids, *, first: bool) -> Entry | None:
        """The job or problem of a line; None when it stands for neither."""
        if data is None:
            return problem(line, f"longer than {self._longest} bytes (--max-line-bytes)")
        try:
            if first and self._parser.take_defaults(data):
                return None
            job = self._parser.parse(data)
        except PassedOver:
            self.passed_over += 1
            return None
        except BadLine as error:
            return problem(line, str(error))
        named = "id" in job.fields or "custom_id" in job.fields
        if not ids.claim(job.id):
            if named:
                return problem(line, f"the id {job.id!r} is taken", taken=job.id)
            job = self._renamed_job(line, job, hashed_id(decoded(data)), ids)
        elif job.images and not named:
            ids.claim(content_mark(hashed_id(decoded(data))))
        return Entry(address_of(line), line.number, job)

    def _renamed_job(self, line: Line, job: Job, content: str, ids: Ids) -> Job:
        """The job under another derived id.

        A line that repeats another is numbered; a second line about one image, which asks something
        else, gets the name of its `content`, so that no order of lines decides what it is called.
        """
        name, sign = (job.id, -1) if ids.holds(content_mark(content)) else (content, 1)
        number = 1 if name != job.id and ids.claim(name) else ids.claim_repeat(name)
        self._renamed.append(line.offset)
        self._numbers.append(sign * number)
        return msgspec.structs.replace(job, id=numbered(name, number))

    async def jobs(self, addresses: array[int]) -> AsyncIterator[Job]:
        """The jobs of the lines at `addresses` (ascending).

        A line that is no longer what was checked is passed over: the next run finds it.
        """
        wanted = iter(addresses)
        address = next(wanted, None)
        while address is not None:
            async with aclosing(self._lines(address >> CHECK_BITS)) as slabs:
                async for lines in slabs:
                    for line in lines:
                        if address is None or line.offset != address >> CHECK_BITS:
                            continue
                        if address_of(line) == address:
                            yield self._job(line)
                        address = next(wanted, None)
                    if address is None or (lines and is_far(lines[-1], address)):
                        break
                else:
                    return

    def _job(self, line: Line) -> Job:
        """The job of a line that was checked before."""
        data = text_of(line) or b""
        job = self._parser.parse(data)
        if not self._renamed:
            return job
        at = bisect_left(self._renamed, line.offset)
        if at == len(self._renamed) or self._renamed[at] != line.offset:
            return job
        number = self._numbers[at]
        name = job.id if number < 0 else hashed_id(decoded(data))
        return msgspec.structs.replace(job, id=numbered(name, abs(number)))

    def grown(self) -> bool:
        """Whether the file changed since it was opened, or another stands in its place."""
        try:
            now = self._path.stat()
        except OSError:
            return True
        then = self._stat
        return (now.st_ino, now.st_size, now.st_mtime_ns) != (
            then.st_ino,
            then.st_size,
            then.st_mtime_ns,
        )

    async def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            await self._file.close()
        os.close(self._fd)


def content_mark(content: str) -> str:
    """What is claimed for the content of a line that is named by its image; no id holds a NUL."""
    return f"\0{content}"


def text_of(line: Line) -> bytes | None:
    """The bytes of a line less the mark that may open a file; None when there were too many."""
    if line.offset == 0 and line.data is not None:
        return line.data.removeprefix(BOM)
    return line.data


def address_of(line: Line) -> int:
    """Where a line begins, and a check of what it holds."""
    return line.offset << CHECK_BITS | hash(line.data) & (1 << CHECK_BITS) - 1


def is_far(line: Line, address: int) -> bool:
    """Whether a seek to `address` is cheaper than reading on after `line`."""
    return (address >> CHECK_BITS) - line.offset > NEAR


def problem(line: Line, words: str, taken: str = "") -> Entry:
    """The entry of a line that is no job."""
    name = f"line-{line.number}"
    return Entry(address_of(line), line.number, None, Problem(name, words, taken))


def refuse_other_formats(name: str, head: bytes) -> None:
    """Raise `UsageError` when the first bytes tell another format than JSONL."""
    for magic, words in MAGIC.items():
        if head.startswith(magic):
            raise UsageError(f"{name} is no JSONL job file but {words}")
