"""Makes bytes of unknown origin into an image that is ready to send.

A JPEG, PNG, WebP or GIF is walked first: that tells its size, whether it is whole, and gives a
copy without metadata. Only this copy reaches Pillow, and only an image that must be turned, scaled
down or converted is decoded. Other formats are always converted.
Everything here blocks and holds no state, so it is called in threads.
"""

from __future__ import annotations

from ..errors import Rejected
from ..image_limits import WEB_TYPES, ImageLimits, least
from ..models import Image
from .containers import WALKS, Broken, Odd, Walked, walk
from .convert import encode_anew
from .formats import FORMATS, Format, find_format, looks_like
from .load import ImageRules
from .pillow import Pixels, check_pixels, decoding, open_pixels

NAMES = [form.name for form in FORMATS.values()]
ALLOWED = f"{', '.join(NAMES[:-1])} and {NAMES[-1]} are read"

EVERYTHING = ImageLimits()
"""The limits of a provider that sets none."""

REDUCED = 1
"""Bit of TIFF's NewSubfileType (tag 254) that says: a smaller copy of another picture."""


def prepare(data: bytes, rules: ImageRules, limits: ImageLimits = EVERYTHING) -> Image:
    """The image that goes out for the bytes of a file.

    It is upright, whole, no larger than `rules.max_side`, as the provider's `limits` want it, and
    carries no metadata but its colour profile; `data` itself when that was so. With
    `rules.original_bytes` it is `data` in any case.
    Raises `Rejected`: `image_invalid` for another type or a file that is cut short or broken,
    `image_too_large` for more pixels than `rules.max_pixels`, told before anything is decoded,
    `unsupported` where the extra that reads the format is missing.
    """
    form = find_format(data)
    if form is None:
        raise Rejected(f"the file is {looks_like(data)}: {ALLOWED}", "image_invalid")
    walked = None
    if form.media_type in WALKS:
        try:
            walked = walk(data, form.media_type)
        except Broken as error:
            raise Rejected(f"the {form.name} cannot be used: {error}", "image_invalid") from error
        except Odd:
            pass  # a decoder may still read it
        else:
            check_pixels((walked.width, walked.height), rules)
    with decoding(form.name, rules):
        return prepared(data, form, walked, rules, limits)


def prepared(
    data: bytes, form: Format, walked: Walked | None, rules: ImageRules, limits: ImageLimits
) -> Image:
    """The image that goes out for a file that was walked, or that no walk could follow (None)."""
    clean = data if walked is None else walked.clean
    with open_pixels(clean, form) as pixels:
        check_pixels(pixels.size, rules)
        if walked is None:
            refuse_camera_file(pixels)
            pixels.load()  # the only proof that it is whole; turns a TIFF upright
            check_pixels(pixels.size, rules)
        if rules.original_bytes:
            refuse_unfit(data, pixels.size, form, limits)
            return Image(data, form.media_type, form.file_name)
        turn = None if walked is None else walked.orientation
        target = fitted(pixels.size, least(rules.max_side, limits.max_side))
        if turn == 1 and target == pixels.size and goes_as_it_is(clean, pixels, form, limits):
            return Image(clean, form.media_type, form.file_name)
        return encode_anew(pixels, form, target, turn, limits)


def goes_as_it_is(clean: bytes, pixels: Pixels, form: Format, limits: ImageLimits) -> bool:
    """Whether the provider takes the file itself, its size in pixels apart."""
    if form.media_type not in limits.types:
        return False
    if limits.max_bytes is not None and len(clean) > limits.max_bytes:
        return False
    # The first picture of an animated PNG is what everybody shows who knows no animation.
    return limits.animations or form.kind == "PNG" or not getattr(pixels, "is_animated", False)


def refuse_unfit(data: bytes, size: tuple[int, int], form: Format, limits: ImageLimits) -> None:
    """Raise `Rejected` for a file that must go as it is and that the provider would refuse."""
    end = "the file must go out as it is (--original-bytes, or a batch line)"
    if form.media_type not in (*limits.types, *WEB_TYPES):
        raise Rejected(f"the provider takes no {form.name}, and {end}", "image_invalid")
    if limits.max_bytes is not None and len(data) > limits.max_bytes:
        words = f"the provider takes {limits.max_bytes:,} bytes, and {end}"
        raise Rejected(words, "image_too_large")
    if limits.max_side is not None and max(size) > limits.max_side:
        words = f"the provider takes {limits.max_side} pixels a side, and {end}"
        raise Rejected(words, "image_too_large")


def refuse_camera_file(pixels: Pixels) -> None:
    """Raise `Rejected` for a TIFF that begins with a thumbnail, as raw files of cameras do."""
    if pixels.format == "TIFF" and pixels.tag_v2.get(254, 0) & REDUCED:
        words = "its first picture is a thumbnail, as in a camera's raw file: export it first"
        raise Rejected(words, "image_invalid")


def fitted(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """The size that fits `max_side`, with the same proportions."""
    longest = max(size)
    if max_side is None or longest <= max_side:
        return size
    width, height = (max(1, round(side * max_side / longest)) for side in size)
    return width, height
