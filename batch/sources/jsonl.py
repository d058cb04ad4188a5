"""A JSONL job file: checked as a whole before the first request, read again for the run."""

from __future__ import annotations

import os
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiofiles
import msgspec

from ..errors import UsageError
from ..lines import SLAB, Line, LineCutter
from ..models import Job
from .entries import Entry, Problem
from .ids import Ids
from .parse import BadLine, LineParser, PassedOver, hashed_id

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


class JsonlSource:
    """An open job file; only what stood in it when it was opened counts."""

    def __init__(self, name: str, path: Path, parser: LineParser, longest: int) -> None:
        self.name = name
        self.root = parser.root
        self.passed_over = 0
        self._parser = parser
        self._longest = longest
        self._repeated: dict[int, str] = {}
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        self._stat = os.fstat(self._fd)
        self._path = path
        refuse_other_formats(name, os.pread(self._fd, 16, 0))
        self._file: Any = None

    async def _lines(self, start: int = 0) -> AsyncIterator[list[Line]]:
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
        first = True
        async for lines in self._lines():
            entries: list[Entry] = []
            for line in lines:
                if len(entries) >= GROUP:
                    yield entries
                    entries = []
                data = line.data
                if line.offset == 0 and data is not None:
                    data = data.removeprefix(BOM)
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
            words = f"longer than {self._longest} bytes (--max-line-bytes)"
            return Entry(line.offset, line.number, None, Problem(f"line-{line.number}", words))
        try:
            if first and self._parser.take_defaults(data):
                return None
            job = self._parser.parse(data)
        except PassedOver:
            self.passed_over += 1
            return None
        except BadLine as error:
            problem = Problem(f"line-{line.number}", str(error))
            return Entry(line.offset, line.number, None, problem)
        if ids.claim(job.id):
            return Entry(line.offset, line.number, job)
        return self._repeat(line, job, ids)

    def _repeat(self, line: Line, job: Job, ids: Ids) -> Entry:
        """The entry of a job whose id is taken: a problem if the line gave the id itself."""
        if "id" in job.fields or "custom_id" in job.fields:
            problem = Problem(job.id, f"the id {job.id!r} is taken", duplicate=True)
            return Entry(line.offset, line.number, None, problem)
        name = hashed_id(job.fields)
        if name == job.id or not ids.claim(name):
            name = ids.claim_repeat(name)
        self._repeated[line.offset] = name
        return Entry(line.offset, line.number, msgspec.structs.replace(job, id=name))

    async def jobs(self, addresses: array[int]) -> AsyncIterator[Job]:
        """The jobs of the lines that begin at `addresses` (ascending).

        A line that is no longer the job that was checked is passed over: it is found by the next
        run.
        """
        wanted = iter(addresses)
        offset = next(wanted, None)
        while offset is not None:
            async for lines in self._lines(offset):
                for line in lines:
                    if line.offset != offset:
                        continue
                    job = self._job(line)
                    if job is not None:
                        yield job
                    offset = next(wanted, None)
                if offset is None or (lines and offset - lines[-1].offset > NEAR):
                    break
            else:
                break

    def _job(self, line: Line) -> Job | None:
        """The job of a line that was checked before."""
        data = (line.data or b"").removeprefix(BOM)
        try:
            job = self._parser.parse(data)
        except (BadLine, PassedOver):
            return None
        name = self._repeated.get(line.offset)
        return msgspec.structs.replace(job, id=name) if name else job

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


def refuse_other_formats(name: str, head: bytes) -> None:
    """Raise `UsageError` when the first bytes tell another format than JSONL."""
    for magic, words in MAGIC.items():
        if head.startswith(magic):
            raise UsageError(f"{name} is no JSONL job file but {words}")
