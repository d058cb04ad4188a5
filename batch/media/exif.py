"""What a picture's EXIF says, as texts of one line, by the names of Pillow's `ExifTags.TAGS`.

The bytes are a stranger's. Only the tags that were asked for are read, from the first directory
(IFD0) and the one that it names for EXIF, and little of each; no other pointer is followed, so
there is nothing to go round in and nothing to fill the memory with. Where a picture was taken is
not read.

Sources: TIFF 6.0 section 2 and BigTIFF (directories, types), EXIF 2.32 section 4.6 (tags).
"""

from __future__ import annotations

import codecs
import difflib
import math
import os
import struct
from collections.abc import Collection, Iterator
from functools import cache
from importlib import import_module
from typing import NamedTuple

from ..errors import JobError, UsageError
from .confine import open_confined
from .exif_block import Block, find_block
from .load import ImageRules

PREFIX = "exif."
"""What the names of these values begin with in a prompt."""

MAY_TELL_THE_PLACE = frozenset(
    {"MakerNote", "XMLPacket", "IPTCNAA", "ImageResources", "DNGPrivateData"}
)
"""Tags beside those of GPS that are refused: blocks of metadata of other kinds."""

USUAL = "Make, Model, LensModel, DateTimeOriginal, FNumber, ISOSpeedRatings, ImageDescription"
"""Tags that a message names."""

MOST_ENTRIES = 1024
"""Entries of a directory that are looked at; cameras write below a hundred."""
LONGEST_VALUE = 4096
"""Bytes of a value that are read; a multiple of every type's size."""
LONGEST_TEXT = 200
"""Characters of a value in a prompt."""

EXIF_IFD = 0x8769
USER_COMMENT = 0x9286
WINDOWS_TEXTS = range(0x9C9B, 0x9CA0)
"""Title, comment, author, keywords and subject, which Windows writes as bytes of UTF-16."""

TEXTS = (2, 129)
"""ASCII of TIFF and UTF-8 of EXIF 3; people write UTF-8 or Latin-1 into both."""
UNDEFINED = 7
CODES = {
    1: "B",
    3: "H",
    4: "I",
    5: "II",
    6: "b",
    8: "h",
    9: "i",
    10: "ii",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
"""Types of numbers, as codes of `struct`; two numbers make a rational."""

NEARLY = 0.001
"""The share by which the time of an exposure may differ from a part of a second."""

JOINERS = "\u200c\u200d"
"""Format characters that scripts and emoji need."""


class Layout(NamedTuple):
    """How a TIFF or BigTIFF is laid out: codes of `struct`."""

    order: str
    start: int
    """Where the position of the first directory stands."""
    many: str
    """How many entries a directory has."""
    entry: str
    """Tag, type, count, and the value or its position."""
    position: str


LAYOUTS = {
    b"II*\0": Layout("<", 4, "<H", "<HHI4s", "<I"),
    b"MM\0*": Layout(">", 4, ">H", ">HHI4s", ">I"),
    b"II+\0": Layout("<", 8, "<Q", "<HHQ8s", "<Q"),
    b"MM\0+": Layout(">", 8, ">Q", ">HHQ8s", ">Q"),
}


class Value(NamedTuple):
    """A tag's value as it is stored; `data` may be less than all of it."""

    tag: int
    kind: int
    data: bytes


def exif_names(names: Collection[str]) -> frozenset[str]:
    """Those of the names in a prompt that ask for EXIF; raises `UsageError` for an unknown one."""
    if bare := {"exif", PREFIX} & set(names):
        raise UsageError(
            f"{{{{{min(bare)}}}}} names no tag: {{{{{PREFIX}TAG}}}} is one of {USUAL} …"
        )
    asked = frozenset(name for name in names if name.startswith(PREFIX))
    for name in sorted(asked):
        tag = name.removeprefix(PREFIX)
        if tag.upper().startswith("GPS") or tag in MAY_TELL_THE_PLACE:
            words = "is not available: where a picture was taken is never read"
            raise UsageError(f"{{{{{name}}}}} {words}")
        if tag not in tags():
            raise UsageError(f"{{{{{name}}}}} is no EXIF tag{nearest(tag)}")
    return asked


@cache
def tags() -> dict[str, list[int]]:
    """The numbers of the tags by name; some have two."""
    found: dict[str, list[int]] = {}
    for number, name in import_module("PIL.ExifTags").TAGS.items():
        found.setdefault(name, []).append(number)
    return found


def nearest(tag: str) -> str:
    """What to say of the known tag whose name is most like an unknown one, or of the usual ones."""
    lower = {name.lower(): name for name in tags()}
    near = difflib.get_close_matches(tag.lower(), sorted(lower), n=1)
    return f": did you mean {{{{{PREFIX}{lower[near[0]]}}}}}?" if near else f" ({USUAL} … are)"


def exif_texts(
    root: str, reference: str, names: Collection[str], rules: ImageRules
) -> dict[str, str]:
    """What the picture that `reference` names under `root` says under `names`, as `exif_names`.

    Texts are empty where nothing is said, or where the picture cannot be read: that is told when
    its bytes are loaded. Blocks.
    """
    texts = dict.fromkeys(names, "")
    try:
        opened = open_confined(root, reference)
        with os.fdopen(opened.fd, "rb", buffering=0) as file:
            block = find_block(file, opened.stat.st_size, rules)
            if block is not None:
                texts.update(block_texts(block, names))
    except (JobError, OSError):
        pass
    return texts


def block_texts(block: Block, names: Collection[str]) -> dict[str, str]:
    """What a block says under `names`; raises `OSError`."""
    wanted = {EXIF_IFD, *(tag for name in names for tag in tags()[name.removeprefix(PREFIX)])}
    layout = LAYOUTS.get(block.read(0, 4))
    if layout is None:
        return {}
    said: dict[int, str] = {}
    start = block.read(layout.start, struct.calcsize(layout.position))
    for _ in range(2):
        inner = b""
        for value in values(block, layout, start, wanted):
            if value.tag == EXIF_IFD:
                inner = value.data
            elif text := one_line(text_of(value, layout.order)):
                said.setdefault(value.tag, text)
        start = inner
    return {
        name: next((said[tag] for tag in tags()[name.removeprefix(PREFIX)] if tag in said), "")
        for name in names
    }


def values(block: Block, layout: Layout, start: bytes, wanted: Collection[int]) -> Iterator[Value]:
    """The wanted values of the directory whose position is in `start`; raises `OSError`.

    Of entries with one tag the first counts, and one whose value is not all there is left out. The
    value of `EXIF_IFD` is the position of that directory.
    """
    waiting = set(wanted)
    begin = number(layout.position, start)
    width = struct.calcsize(layout.many)
    count = number(layout.many, block.read(begin, width)) if begin else 0
    size = struct.calcsize(layout.entry)
    data = block.read(begin + width, min(count, MOST_ENTRIES) * size)
    for tag, kind, many, held in struct.iter_unpack(layout.entry, data[: len(data) // size * size]):
        if tag not in waiting:
            continue
        waiting.remove(tag)
        if tag == EXIF_IFD:
            yield Value(tag, kind, held)
            continue
        wide = many * struct.calcsize(f"={CODES.get(kind, 'B')}")
        if wide <= len(held):
            yield Value(tag, kind, held[:wide])
            continue
        wide = min(wide, LONGEST_VALUE)
        found = block.read(number(layout.position, held), wide)
        if len(found) == wide:
            yield Value(tag, kind, found)


def number(code: str, data: bytes) -> int:
    """The unsigned number in some bytes; 0 where they are too few."""
    return int(struct.unpack(code, data)[0]) if len(data) == struct.calcsize(code) else 0


def text_of(value: Value, order: str) -> str:
    """A value as text: numbers in plain form with spaces between them."""
    tag, kind, data = value
    if tag in WINDOWS_TEXTS:
        return data.decode("utf-16-le", "replace")
    if tag == USER_COMMENT:
        return comment(data)
    if kind in TEXTS:
        return decoded(data)
    if kind == UNDEFINED:
        return undefined(data)
    if kind not in CODES:
        return ""
    code = f"{order}{CODES[kind]}"
    size = struct.calcsize(code)
    found = struct.iter_unpack(code, data[: len(data) // size * size])
    return " ".join(ratio(*each) if len(each) > 1 else plain(each[0]) for each in found)


def decoded(data: bytes) -> str:
    """Text as UTF-8, less a character that is cut at the end; else as Latin-1."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def comment(data: bytes) -> str:
    """The text of a UserComment: its first eight bytes name its coding (EXIF 2.32, 4.6.5)."""
    coding, body = data[:8], data[8:]
    if not coding.startswith(b"UNICODE"):
        return decoded(body if coding.strip(b"\0") in (b"", b"ASCII", b"JIS") else data)
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    # The byte order is the writer's guess, whatever the EXIF's own: zeros tell it for latin text.
    little = body[1::2].count(0) > body[::2].count(0)
    return body.decode("utf-16-le" if little else "utf-16-be", "replace")


def undefined(data: bytes) -> str:
    """Bytes of no type: text such as a version, or one small number, else nothing."""
    text = data.rstrip(b"\0").decode("latin-1")
    if text.isascii() and text.isprintable():
        return text
    return str(data[0]) if len(data) == 1 else ""


def ratio(top: int, bottom: int) -> str:
    """A rational: `1/250` for a part of one, else `2.8`; empty when nothing is known (x/0).

    Cameras round parts in their own ways (`10/2500`, `9998/1000000`), so nearly one is one.
    """
    if not top or not bottom:
        return "0" if bottom else ""
    part = round(bottom / top)
    if abs(part) > 1 and abs(part * top / bottom - 1) < NEARLY:
        return f"-1/{-part}" if part < 0 else f"1/{part}"
    return plain(top / bottom)


def plain(value: float) -> str:
    """A number without an exponent and without idle zeros; empty for what is none."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return ""
    return f"{value:.{4 if abs(value) >= 0.01 else 9}f}".rstrip("0").rstrip(".")


def one_line(text: str) -> str:
    """The text without what cannot be printed, on one line and not too long."""
    shown = "".join(sign if sign.isprintable() or sign in JOINERS else " " for sign in text)
    line = " ".join(shown.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1].rstrip() + "…"
