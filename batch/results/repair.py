"""Makes the files of an earlier run loadable again before anything is appended to them.

Nothing is deleted: what is cut off goes to `STEM.torn`, answers of edited jobs to
`STEM.superseded.jsonl`, and both are on the disk before the results file changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from ..errors import OutputError
from ..lines import Line
from .index import Index, file_lines
from .paths import Paths
from .records import row_head

TAIL = 1 << 20


def repair_tail(paths: Paths) -> bool:
    r"""Mend a last line without its newline; whether there was one.

    After the last `\n` stands nothing, or a whole record (it gets its newline), or a fragment
    (copied to `STEM.torn`, synced, cut off). NUL bytes, which a power cut leaves, are a fragment.
    """
    try:
        fd = os.open(paths.results, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        size = os.fstat(fd).st_size
        start = last_line_start(fd, size)
        if start == size:
            return False
        tail = os.pread(fd, size - start, start)
        if row_head(Line(start, 0, tail)) is not None:
            os.pwrite(fd, b"\n", size)
        else:
            append_synced(paths.torn, [tail, b"\n"])
            os.ftruncate(fd, start)
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def last_line_start(fd: int, size: int) -> int:
    """The offset after the last newline; 0 when there is none."""
    end = size
    while end > 0:
        start = max(0, end - TAIL)
        at = os.pread(fd, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def set_aside(paths: Paths, index: Index, changed: Collection[int]) -> None:
    """Rewrite the results file without damaged, doubled and changed rows.

    `changed` are offsets of answers whose job was edited. The rows are copied out and synced
    first; the new file is counted before it replaces the old one. Raises `OutputError`.
    """
    superseded = {*changed, *index.doubled}
    damaged = set(index.damaged)
    if not superseded and not damaged:
        return
    try:
        for path, offsets in ((paths.superseded, superseded), (paths.torn, damaged)):
            if offsets:
                append_synced(path, lines_at(paths.results, offsets))
        gone = superseded | damaged
        replace_lines(paths.results, lambda line: line.offset not in gone, len(gone))
    except OSError as error:
        raise OutputError(f"cannot rewrite {paths.results}: {error.strerror}") from error


def lines_at(path: Path, offsets: Collection[int]) -> Iterator[bytes]:
    """The lines at some offsets, each with its newline."""
    return (raw_line(line) for line in file_lines(path) if line.offset in offsets)


def raw_line(line: Line) -> bytes:
    """A line as it stood, with its newline."""
    return (line.data or b"") + b"\n"


def append_synced(path: Path, lines: Iterable[bytes]) -> None:
    """Append to a file of set-aside lines; they are on the disk when this returns."""
    with open(path, "ab", opener=private) as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def replace_lines(path: Path, keep: Callable[[Line], bool], expected_gone: int | None) -> None:
    """Replace a file by its lines that `keep` accepts: temporary file, fsync, rename, fsync.

    When `expected_gone` is given and another number of lines went, nothing is replaced and an
    `OutputError` is raised.
    """
    part = path.with_name(f".{path.name}.part")
    gone = 0
    with open(part, "wb", opener=private) as file:
        for line in file_lines(path):
            if keep(line):
                file.write(raw_line(line))
            else:
                gone += 1
        file.flush()
        os.fsync(file.fileno())
    if expected_gone is not None and gone != expected_gone:
        part.unlink()
        raise OutputError(f"{path} changed while it was rewritten: {gone} lines would have gone")
    part.chmod(path.stat().st_mode & 0o777)
    part.replace(path)
    sync_folder(path.parent)


def private(path: str, flags: int) -> int:
    """Open a file that only its owner can read."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def sync_folder(folder: Path) -> None:
    """Make new and renamed names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
