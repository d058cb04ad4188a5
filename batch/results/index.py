"""What the results and failed files hold, in about 120 bytes a line."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from ..errors import UsageError
from ..files import private
from ..lines import SLAB, Line, LineCutter
from .records import KEY_MASK, LONGEST_RECORD, ROW, Row, decoded, key_bits, row_head


def file_lines(path: Path, longest: int = LONGEST_RECORD, start: int = 0) -> Iterator[Line]:
    """The lines of a file from the offset `start` on; none when it does not exist."""
    try:
        fd = private(str(path), os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.lseek(fd, start, os.SEEK_SET)
        cutter = LineCutter(longest, start)
        while slab := os.read(fd, SLAB):
            yield from cutter.cut(slab)
        yield from cutter.rest()
    finally:
        os.close(fd)


class Index:
    """Ids and keys of the results file, by hash: one integer a row holds offset and key bits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[int, int] = {}
        self.damaged: list[int] = []
        """Offsets of lines that are no results."""
        self.doubled: list[int] = []
        """Offsets of lines whose id stands again further down."""

    def __len__(self) -> int:
        return len(self._rows)

    @classmethod
    def scan(cls, path: Path) -> Index:
        """Read a results file; a torn last line counts as damaged.

        Raises `UsageError` when the file holds lines but none of them is a result, and no crash
        could have left them so: it is somebody's other file.
        """
        index = cls(path)
        foreign = False
        for line in file_lines(path):
            head = row_head(line)
            if head is None:
                index.damaged.append(line.offset)
                foreign = foreign or not (index._rows or looks_torn(path, line))
                continue
            mark = hash(head.id)
            earlier = index._rows.get(mark)
            if earlier is not None:
                index.doubled.append(earlier >> 64)
            index._rows[mark] = line.offset << 64 | key_bits(head.key)
        if foreign and not index._rows:
            raise UsageError(f"{path} is no results file of ours: give another -o")
        return index

    def key_bits(self, name: str) -> int | None:
        """The first 64 bits of the key of an id; None when the id has no result."""
        packed = self._rows.get(hash(name))
        return None if packed is None else packed & KEY_MASK

    def offset(self, name: str) -> int:
        """Where the result of an id begins."""
        return self._rows[hash(name)] >> 64

    def row(self, name: str) -> Row:
        """The result of an id, read again from the file; bare when it is not as it should be."""
        offset = self.offset(name)
        with self._path.open("rb") as file:
            file.seek(offset)
            line = Line(offset, 0, file.readline())
        return decoded(ROW, line) or Row(name, "")

    def answered(self, marks: Collection[int]) -> set[int]:
        """Those of some hashes of ids that have a result."""
        return {mark for mark in marks if mark in self._rows}


def looks_torn(path: Path, line: Line) -> bool:
    """Whether a damaged line may be what a crash left of the first records of a run.

    That is: blocks of NUL where a power cut kept the size but not the bytes, or the unfinished
    beginning of a record at the very end. A blank line is nobody's either.
    """
    if line.data is None:
        return False
    if not line.data or line.data.startswith(b"\0"):
        return True
    start = b'{"id":"'
    begun = line.data.startswith(start) or start.startswith(line.data.rstrip(b"\0"))
    return begun and not is_json(line.data) and line.offset + len(line.data) == path.stat().st_size


def is_json(data: bytes) -> bool:
    """Whether some bytes are JSON."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class FailureHead(Struct, frozen=True):
    """What of a `failure` object is needed to resume."""

    code: str
    key: str = ""
    retryable: bool = False


class FailedRow(Struct, frozen=True):
    """What of a failed line is needed to resume."""

    id: str
    failure: FailureHead


FAILED_ROW = msgspec.json.Decoder(FailedRow)


class FailedIndex:
    """Ids of the failed file, with the key and nature of their failure."""

    def __init__(self) -> None:
        self._rows: dict[int, FailureHead] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @classmethod
    def scan(cls, path: Path) -> FailedIndex:
        """Read a failed file; lines that are damaged are passed over, their jobs run again."""
        index = cls()
        codes: dict[str, str] = {}
        for line in file_lines(path):
            row = failed_row(line)
            if row is not None:
                # One string object a code, not one a line.
                code = codes.setdefault(row.failure.code, row.failure.code)
                index._rows[hash(row.id)] = msgspec.structs.replace(row.failure, code=code)
        return index

    def get(self, name: str) -> FailureHead | None:
        """The failure of an id, if it has one."""
        return self._rows.get(hash(name))


def failed_row(line: Line) -> FailedRow | None:
    """The id and failure of a line of the failed file; None when it is damaged."""
    return decoded(FAILED_ROW, line)
