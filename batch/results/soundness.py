"""Proves that a results file is whole: every line a record of ours, no id twice, nothing torn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..models import Result
from .index import file_lines
from .records import row_head


class StrictResult(Result, frozen=True, forbid_unknown_fields=True):
    """A line of the results file without anything that does not belong there."""


STRICT = msgspec.json.Decoder(StrictResult)


class Flaw(NamedTuple):
    """What is wrong with a results file in one place."""

    words: str
    stays: bool = False
    """Whether the next run leaves it, because the answer can still be read."""


def flaws(path: Path) -> Iterator[Flaw]:
    """What is wrong with a results file; nothing when it is sound; blocks."""
    seen: dict[int, int] = {}
    size = path.stat().st_size if path.exists() else 0
    end = 0
    for line in file_lines(path):
        if line.data is None:
            yield Flaw(f"{path}:{line.number}: the line is too long to be a record")
            end = size
            continue
        end = line.offset + len(line.data) + 1
        try:
            record = STRICT.decode(line.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            words = f"{path}:{line.number}: no sound record: {error}"
            yield Flaw(words, stays=row_head(line) is not None)
            continue
        if not record.id:
            yield Flaw(f"{path}:{line.number}: no sound record: the id is empty")
            continue
        first = seen.setdefault(hash(record.id), line.number)
        if first != line.number:
            words = f"{path}:{line.number}: the id {record.id!r} stands on line {first} too"
            yield Flaw(words)
    if end > size:
        words = "the last line has no newline: a run was cut off (the next one repairs it)"
        yield Flaw(f"{path}: {words}")
