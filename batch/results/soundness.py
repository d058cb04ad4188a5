"""Proves that a results file is whole: every line a record of ours, no id twice, nothing torn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..models import Result
from .index import file_lines


class StrictResult(Result, frozen=True, forbid_unknown_fields=True):
    """A line of the results file without anything that does not belong there."""


STRICT = msgspec.json.Decoder(StrictResult)


def unsound_lines(path: Path) -> Iterator[str]:
    """What is wrong with a results file, a sentence a line; nothing when it is sound; blocks."""
    seen: dict[int, int] = {}
    size = path.stat().st_size if path.exists() else 0
    end = 0
    for line in file_lines(path):
        if line.data is None:
            yield f"{path}:{line.number}: the line is too long to be a record"
            end = size
            continue
        end = line.offset + len(line.data) + 1
        try:
            record = STRICT.decode(line.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield f"{path}:{line.number}: no sound record: {error}"
            continue
        if not record.id:
            yield f"{path}:{line.number}: no sound record: the id is empty"
            continue
        first = seen.setdefault(hash(record.id), line.number)
        if first != line.number:
            yield f"{path}:{line.number}: the id {record.id!r} stands on line {first} too"
    if end > size:
        yield f"{path}: the last line has no newline: a run was cut off (the next one repairs it)"
