"""The image formats that are read, as data, and which of them some bytes are.

The type is told by the first bytes, never by the name of a file. Sources: ITU-T T.81 (JPEG), W3C
PNG, RFC 9649 (WebP), GIF89a, MS-WMF 2.2.2 (BMP headers), TIFF 6.0 and BigTIFF, ISO/IEC 23008-12
(the brands of HEIF; AV1 Image File Format 1.2 for those of AVIF).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ..image_limits import AVIF, BMP, GIF, HEIC, JPEG, PNG, TIFF, WEBP
from ..models import image_type

BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
"""Bytes of the header behind the file header: what tells a BMP from a text that begins with BM."""
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
}
MOST_BRANDS = 64
"""Brands that are looked at; honest files name about five."""


class Format(Struct, frozen=True):
    """A format that can be read."""

    name: str
    """As people write it."""
    media_type: str
    kind: str
    """As Pillow calls it."""
    plugin: str
    """The module that teaches Pillow to read it."""
    file_name: str
    """What the provider is told; never the user's path."""


FORMATS = {
    each.media_type: each
    for each in (
        Format("JPEG", JPEG, "JPEG", "PIL.JpegImagePlugin", "image.jpg"),
        Format("PNG", PNG, "PNG", "PIL.PngImagePlugin", "image.png"),
        Format("WebP", WEBP, "WEBP", "PIL.WebPImagePlugin", "image.webp"),
        Format("GIF", GIF, "GIF", "PIL.GifImagePlugin", "image.gif"),
        Format("BMP", BMP, "BMP", "PIL.BmpImagePlugin", "image.bmp"),
        Format("TIFF", TIFF, "TIFF", "PIL.TiffImagePlugin", "image.tif"),
        Format("AVIF", AVIF, "AVIF", "PIL.AvifImagePlugin", "image.avif"),
        Format("HEIC", HEIC, "HEIF", "pillow_heif", "image.heic"),
    )
}

OTHER_TYPES = (
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "Photoshop file"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (4, b"ftyp", "video"),
)
"""Types that people have and that are not read: offset, first bytes, name."""

MARKUP = ((b"<svg", "SVG"), (b"<!doctype html", "HTML page"), (b"<html", "HTML page"))


def find_format(data: bytes) -> Format | None:
    """The format that the first bytes tell; None when they are no image that is read."""
    media_type = image_type(data) or next(
        (media_type for media_type, tells in TELLS if tells(data)), ""
    )
    return FORMATS.get(media_type)


def is_bmp(data: bytes) -> bool:
    """Whether a bitmap begins here, by its mark and the size of its header."""
    return data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in BMP_HEADERS


def is_tiff(data: bytes) -> bool:
    """Whether a TIFF or BigTIFF begins here, in either byte order."""
    return data[:4] in TIFF_MAGIC


def is_avif(data: bytes) -> bool:
    """Whether the brands at the head of the file say AVIF."""
    return not AVIF_BRANDS.isdisjoint(brands(data))


def is_heic(data: bytes) -> bool:
    """Whether the brands at the head of the file say HEIC or plain HEIF."""
    return not HEIC_BRANDS.isdisjoint(brands(data))


def brands(data: bytes) -> set[bytes]:
    """The major and the compatible brands of a file that begins with an `ftyp` box."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * MOST_BRANDS, len(data))
    return {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}


TELLS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    (BMP, is_bmp),
    (TIFF, is_tiff),
    (AVIF, is_avif),  # before HEIC, whose general brands an AVIF names too
    (HEIC, is_heic),
)


def looks_like(data: bytes) -> str:
    """What bytes that are no image of ours seem to be, for people."""
    if not data:
        return "empty"
    for offset, magic, name in OTHER_TYPES:
        if data.startswith(magic, offset):
            return f"of another type ({name})"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for mark, name in MARKUP:
        if mark in head:
            return f"of another type ({name})"
    text = head.isascii() and not set(head) & set(range(9))
    return "text, no image" if text else "no image of a known type"
