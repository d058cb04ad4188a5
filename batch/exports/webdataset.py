"""Tar shards for WebDataset loaders: image, caption and result line of each answer.

Source: webdataset's `tariterators.py`: the members of a sample are those whose names are equal up
to the first dot. Headers are those of GNU tar, which every reader of tar files knows; nothing in
them tells when or by whom they were written, so that the same results make the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import JobError
from .answers import Answers
from .captions import Caption, captions, read_image, shared
from .draft import Draft
from .terms import Export, LeftOut, Written

NO_KEY = re.compile(r"[\x00-\x1f\x7f./\\]")
"""Dots and slashes, which end a key, and what no file name should hold."""

LONGEST_KEY = 200
"""Bytes; with an extension it is a file name that every file system takes."""

END = b"\0" * 1024
"""Two empty blocks end a tar file."""


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write `NAME-000000.tar` and on; each takes its place when it is whole."""
    twice = shared(captions(answers, export, LeftOut()), key_of)
    rows = 0
    with Shards(export) as shards:
        for found in captions(answers, export, left_out):
            try:
                data = read_image(found, export.root, export.images)
            except JobError as error:
                left_out.add(found.answer.result.id, str(error))
                continue
            name = key(found, alone=hash(key_of(found)) not in twice)
            shards.add(members(name, found, data))
            rows += 1
        shards.finish()
    for path in older_shards(export.out, shards.count):
        if export.overwrite:
            path.unlink()
        else:
            left_out.add(str(path), "a shard of an earlier export: --overwrite removes it")
    last = max(shards.count - 1, 0)
    span = f"{{000000..{last:06d}}}" if last else "000000"
    place = f"{export.out}-{span}.tar"
    load = f"webdataset.WebDataset({json.dumps(place, ensure_ascii=False)}, shardshuffle=False)"
    return Written(rows, shards.written, place, load)


def key_of(found: Caption) -> str:
    """The path as a key: no dots, no slashes."""
    return NO_KEY.sub("_", found.stem)


def key(found: Caption, *, alone: bool) -> str:
    """A key that no other sample has: where two paths make one, the id's hash tells them apart."""
    plain = key_of(found)
    if alone and len(plain.encode()) <= LONGEST_KEY:
        return plain
    digest = hashlib.sha256(found.answer.result.id.encode()).hexdigest()[:12]
    return f"{plain.encode()[: LONGEST_KEY - 13].decode(errors='ignore')}-{digest}"


def members(name: str, found: Caption, data: bytes) -> tuple[bytes, ...]:
    """The pieces of a sample: headers, contents and what fills their blocks."""
    contents = ((found.kind, data), ("txt", found.text.encode()), ("json", found.answer.line))
    pieces: list[bytes] = []
    for kind, content in contents:
        head = tarfile.TarInfo(f"{name}.{kind}")
        head.size = len(content)
        pieces += (head.tobuf(tarfile.GNU_FORMAT, "utf-8"), content, b"\0" * (-len(content) % 512))
    return tuple(pieces)


class Shards:
    """The shards of an export, one open at a time."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._draft: Draft | None = None
        self._samples = 0
        self._size = 0
        self.count = 0
        """Shards that stand in their place."""
        self.written = 0
        """Those among them that are new or replaced."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._draft is not None:
            self._draft.__exit__(kind, error, trace)

    def add(self, pieces: tuple[bytes, ...]) -> None:
        """Add a sample, to a new shard when the open one is full; raises `OSError` and `Taken`."""
        size = sum(map(len, pieces)) + len(END)
        full = self._size + size > self._export.maxsize
        if self._samples >= self._export.maxcount or (self._samples and full):
            self.finish()
        if self._draft is None:
            out = self._export.out
            self._draft = Draft(out.parent, f"{out.name}-{self.count:06d}.tar")
        self._draft.file.writelines(pieces)
        self._samples += 1
        self._size += size - len(END)

    def finish(self) -> None:
        """Put the open shard, if there is one, into its place; raises `OSError` and `Taken`."""
        if self._draft is None:
            return
        with self._draft as draft:
            self._draft = None
            draft.file.write(END)
            self.written += draft.keep(overwrite=self._export.overwrite)
        self.count += 1
        self._samples = self._size = 0


def older_shards(out: Path, count: int) -> Iterator[Path]:
    """Shards of this name beyond the last one."""
    shard = re.compile(re.escape(out.name) + r"-(\d{6,})\.tar")
    for path in sorted(out.parent.iterdir()):
        match = shard.fullmatch(path.name)
        if match and int(match[1]) >= count:
            yield path
