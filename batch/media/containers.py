"""Walks JPEG, PNG, WebP and GIF files without decoding them: how large, whole, what to leave out.

Pure functions over bytes. What stays is told by allow-lists, so that a metadata block nobody has
heard of goes too. Whatever stands after the end of the image is left out as well.

Sources: ITU-T T.81 annex B (JPEG), W3C PNG third edition, RFC 9649 (WebP), GIF89a (CompuServe).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Literal, NamedTuple

from ..image_limits import JPEG

MOST_PARTS = 1_000_000
"""Segments, chunks and blocks of one file; no honest file comes near, a hostile one costs time."""

MOST_SCANS = 64
"""Passes over the picture in one JPEG; encoders make about ten. Each costs a decoder a walk over
all pixels, and one that changes nothing takes a hundred bytes."""
SCAN_BYTES = 16_384
"""Of a file that no walk can follow: chance alone makes something like a scan's mark four times
less often."""

MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""A marker that ends coded data: neither a stuffed byte, a restart nor a fill byte."""
SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
JPEG_SEGMENTS = SOF | {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
JPEG_KEPT = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""Of the application segments and comments, those that a decoder needs, by how they begin."""
JFIF_SIZE = 18
"""Bytes of a JFIF segment with its marker; what is longer carries a thumbnail."""

PNG_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
PNG_KEPT = PNG_NEEDED | {
    *(b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"hIST"),
    *(b"cICP", b"mDCV", b"cLLI", b"acTL", b"fcTL", b"fdAT"),
}
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

WEBP_PICTURES = {b"VP8 ", b"VP8L", b"ANMF"}
WEBP_KEPT = WEBP_PICTURES | {b"VP8X", b"ALPH", b"ANIM", b"ICCP"}
WEBP_HEADER_SIZE = 10
WEBP_METADATA_FLAGS = 0x08 | 0x04  # EXIF, XMP

GIF_LOOPS = {b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0"}


class Broken(Exception):
    """The file cannot be used, and decoding it would not help; the text says why."""


class Odd(Exception):
    """The walk cannot follow the file; a decoder may still read it."""


class Walked(NamedTuple):
    """What a walk found. Sizes are pixels as stored, before the orientation is applied."""

    width: int
    height: int
    orientation: int
    """As in EXIF, 1 to 8; 1 is upright."""
    clean: bytes
    """The file without metadata; the very object that was walked when there is none."""


class Found(NamedTuple):
    """Width, height and the EXIF block (empty when there is none)."""

    width: int
    height: int
    exif: bytes


def walk(data: bytes, media_type: str) -> Walked:
    """Walk a file whose first bytes say `media_type`; raises `Broken` or `Odd`."""
    scan = Scan(data)
    try:
        found = WALKS[media_type](scan)
    except Odd:
        if media_type == JPEG:
            refuse_scans(data)  # the decoder that may still read it would walk them all
        raise
    if found.width < 1 or found.height < 1:
        raise Odd("it has no size")
    clean = scan.clean()
    if clean is not data and media_type == "image/webp":
        clean = b"RIFF" + (len(clean) - 8).to_bytes(4, "little") + clean[8:]
    return Walked(found.width, found.height, orientation(found.exif), clean)


def orientation(exif: bytes) -> int:
    """The orientation that an EXIF block tells, 1 when it tells none (EXIF 2.32, 4.6.4)."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == 0x0112:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass  # the block ends early: most viewers show such a picture as it is stored
    return 1


class Scan:
    """A cursor that sorts a file's parts, in order, into those that stay and those that go."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.kept: list[bytes] = []
        self.parts = 0
        self._start = 0
        """Where the run of parts that stay, up to the cursor, begins."""

    def take(self, end: int, *, keep: bool = True) -> None:
        """The part from the cursor to `end` stays or goes; the cursor moves behind it."""
        if not keep:
            self.swap(end, b"")
        self.at = end
        self.count(1)

    def swap(self, end: int, piece: bytes) -> None:
        """The part goes and `piece` comes in its place."""
        self.kept += (self.data[self._start : self.at], piece)
        self.at = self._start = end
        self.count(1)

    def clean(self) -> bytes:
        """What stays, when the cursor is behind the image; the very same object if that is all."""
        if self.at < len(self.data):
            self.take(len(self.data), keep=False)
        if not self.kept:
            return self.data
        return b"".join((*self.kept, self.data[self._start :]))

    def count(self, parts: int) -> None:
        """Count parts; raises `Broken` when there are too many."""
        self.parts += parts
        if self.parts > MOST_PARTS:
            raise Broken("it holds too many parts")

    def end(self, start: int, size: int) -> int:
        """Where `size` bytes from `start` end; raises when the file ends before."""
        if start + size > len(self.data):
            raise Broken("it is cut short")
        return start + size

    def number(self, start: int, size: int, order: Literal["big", "little"] = "big") -> int:
        """The unsigned integer of `size` bytes at `start`; raises when the file ends before."""
        return int.from_bytes(self.data[start : self.end(start, size)], order)


def walk_jpeg(scan: Scan) -> Found:
    """Walk the segments of a JPEG; of several pictures (MPO) only the first stays."""
    data, size, exif, pictures = scan.data, (0, 0), b"", 0
    scan.take(2)
    while True:
        start = after_marker(scan)
        code = data[start - 1]
        if code == 0xD9 and pictures:  # EOI
            scan.take(start)
            return Found(*size, exif)
        if code not in JPEG_SEGMENTS:
            raise Odd("an unknown marker")
        end = scan.end(start, max(scan.number(start, 2), 2))  # the length counts itself
        if code in SOF:
            if size != (0, 0):
                raise Odd("two frames")
            size = scan.number(start + 5, 2), scan.number(start + 3, 2)
        elif code == 0xDA:  # SOS
            end, pictures = end_of_scan(scan, end), pictures + 1
            if pictures > MOST_SCANS:
                raise Broken("it holds too many scans")
        elif code == 0xE1 and not exif and data.startswith(b"Exif\0\0", start + 2):
            exif = data[start + 2 : end]
        sort_segment(scan, code, start, end)


def refuse_scans(data: bytes) -> None:
    """Raise `Broken` for a JPEG that no walk can follow and that seems to hold too many scans."""
    if data.count(b"\xff\xda") > MOST_SCANS + len(data) // SCAN_BYTES:
        raise Broken("it holds too many scans")


def after_marker(scan: Scan) -> int:
    """The position after the marker at the cursor, fill bytes skipped."""
    match = MARKER.match(scan.data, scan.at)
    if match:
        return match.end()
    if scan.data[scan.at :].strip(b"\xff"):
        raise Odd("bytes between the segments")
    raise Broken("it is cut short")


def end_of_scan(scan: Scan, start: int) -> int:
    """Where the coded data that begin at `start` end."""
    match = END_OF_SCAN.search(scan.data, start)
    if match is None:
        raise Broken("it is cut short")
    return match.start()


def sort_segment(scan: Scan, code: int, start: int, end: int) -> None:
    """Keep a segment, or leave it out when it is metadata; a JFIF one loses its thumbnail."""
    if code != 0xFE and not 0xE0 <= code <= 0xEF:
        scan.take(end)
        return
    body = scan.data[start + 2 : end]
    known = code in JPEG_KEPT and body.startswith(JPEG_KEPT[code])
    if known and code == 0xE0 and len(body) > JFIF_SIZE - 4:
        scan.swap(end, b"\xff\xe0\0\x10" + body[:12] + b"\0\0")  # the same with no thumbnail
    else:
        scan.take(end, keep=known)


def walk_png(scan: Scan) -> Found:
    """Walk the chunks of a PNG."""
    data, exif, pictures = scan.data, b"", 0
    scan.take(8)
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise (Odd if len(data) >= 16 else Broken)("it begins without a header")
    size = scan.number(16, 4), scan.number(20, 4)
    while True:
        name, length = data[scan.at + 4 : scan.at + 8], scan.number(scan.at, 4)
        end = scan.end(scan.at, length + 12)
        if not name.isalpha() or (name[:1].isupper() and name not in PNG_NEEDED):
            raise Odd("an unknown chunk")
        pictures += name == b"IDAT"
        if name == b"IEND":
            break
        if name == b"eXIf":
            exif = data[scan.at + 8 : end - 4]
        scan.take(end, keep=name in PNG_KEPT)
    if not pictures:
        raise Odd("it holds no picture")
    if length:
        scan.swap(end, PNG_END)
    else:
        scan.take(end)
    return Found(*size, exif)


def walk_webp(scan: Scan) -> Found:
    """Walk the chunks of a WebP; its header loses the flags of the metadata that go."""
    data, exif, size, pictures = scan.data, b"", (0, 0), 0
    end = scan.end(8, scan.number(4, 4, "little"))
    scan.take(12)
    while scan.at < end:
        name, body = data[scan.at : scan.at + 4], scan.at + 8
        length = scan.number(scan.at + 4, 4, "little")
        stop = min(scan.end(body, length) + length % 2, end)  # the last pad byte may be missing
        if body + length > end or (name == b"VP8X" and length < WEBP_HEADER_SIZE):
            raise Odd("chunks that do not fit")
        size = webp_size(scan, name, body) if size == (0, 0) else size
        pictures += name in WEBP_PICTURES
        if name == b"EXIF":
            exif = exif or data[body : body + length]
        if name == b"VP8X" and data[body] & WEBP_METADATA_FLAGS:
            flags = bytes([data[body] & ~WEBP_METADATA_FLAGS])
            scan.swap(stop, data[scan.at : body] + flags + data[body + 1 : stop])
        else:
            scan.take(stop, keep=name in WEBP_KEPT)
    if not pictures:
        raise Odd("it holds no picture")
    return Found(*size, exif)


def webp_size(scan: Scan, name: bytes, body: int) -> tuple[int, int]:
    """Width and height as the first chunk tells them."""
    if name == b"VP8X":
        return scan.number(body + 4, 3, "little") + 1, scan.number(body + 7, 3, "little") + 1
    if name == b"VP8L":
        bits = scan.number(body + 1, 4, "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 ":
        width, height = scan.number(body + 6, 2, "little"), scan.number(body + 8, 2, "little")
        return width & 0x3FFF, height & 0x3FFF
    raise Odd("it begins without a header")


def walk_gif(scan: Scan) -> Found:
    """Walk the blocks of a GIF; of the extensions only those that animate it stay."""
    data, pictures = scan.data, 0
    size = scan.number(6, 2, "little"), scan.number(8, 2, "little")
    scan.take(color_table_end(scan, 10, 13))
    while (mark := scan.number(scan.at, 1)) != 0x3B:  # until the trailer
        if mark == 0x2C:  # a picture
            pictures += 1
            scan.take(sub_blocks_end(scan, color_table_end(scan, scan.at + 9, scan.at + 10) + 1))
        elif mark == 0x21:  # an extension
            label, body = scan.number(scan.at + 1, 1), scan.at + 2
            loop = label == 0xFF and data[body : body + 12] in GIF_LOOPS
            scan.take(sub_blocks_end(scan, body), keep=loop or label == 0xF9)
        else:
            raise Odd("an unknown block")
    if not pictures:
        raise Odd("it holds no picture")
    scan.take(scan.at + 1)
    return Found(*size, b"")


def color_table_end(scan: Scan, flags: int, end: int) -> int:
    """Where the colour table that the byte at `flags` announces, and that starts at `end`, ends."""
    bits = scan.number(flags, 1)
    return scan.end(end, 3 << (bits & 7) + 1 if bits & 0x80 else 0)


def sub_blocks_end(scan: Scan, at: int) -> int:
    """Where the chain of sub-blocks at `at` ends."""
    data, size, count = scan.data, len(scan.data), 0
    while at < size:
        length = data[at]
        at += length + 1
        if not length:
            scan.count(count)
            return at
        count += 1
    raise Broken("it is cut short")


WALKS: dict[str, Callable[[Scan], Found]] = {
    "image/jpeg": walk_jpeg,
    "image/png": walk_png,
    "image/webp": walk_webp,
    "image/gif": walk_gif,
}
