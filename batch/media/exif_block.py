"""Where the EXIF of an image file stands: found by stepping over its parts, which are not read.

Sources: EXIF 2.32 section 4.5 (APP1 of JPEG), W3C PNG third edition (eXIf), RFC 9649 (WebP). A
TIFF is such a block itself. AVIF and HEIC are read by their decoders, which decode nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO

from ..image_limits import AVIF, HEIC, JPEG, PNG, TIFF, WEBP
from .formats import Format, find_format
from .load import ImageRules
from .pillow import decoding, open_pixels

HEAD = 512
"""Bytes that tell the type, the brands of a HEIC among them."""

MOST_PARTS = 4096
"""Segments or chunks that are stepped over; a PNG of 32 MiB in the usual pieces has as many."""

NAME = b"Exif\0\0"
"""Stands before the block in a JPEG, and in some files of other types."""


class Block:
    """A stretch of a file; positions count from where it begins."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self.size = size

    def read(self, at: int, count: int) -> bytes:
        """`count` bytes from `at`, fewer where the block or the file ends; raises `OSError`."""
        count = min(count, self.size - at)
        if count <= 0:
            return b""
        self._file.seek(self._start + at)
        return self._file.read(count)

    def unnamed(self) -> Block:
        """The block without the name that may stand before it."""
        if self.read(0, len(NAME)) != NAME:
            return self
        return Block(self._file, self._start + len(NAME), self.size - len(NAME))


def find_block(file: BinaryIO, size: int, rules: ImageRules) -> Block | None:
    """The EXIF block of an unbuffered file of `size` bytes; None where it has none.

    Raises `OSError`, and `Rejected` for an AVIF or HEIC that cannot be read or is over the limit.
    """
    whole = Block(file, 0, size)
    form = find_format(whole.read(0, HEAD))
    if form is None:
        return None
    if form.media_type in (AVIF, HEIC):
        return read_by_decoder(file, form, rules) if size <= rules.max_bytes else None
    found = STEPS[form.media_type](whole) if form.media_type in STEPS else None
    return None if found is None else Block(file, *found).unnamed()


def read_by_decoder(file: BinaryIO, form: Format, rules: ImageRules) -> Block | None:
    """The block that the decoder of a format hands over; raises `Rejected`."""
    file.seek(0)
    with decoding(form.name, rules), open_pixels(file, form) as pixels:
        data = pixels.info.get("exif") or b""
    return Block(BytesIO(data), 0, len(data)).unnamed() if data else None


def in_jpeg(whole: Block) -> tuple[int, int] | None:
    """Start and size of the block in a JPEG: the first APP1 of its name before the picture."""
    at = 2
    for _ in range(MOST_PARTS):
        head = whole.read(at, 4 + len(NAME))
        code = head[1:2]
        if head[:1] != b"\xff" or code in (b"\xda", b"\xd9"):  # SOS, EOI
            return None
        if code == b"\xff":  # a fill byte
            at += 1
            continue
        length = max(int.from_bytes(head[2:4]), 2)  # it counts itself
        if code == b"\xe1" and head[4:] == NAME:
            return at + 4, length - 2
        at += 2 + length
    return None


def in_png(whole: Block) -> tuple[int, int] | None:
    """Start and size of the block in a PNG; it may stand behind the picture."""
    at = 8
    for _ in range(MOST_PARTS):
        head = whole.read(at, 8)
        name, length = head[4:], int.from_bytes(head[:4])
        if name == b"eXIf":
            return at + 8, length
        if name in (b"IEND", b""):
            return None
        at += length + 12
    return None


def in_webp(whole: Block) -> tuple[int, int] | None:
    """Start and size of the block in a WebP; it stands behind the picture."""
    at = 12
    for _ in range(MOST_PARTS):
        head = whole.read(at, 8)
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name == b"EXIF":
            return at + 8, length
        if not name:
            return None
        at += 8 + length + length % 2
    return None


def in_tiff(whole: Block) -> tuple[int, int]:
    """All of a TIFF."""
    return 0, whole.size


STEPS: dict[str, Callable[[Block], tuple[int, int] | None]] = {
    JPEG: in_jpeg,
    PNG: in_png,
    WEBP: in_webp,
    TIFF: in_tiff,
}
