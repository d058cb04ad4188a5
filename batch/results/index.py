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
from .records import KEY_MASK, LONGEST_RECORD, ROW, ROW_FRAME, Row, decoded, key_bits, row_head

OFFSET_BIT, PROVIDER_BIT = 80, 64
"""A row is one integer: its offset, 16 bits for its provider, 64 bits of its key."""

MOST_PROVIDERS = 1 << OFFSET_BIT - PROVIDER_BIT
"""Names of providers that are told apart; what a strange file names beyond them has no name."""


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
    """Ids, keys and providers of the results file, by hash of the id: one integer a row."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[int, int] = {}
        self._providers: dict[str, int] = {"": 0}
        self._names = [""]
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
        rows, providers = index._rows, index._providers
        foreign = False
        for line in file_lines(path):
            head = row_head(line)
            if head is None:
                index.damaged.append(line.offset)
                foreign = foreign or not (rows or looks_torn(path, line) or is_framed(line))
                continue
            mark = hash(head.id)
            earlier = rows.get(mark)
            if earlier is not None:
                index.doubled.append(earlier >> OFFSET_BIT)
            provider = providers.get(head.provider)
            if provider is None:
                provider = index._numbered(head.provider)
            rows[mark] = line.offset << OFFSET_BIT | provider | key_bits(head.key)
        if foreign and not rows:
            raise UsageError(f"{path} is no results file of ours: give another -o")
        return index

    def _numbered(self, provider: str) -> int:
        """The number of a provider that was not met before, at its place in a row."""
        if len(self._names) == MOST_PROVIDERS:
            return 0
        self._providers[provider] = len(self._names) << PROVIDER_BIT
        self._names.append(provider)
        return self._providers[provider]

    def key_bits(self, name: str) -> int | None:
        """The first 64 bits of the key of an id; None when the id has no result."""
        packed = self._rows.get(hash(name))
        return None if packed is None else packed & KEY_MASK

    def provider(self, name: str) -> str:
        """Who answered the job of an id that has a result."""
        return self._names[(self._rows[hash(name)] >> PROVIDER_BIT) % MOST_PROVIDERS]

    def offset(self, name: str) -> int:
        """Where the result of an id begins."""
        return self._rows[hash(name)] >> OFFSET_BIT

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


def is_framed(line: Line) -> bool:
    """Whether a damaged line was a result of ours: only its answer is gone."""
    return decoded(ROW_FRAME, line) is not None


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
    finished_at: str = ""


class FailedRow(Struct, frozen=True):
    """What of a failed line is needed to resume."""

    id: str
    failure: FailureHead


FAILED_ROW = msgspec.json.Decoder(FailedRow)


class FailedIndex:
    """Ids of the failed file, with the key and nature of their failure."""

    def __init__(self) -> None:
        self._rows: dict[int, FailureHead] = {}
        self._outdated: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows)

    @classmethod
    def scan(cls, path: Path, since: str = "") -> FailedIndex:
        """Read a failed file; lines that are damaged are passed over, their jobs run again.

        So are failures from before the moment `since`.
        """
        index = cls()
        codes: dict[str, str] = {}
        for line in file_lines(path):
            row = failed_row(line)
            if row is not None and row.failure.finished_at < since:
                index._outdated.add(hash(row.id))
            elif row is not None:
                # One string object a code, not one a line.
                code = codes.setdefault(row.failure.code, row.failure.code)
                failure = msgspec.structs.replace(row.failure, code=code, finished_at="")
                index._rows[hash(row.id)] = failure
        return index

    def get(self, name: str) -> FailureHead | None:
        """The failure of an id, if it has one."""
        return self._rows.get(hash(name))

    def is_outdated(self, name: str) -> bool:
        """Whether an id has a failure that was passed over because it is too old."""
        return hash(name) in self._outdated


def failed_row(line: Line) -> FailedRow | None:
    """The id and failure of a line of the failed file; None when it is damaged."""
    return decoded(FAILED_ROW, line)
