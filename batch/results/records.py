"""Lines of the results file: written so that every reader can load them, read with suspicion."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from ..lines import Line
from ..models import Media

Shape = TypeVar("Shape")

LONGEST_RECORD = 256 << 20
"""Bytes; a longer line in a results file is damage or an attack. The largest answer that can be
asked for has 32 MiB, and JSON makes at most six bytes of one.
"""

SEPARATORS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)
"""Characters that some readers take for the end of a line; escaped, as JSON allows."""

LONE = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs: no characters, but some models answer with them."""

KEY_MASK = (1 << 64) - 1


class Row(Struct, frozen=True):
    """What of a result is needed to see whether its images are the same."""

    id: str
    key: str
    media: tuple[Media, ...] = ()


class RowHead(Struct, frozen=True):
    """What of a result the index keeps."""

    id: str
    key: str
    status: Literal["ok"]
    output: str
    """Read so that a line without an answer is no result; nobody keeps it."""
    provider: str = ""


class DatedRow(RowHead, frozen=True):
    """What of a result is needed to put it back, or under another id."""

    finished_at: str = ""
    media: tuple[Media, ...] = ()


class RowFrame(Struct, frozen=True):
    """What shows that a line was a result of ours, even when its answer is gone."""

    id: str
    key: str
    status: Literal["ok"]


ROW_HEAD = msgspec.json.Decoder(RowHead)
DATED_ROW = msgspec.json.Decoder(DatedRow)
ROW_FRAME = msgspec.json.Decoder(RowFrame)
ROW = msgspec.json.Decoder(Row)


def encode_line(record: Any) -> bytes:
    """One line of JSON in UTF-8 with its newline.

    A lone surrogate becomes U+FFFD: escaped it would be JSON by the letter, but DuckDB, pyarrow and
    msgspec refuse it, and one such answer would spoil the whole file for them.
    """
    try:
        line = msgspec.json.encode(record)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(record), ensure_ascii=False)
        line = msgspec.json.encode(json.loads(LONE.sub("\N{REPLACEMENT CHARACTER}", text)))
    if b"\xe2\x80" in line or b"\xc2\x85" in line:
        for raw, escaped in SEPARATORS:
            line = line.replace(raw, escaped)
    return line + b"\n"


def row_head(line: Line) -> RowHead | None:
    """The id, key and answer of a line of the results file; None when it is damaged."""
    head = decoded(ROW_HEAD, line)
    return head if head is not None and head.id else None


def decoded(decoder: Decoder[Shape], line: Line) -> Shape | None:
    """A line as a decoder reads it; None when it is too long, no UTF-8, or not of that shape."""
    if line.data is None:
        return None
    try:
        shape = decoder.decode(line.data)
        if not line.data.isascii():
            line.data.decode()  # a decoder does not look into the strings that it passes over
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return shape


def key_bits(key: str) -> int:
    """The first 64 bits of a key, as the index keeps it; 0 for a key that is none."""
    try:
        return int(key[:16], 16) & KEY_MASK
    except ValueError:
        return 0
