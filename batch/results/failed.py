"""The failed file: jobs that ended without an answer, as lines that can be run as they are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..lines import Line
from .index import failed_row, file_lines
from .repair import replace_lines


def forget_failures(path: Path, settled: Collection[int]) -> None:
    """Take out the lines that are out of date once this run begins; blocks.

    `settled` are hashes of ids. Lines of bad job lines go too: the run that met them again writes
    them again. A file that would be empty is removed.
    """

    def keep(line: Line) -> bool:
        row = failed_row(line)
        return row is not None and row.failure.code != "bad_job" and hash(row.id) not in settled

    kept = gone = 0
    for line in file_lines(path):
        if keep(line):
            kept += 1
        else:
            gone += 1
    if gone and kept:
        replace_lines(path, keep, gone)
    elif gone:
        path.unlink()
