"""The failed file: jobs that ended without an answer, as lines that can be run as they are.

A line leaves it once a later run has settled its job, not when that run begins: whatever kills the
run, the word of why the job failed stays.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..files import sync_folder
from .index import failed_row, file_lines
from .paths import Paths
from .records import row_head
from .repair import append_synced, drop_lines, lines_at


def forget_failures(paths: Paths, settled: Collection[int]) -> None:
    """Take out the lines that are out of date; raises `OSError` and `OutputError`.

    Out of date are lines whose id, by hash, is in `settled`, all but the last of an id, and those
    of bad job lines, which the run that meets them again writes again. Damaged lines move to
    `STEM.torn`. A file that would be empty is removed.
    """
    last: dict[int, int] = {}
    gone: set[int] = set()
    damaged: set[int] = set()
    for line in file_lines(paths.failed):
        row = failed_row(line)
        if row is None:
            damaged.add(line.offset)
        elif row.failure.code == "bad_job" or hash(row.id) in settled:
            gone.add(line.offset)
        else:
            gone |= {last[mark]} if (mark := hash(row.id)) in last else set()
            last[mark] = line.offset
    if damaged:
        append_synced(paths.torn, lines_at(paths.failed, damaged))
    take_out(paths.failed, gone | damaged, keeps_some=bool(last))


def settle_failures(paths: Paths, since: int) -> None:
    """Take out what the run has settled: answered from `since` on in the results, or failed anew.

    Raises `OSError` and `OutputError`.
    """
    lines: dict[int, list[int]] = {}
    for line in file_lines(paths.failed):
        if (row := failed_row(line)) is not None:
            lines.setdefault(hash(row.id), []).append(line.offset)
    gone = {offset for offsets in lines.values() for offset in offsets[:-1]}
    if lines:
        for line in file_lines(paths.results, start=since):
            head = row_head(line)
            gone.update(lines.pop(hash(head.id), ()) if head else ())
    take_out(paths.failed, gone, keeps_some=bool(lines))


def take_out(path: Path, gone: Collection[int], *, keeps_some: bool) -> None:
    """Take lines out of a file, or the file away when none would stay."""
    if gone and keeps_some:
        drop_lines(path, gone)
    elif gone:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
