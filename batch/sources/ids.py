"""What a job is called: by its line, its image or its content; and by no other job of the run."""

from __future__ import annotations

import hashlib
import posixpath
import re
from array import array
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from .decode import BadLine
from .fields import JobFields

LONGEST_ID = 512
"""Bytes in UTF-8."""

FIRST_TABLE = 1 << 10
"""Places of the table of ids before it grows; a power of two."""

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Ids:
    """The ids seen so far over all sources, in 12 to 24 bytes an id.

    They are kept by their hash: 64 bits, so a million ids clash once in 10⁷ files. A table with
    open addressing takes a fifth of the memory of a set, because it holds no objects.
    """

    def __init__(self) -> None:
        self._table = array("q", bytes(8 * FIRST_TABLE))
        self._last = FIRST_TABLE - 1
        self._room = FIRST_TABLE * 2 // 3
        self._repeats: dict[int, int] = {}

    def holds(self, name: str) -> bool:
        """Whether an id is taken."""
        mark = hash(name) or 1
        return self._table[self._place(mark)] == mark

    def claim(self, name: str) -> bool:
        """Take an id; False when it is taken already."""
        mark = hash(name) or 1  # 0 stands for an empty place
        table = self._table
        place = mark & self._last
        # The first place is free for most ids.
        if (held := table[place]) and (held == mark or table[place := self._place(mark)]):
            return False
        table[place] = mark
        self._room -= 1
        if not self._room:
            self._grow()
        return True

    def _place(self, mark: int) -> int:
        """Where a hash stands, or the empty place where it would."""
        table = self._table
        last = self._last
        place = mark & last
        while (held := table[place]) and held != mark:
            place = place + 1 & last
        return place

    def _grow(self) -> None:
        """Double the table."""
        old, self._table = self._table, array("q", bytes(16 * len(self._table)))
        self._last = len(self._table) - 1
        for mark in old:
            if mark:
                self._table[self._place(mark)] = mark
        self._room = len(self._table) * 2 // 3 - sum(1 for mark in old if mark)

    def claim_repeat(self, name: str) -> int:
        """Take the next free of `name-2`, `name-3` … for a repeated line; its number."""
        mark = hash(name)
        count = self._repeats.get(mark, 1) + 1
        while not self.claim(numbered(name, count)):
            count += 1
        self._repeats[mark] = count
        return count


def numbered(name: str, count: int) -> str:
    """The id of the `count`th line of one content."""
    return f"{name}-{count}" if count > 1 else name


def own_id(fields: JobFields) -> str:
    """The id that the line gives; empty when it gives none. Raises `BadLine` for a bad one."""
    given = fields.id if fields.id is not UNSET else fields.custom_id
    if given is UNSET:
        return ""
    if not given or not given.isprintable():
        raise BadLine("an id is printable text, not empty")
    if len(given) * 4 > LONGEST_ID and len(given.encode()) > LONGEST_ID:
        raise BadLine(f"an id has at most {LONGEST_ID} bytes")
    return given


def derived_id(written: Mapping[str, Any], fields: JobFields, root: str) -> str:
    """The id of a line that gives none: its `image` relative to the root, else a hash."""
    if "image" in written and fields.image is not UNSET and not ADDRESS.match(fields.image):
        path = fields.image.removeprefix(root.rstrip("/") + "/")
        if ".." not in path.split("/"):
            path = posixpath.normpath(path)
        if path != "." and path.isprintable() and len(path.encode()) <= LONGEST_ID:
            return path
    return hashed_id(written)


def hashed_id(written: Mapping[str, Any]) -> str:
    """`r-` and 12 hexadecimal digits of the line's content.

    `meta` is no part of it, so that editing it renews nothing.
    """
    content = {k: v for k, v in written.items() if k not in ("meta", "failure", "id", "custom_id")}
    return short_hash(msgspec.json.encode(content, order="sorted"))


def short_hash(content: bytes) -> str:
    """The id of some content that has no better name."""
    return "r-" + hashlib.sha256(content).hexdigest()[:12]
