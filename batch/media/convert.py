"""Decoded pictures become files anew: scaled, in sRGB, upright, in a type that is taken.

A picture whose colours must stay as they were drawn, or that one sees through, becomes a PNG, any
other a JPEG; see `output_type`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from io import BytesIO
from typing import Any

from ..errors import Rejected
from ..image_limits import JPEG, PNG, WEBP, ImageLimits
from ..models import Image
from .containers import orientation
from .formats import FORMATS, Format
from .pillow import Pixels, load_pillow

WRITE_OPTIONS: dict[str, dict[str, Any]] = {
    JPEG: {"quality": 90},
    PNG: {},
    WEBP: {"quality": 90},
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

FEW_COLOURS = 256
"""Up to so many a picture was drawn, not taken: JPEG would blur its edges, and PNG is smaller."""
FEW_GREYS = 64
"""The same for a picture in greys, of which a photograph has most."""

SHRINK = 0.8
"""By which the sides of a picture that weighs too much are multiplied, again and again."""
SMALLEST = 16
"""Pixels of a side below which a picture is not shrunk any more."""

COLOUR_MODES = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "L": "RGB", "LAB": "RGB"}
"""Modes that a profile can describe, and what they become in sRGB."""


def encode_anew(
    pixels: Pixels, form: Format, target: tuple[int, int], turn: int | None, limits: ImageLimits
) -> Image:
    """The picture upright, in sRGB and encoded anew, as `limits` allow.

    `target` is its size as stored, before the turn; a `turn` of None is read from its EXIF.
    Raises `Rejected` with `image_invalid` for pixels that are no picture, `image_too_large` when
    no size is small enough for the provider.
    """
    profile = pixels.info.get("icc_profile")
    picture = in_srgb(scaled(pixels, target, draft=form.media_type == JPEG), profile)
    if turn is None:  # the walk got lost; a PNG tells its EXIF only now that it is decoded
        turn = orientation(pixels.info.get("exif") or b"")
    if turn in TURNS:
        picture = picture.transpose(load_pillow().Transpose[TURNS[turn]])
    if form.media_type != PNG or PNG not in limits.types:
        picture = eight_bits(picture)
    picture.info = {}  # some encoders write what they find here
    return within(picture, output_type(picture, form, limits), limits)


def scaled(pixels: Pixels, target: tuple[int, int], *, draft: bool = True) -> Pixels:
    """The decoded picture in `target` size, in a mode that can be scaled."""
    if target == pixels.size:
        return plain_mode(pixels)
    # A JPEG decodes at 1/2, 1/4 or 1/8 for less than the price of the whole. Of a HEIC this would
    # take the thumbnail, which may show what the picture was before it was edited.
    drafted = pixels.draft(None, target) if draft else None
    plain = plain_mode(pixels)
    return plain.resize(
        target,
        load_pillow().Resampling.HAMMING,  # as good as bicubic here, at the price of bilinear
        box=drafted[1] if drafted else None,
        reducing_gap=None if plain.mode.startswith("I") else 2.0,  # Pillow cannot reduce 16 bits
    )


def plain_mode(pixels: Pixels) -> Pixels:
    """The picture without palette or a transparent colour: L, LA, RGB, RGBA, CMYK, LAB or 16 bits.

    Raises `Rejected` for measured values of 32 bits: what white is in them nobody tells.
    """
    if pixels.mode in ("I", "F"):
        raise Rejected("its pixels are 32-bit values: no picture to look at", "image_invalid")
    if pixels.mode.startswith("I"):
        return pixels
    if pixels.mode in ("P", "PA") or "transparency" in pixels.info:
        return pixels.convert("RGBA" if pixels.has_transparency_data else "RGB")
    if pixels.mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        return pixels
    return pixels.convert("L" if pixels.mode == "1" else "RGB")


def in_srgb(picture: Pixels, profile: bytes | None) -> Pixels:
    """The picture in sRGB, which is what a file without a profile means.

    A profile that does not fit the picture, or is none, is passed over.
    """
    mode = picture.mode
    wanted = COLOUR_MODES.get(mode)
    transform = srgb_transform(profile, mode, wanted) if profile and wanted else None
    if transform is not None:
        done = transform.apply(picture)
        return done.convert("L") if mode == "L" else done
    return picture.convert("RGB") if mode in ("CMYK", "LAB") else picture


@lru_cache(maxsize=8)
def srgb_transform(profile: bytes, mode: str, wanted: str) -> Any:
    """Little CMS's transform from `profile` to sRGB; None where there is nothing to do.

    Kept, because the pictures of one camera share a profile, and one of inks takes long to build;
    threads may apply one side by side.
    """
    cms = import_module("PIL.ImageCms")
    try:
        source = cms.ImageCmsProfile(BytesIO(profile))
        if "sRGB" in cms.getProfileDescription(source):
            return None
        return cms.buildTransform(source, cms.createProfile("sRGB"), mode, wanted)
    except (cms.PyCMSError, OSError, ValueError):
        return None


def output_type(picture: Pixels, form: Format, limits: ImageLimits) -> str:
    """The media type to encode: the file's own where it can be, else PNG or JPEG.

    PNG for what is transparent somewhere and for few colours, where JPEG would blur edges.
    """
    if form.media_type in WRITE_OPTIONS and form.media_type in limits.types:
        return form.media_type
    few = FEW_COLOURS if len(picture.getbands()) > 2 else FEW_GREYS
    drawn = is_transparent(picture) or picture.getcolors(few) is not None
    first, second = (PNG, JPEG) if drawn else (JPEG, PNG)
    return first if first in limits.types else second


def is_transparent(picture: Pixels) -> bool:
    """Whether one sees through some pixel."""
    return picture.mode in ("LA", "RGBA") and picture.getchannel("A").getextrema()[0] < 255


def within(picture: Pixels, media_type: str, limits: ImageLimits) -> Image:
    """The picture as a file that weighs no more than the provider takes.

    What is too heavy becomes a JPEG first, then smaller and smaller.
    """
    data = written(picture, media_type)
    while limits.max_bytes is not None and len(data) > limits.max_bytes:
        if media_type != JPEG and JPEG in limits.types:
            media_type = JPEG
        elif min(picture.size) * SHRINK < SMALLEST:
            limit = f"{limits.max_bytes:,} bytes"
            raise Rejected(f"no size of it fits the provider's {limit}", "image_too_large")
        else:
            sides = [max(1, round(side * SHRINK)) for side in picture.size]
            picture = picture.resize(sides, load_pillow().Resampling.HAMMING)
        data = written(picture, media_type)
    return Image(data, media_type, FORMATS[media_type].file_name)


def written(picture: Pixels, media_type: str) -> bytes:
    """The bytes of a file; for a JPEG what is transparent is laid on white."""
    if media_type == JPEG:
        picture = opaque(eight_bits(picture))
    out = BytesIO()
    picture.save(out, FORMATS[media_type].kind, **WRITE_OPTIONS[media_type])
    return out.getvalue()


def opaque(picture: Pixels) -> Pixels:
    """The picture in L or RGB, on white where one sees through it."""
    if picture.mode not in ("LA", "RGBA"):
        return picture
    mode = picture.mode[:-1]
    ground = load_pillow().new(mode, picture.size, "white")
    ground.paste(picture.convert(mode), mask=picture.getchannel("A"))
    return ground


def eight_bits(picture: Pixels) -> Pixels:
    """Sixteen bits of grey as eight; any other picture as it is."""
    if not picture.mode.startswith("I"):
        return picture
    # `convert` alone would clip them to white.
    return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
