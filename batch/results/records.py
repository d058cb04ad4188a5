"""Lines of the results file: written so that every reader can load them, read with suspicion."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Struct

from ..lines import Line
from ..models import Media

LONGEST_RECORD = 64 << 20
"""Bytes; a longer line in a results file is damage or an attack."""

SEPARATORS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)
"""Characters that some readers take for the end of a line; escaped, as JSON allows."""


class Row(Struct, frozen=True):
    """What of a result is needed to resume."""

    id: str
    key: str
    media: tuple[Media, ...] = ()


class RowHead(Struct, frozen=True):
    """What of a result the index keeps."""

    id: str
    key: str


ROW_HEAD = msgspec.json.Decoder(RowHead)
ROW = msgspec.json.Decoder(Row)


def encode_line(record: Any) -> bytes:
    """One line of JSON in UTF-8 with its newline. Lone surrogates become JSON escapes."""
    try:
        line = msgspec.json.encode(record)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(record), ensure_ascii=False, separators=(",", ":"))
        line = text.encode("utf-8", "backslashreplace")
    if b"\xe2\x80" in line or b"\xc2\x85" in line:
        for raw, escaped in SEPARATORS:
            line = line.replace(raw, escaped)
    return line + b"\n"


def row_head(line: Line) -> RowHead | None:
    """The id and key of a line of the results file; None when it is damaged."""
    if line.data is None:
        return None
    try:
        head = ROW_HEAD.decode(line.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return head if head.id else None


def key_bits(key: str) -> int:
    """The first 64 bits of a key, as the index keeps it; 0 for a key that is none."""
    try:
        return int(key[:16], 16)
    except ValueError:
        return 0
