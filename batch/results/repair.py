"""Makes the files of an earlier run loadable again before anything is appended to them.

Nothing is deleted: what is cut off goes to `STEM.torn`, answers of edited jobs to
`STEM.superseded.jsonl`, and both are on the disk before the file they came from changes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from ..errors import OutputError
from ..files import anew, part_of, private, sync_folder, write_synced
from ..lines import SLAB, Line
from .index import Index, failed_row, file_lines
from .paths import Paths
from .records import row_head


def clean_up(paths: Paths) -> None:
    """Remove what a killed run left that no later run would ask for."""
    for path in (paths.results, paths.failed, paths.superseded, paths.state, paths.spool):
        part_of(path).unlink(missing_ok=True)
    paths.reserve.unlink(missing_ok=True)


def repair_tails(paths: Paths) -> int:
    """Mend last lines without their newline in every file that is appended to.

    Returns how many fragments were cut off and moved to `STEM.torn`; raises `OSError`.
    """
    return (
        repair_tail(paths.results, paths.torn, row_head)
        + repair_tail(paths.failed, paths.torn, failed_row)
        + repair_tail(paths.superseded, paths.torn, row_head)
    )


def repair_tail(path: Path, torn: Path, read: Callable[[Line], object]) -> bool:
    r"""Mend a last line without its newline; whether it was a fragment.

    After the last `\n` stands nothing, or a whole record that `read` accepts (it gets its newline),
    or a fragment (copied to `torn`, synced, cut off). NUL bytes, which a power cut leaves, are a
    fragment.
    """
    try:
        fd = private(str(path), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        size = os.fstat(fd).st_size
        start = last_line_start(fd, size)
        if start == size:
            return False
        last = next(file_lines(path, start=start))
        whole = read(last) is not None
        if whole:
            os.pwrite(fd, b"\n", size)
        else:
            append_synced(torn, raw_pieces(path, last))
            os.ftruncate(fd, start)
        os.fsync(fd)
    finally:
        os.close(fd)
    return not whole


def last_line_start(fd: int, size: int) -> int:
    """The offset after the last newline; 0 when there is none."""
    end = size
    while end > 0:
        start = max(0, end - SLAB)
        at = os.pread(fd, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def set_aside(paths: Paths, index: Index, changed: Collection[int]) -> None:
    """Rewrite the results file without damaged, doubled and changed rows.

    `changed` are offsets of answers whose job was edited. The rows are copied out and synced
    first; the new file is counted before it replaces the old one. Raises `OSError`, and
    `OutputError` when the count is not right.
    """
    superseded = {*changed, *index.doubled}
    damaged = set(index.damaged)
    for path, offsets in ((paths.superseded, superseded), (paths.torn, damaged)):
        if offsets:
            append_synced(path, lines_at(paths.results, offsets))
    if gone := superseded | damaged:
        drop_lines(paths.results, gone)


def lines_at(path: Path, offsets: Collection[int]) -> Iterator[bytes]:
    """The bytes of the lines at some offsets, each with its newline."""
    for line in file_lines(path):
        if line.offset in offsets:
            yield from raw_pieces(path, line)


def raw_pieces(path: Path, line: Line) -> Iterator[bytes]:
    """A line as it stands, with its newline; one too long to be held is read piece by piece."""
    if line.data is not None:
        yield line.data + b"\n"
        return
    with path.open("rb", buffering=0) as file:
        file.seek(line.offset)
        while slab := file.read(SLAB):
            piece, newline, _ = slab.partition(b"\n")
            yield piece
            if newline:
                break
    yield b"\n"


def append_synced(path: Path, lines: Iterable[bytes]) -> None:
    """Append to a file of set-aside lines; they are on the disk when this returns."""
    with open(path, "ab", opener=private) as file:
        write_synced(file, lines)
    sync_folder(path.parent)


def drop_lines(path: Path, gone: Collection[int]) -> None:
    """Replace a file by its lines but those at `gone`: temporary file, fsync, rename, fsync.

    When another number of lines would go, nothing is replaced and an `OutputError` is raised.
    """
    part = part_of(path)
    try:
        copy_without(path, part, gone)
        part.chmod(path.stat().st_mode & 0o777)
        part.replace(path)
    except (OSError, OutputError):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def copy_without(path: Path, target: Path, gone: Collection[int]) -> None:
    """Copy the lines of a file but those at `gone`, count, and sync the copy."""
    dropped = 0

    def kept() -> Iterator[bytes]:
        nonlocal dropped
        for line in file_lines(path):
            if line.offset in gone:
                dropped += 1
            else:
                yield from raw_pieces(path, line)

    with open(target, "wb", opener=anew) as file:
        write_synced(file, kept())
    if dropped != len(gone):
        words = f"{dropped} lines would have gone instead of {len(gone)}"
        raise OutputError(f"{path} changed while it was rewritten: {words}")
