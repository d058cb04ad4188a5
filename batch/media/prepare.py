"""Makes bytes of unknown origin into an image that is ready to send.

A file is walked first: that tells its size, whether it is whole, and gives a copy without metadata.
Only this copy reaches Pillow, and only an image that must be turned or scaled down is decoded.
Everything here blocks and holds no state, so it is called in threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import Any

from ..errors import DECODER_FAULTS, Rejected
from ..models import Image, image_type
from ..printable import shortened
from .containers import Broken, Odd, Walked, orientation, walk
from .load import ImageRules

ALLOWED = "jpeg, png, webp and gif are sent"

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
NAMES = {"JPEG": "image.jpg", "PNG": "image.png", "WEBP": "image.webp", "GIF": "image.gif"}
MEDIA_TYPES = {kind: media_type for media_type, kind in FORMATS.items()}

SAVED_AS = {
    "JPEG": ("JPEG", {"quality": 90}),
    "PNG": ("PNG", {}),
    "WEBP": ("WEBP", {"quality": 90}),
    # A second choice of 256 colours would cost more than the bytes; only the first frame goes.
    "GIF": ("PNG", {}),
}

TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes a picture of this EXIF orientation upright."""

OTHER_TYPES = (
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "Photoshop file"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (4, b"ftyp", "video"),
)
"""Types that people have and that are not sent: offset, first bytes, name."""

MARKUP = ((b"<svg", "SVG"), (b"<!doctype html", "HTML page"), (b"<html", "HTML page"))

Pixels = Any
"""A `PIL.Image.Image`; Pillow is heavy and imported where it is used."""


def prepare(data: bytes, rules: ImageRules) -> Image:
    """The image that goes out for the bytes of a file.

    It is upright, no larger than `rules.max_side`, whole, and carries no metadata but its colour
    profile; `data` itself when that was so. With `rules.original_bytes` it is `data` in any case.
    Raises `Rejected`: `image_invalid` for another type or a file that is cut short or broken,
    `image_too_large` for more pixels than `rules.max_pixels`, told before anything is decoded.
    """
    media_type = image_type(data)
    if not media_type:
        raise Rejected(f"the file is {looks_like(data)}: {ALLOWED}", "image_invalid")
    kind = FORMATS[media_type]
    try:
        walked = walk(data, media_type)
    except Broken as error:
        raise Rejected(f"the {kind} cannot be used: {error}", "image_invalid") from error
    except Odd:
        walked = None
    if walked is not None:
        check_pixels((walked.width, walked.height), rules)
    with decoding(kind, rules):
        return prepared(data, kind, walked, rules)


def prepared(data: bytes, kind: str, walked: Walked | None, rules: ImageRules) -> Image:
    """The image that goes out for a file that was walked, or in which the walk got lost (None)."""
    clean = data if walked is None else walked.clean
    with load_pillow().open(BytesIO(clean), formats=[kind]) as pixels:
        check_pixels(pixels.size, rules)
        if rules.original_bytes:
            if walked is None:
                pixels.load()  # the only proof that it is whole
            return Image(data, MEDIA_TYPES[kind], NAMES[kind])
        turn = None if walked is None else walked.orientation
        target = fitted(pixels.size, rules.max_side)
        if turn == 1 and target == pixels.size:
            return Image(clean, MEDIA_TYPES[kind], NAMES[kind])
        return encoded(pixels, kind, target, turn)


def encoded(pixels: Pixels, kind: str, target: tuple[int, int], turn: int | None) -> Image:
    """The picture upright and encoded anew; `target` is its size as stored, before the turn."""
    # A profile of inks does not describe the RGB that they become.
    profile = None if pixels.mode == "CMYK" else pixels.info.get("icc_profile")
    result = scaled(pixels, target)
    if turn is None:  # the walk got lost; a PNG tells its EXIF only now that it is decoded
        turn = orientation(pixels.info.get("exif", b""))
    if turn in TURNS:
        result = result.transpose(load_pillow().Transpose[TURNS[turn]])
    result.info = {}  # some encoders write what they find here
    saved_as, options = SAVED_AS[kind]
    out = BytesIO()
    result.save(out, saved_as, icc_profile=profile, **options)
    return Image(out.getvalue(), MEDIA_TYPES[saved_as], NAMES[saved_as])


def scaled(pixels: Pixels, target: tuple[int, int]) -> Pixels:
    """The decoded picture in `target` size, in a mode that can be scaled and encoded."""
    if target == pixels.size:
        return plain_mode(pixels)
    # A JPEG decodes at 1/2, 1/4 or 1/8 for less than the price of the whole.
    drafted = pixels.draft(None, target)
    plain = plain_mode(pixels)
    return plain.resize(
        target,
        load_pillow().Resampling.HAMMING,  # as good as bicubic here, at the price of bilinear
        box=drafted[1] if drafted else None,
        reducing_gap=None if plain.mode.startswith("I") else 2.0,  # Pillow cannot reduce 16 bits
    )


def plain_mode(pixels: Pixels) -> Pixels:
    """The picture without palette, inks or a transparent colour: L, LA, RGB, RGBA or 16 bits."""
    if pixels.mode.startswith("I"):
        return pixels
    if pixels.mode in ("P", "PA") or "transparency" in pixels.info:
        return pixels.convert("RGBA" if pixels.has_transparency_data else "RGB")
    if pixels.mode in ("L", "LA", "RGB", "RGBA"):
        return pixels
    return pixels.convert("L" if pixels.mode == "1" else "RGB")


def fitted(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """The size that fits `max_side`, with the same proportions."""
    longest = max(size)
    if max_side is None or longest <= max_side:
        return size
    width, height = (max(1, round(side * max_side / longest)) for side in size)
    return width, height


def check_pixels(size: tuple[int, int], rules: ImageRules) -> None:
    """Raise `Rejected` for an image of more pixels than `rules` allow."""
    if size[0] * size[1] > rules.max_pixels:
        limit = f"{rules.max_pixels:,} pixels"
        raise Rejected(
            f"the image is {size[0]} x {size[1]}, over the limit of {limit}", "image_too_large"
        )


@cache
def load_pillow() -> Any:
    """`PIL.Image`, readied once: only our plugins, bombs are errors, other warnings are silent.

    Warning filters belong to the process, so they are set here once and not around each image:
    changing them to and fro is not safe among threads.
    """
    pillow = import_module("PIL.Image")
    for name in ("Gif", "Jpeg", "Png", "WebP"):
        import_module(f"PIL.{name}ImagePlugin")  # else the first WebP loads all fifty
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.simplefilter("error", pillow.DecompressionBombWarning)
    return pillow


@contextmanager
def decoding(kind: str, rules: ImageRules) -> Iterator[None]:
    """Whatever Pillow raises on bytes that are no sound image is `Rejected`."""
    pillow = load_pillow()
    if pillow.MAX_IMAGE_PIXELS is not None:  # its own limit is lower than ours; only ever raised
        pillow.MAX_IMAGE_PIXELS = max(pillow.MAX_IMAGE_PIXELS, rules.max_pixels)
    try:
        yield
    except (
        MemoryError,
        pillow.DecompressionBombError,
        pillow.DecompressionBombWarning,
    ) as error:
        raise Rejected(f"the {kind} is too large to decode", "image_too_large") from error
    except DECODER_FAULTS as error:
        unknown = isinstance(error, pillow.UnidentifiedImageError)  # its text holds an address
        reason = "broken header" if unknown else shortened(str(error)) or type(error).__name__
        raise Rejected(f"the {kind} cannot be decoded: {reason}", "image_invalid") from error


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
