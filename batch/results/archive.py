"""Answers that were set aside, and their way back: what was paid for once is not paid for twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ..models import Media
from .index import file_lines
from .paths import Paths
from .records import DATED_ROW, decoded
from .repair import append_synced, drop_lines, lines_at


class Archive:
    """The superseded answers of an output, by id and key; the last of equal ones counts."""

    def __init__(self) -> None:
        self._offsets: dict[int, int] = {}
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._offsets)

    @classmethod
    def scan(cls, path: Path, since: str = "") -> Archive:
        """Read a file of superseded answers.

        Damaged lines are passed over, and answers from before the moment `since`.
        """
        archive = cls()
        for line in file_lines(path):
            row = decoded(DATED_ROW, line)
            if row is not None and row.id and row.finished_at >= since:
                archive._offsets[hash((row.id, row.key))] = line.offset
                archive._ids.add(hash(row.id))
        return archive

    def holds(self, name: str) -> bool:
        """Whether an answer to a job of this id was set aside."""
        return hash(name) in self._ids

    def offset(self, name: str, key: str) -> int | None:
        """Where the answer to exactly this job begins; None when there is none."""
        return self._offsets.get(hash((name, key)))


def take_back(paths: Paths, offsets: Collection[int]) -> None:
    """Move superseded answers back into the results; blocks.

    They stand in the results, synced, before they leave the other file. A crash between the two
    leaves a copy there, which nobody asks for again. Raises `OSError` and `OutputError`.
    """
    if not offsets:
        return
    append_synced(paths.results, lines_at(paths.superseded, offsets))
    drop_lines(paths.superseded, offsets)
    if not paths.superseded.stat().st_size:
        paths.superseded.unlink()


def carry(results: Path, answers: Iterable[tuple[int, str, tuple[Media, ...]]]) -> None:
    """Append answers once more, each under another id and with other files; blocks.

    `answers` are offsets, ids and files. The line under the earlier id stays, as an orphan's.
    Raises `OSError` and `OutputError`.
    """
    wanted: dict[int, list[tuple[str, tuple[Media, ...]]]] = {}
    for offset, name, media in answers:
        wanted.setdefault(offset, []).append((name, media))
    if wanted:
        append_synced(results, renamed_lines(results, wanted))


def renamed_lines(
    results: Path, wanted: Mapping[int, Sequence[tuple[str, tuple[Media, ...]]]]
) -> Iterator[bytes]:
    """The lines at some offsets under their new ids."""
    for line in file_lines(results):
        if line.offset in wanted and line.data is not None:
            for name, media in wanted[line.offset]:
                fields = msgspec.json.decode(line.data)
                fields |= {"id": name, "media": media}
                yield msgspec.json.encode(fields) + b"\n"
