"""Pillow, readied: only the plugins that are needed, bombs are errors, faults are job errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import Any, BinaryIO

from ..errors import DECODER_FAULTS, Rejected
from ..image_limits import HEIC, JPEG, PNG, TIFF, WEBP
from ..printable import shortened
from .formats import FORMATS, Format
from .load import ImageRules

Pixels = Any
"""A `PIL.Image.Image`; Pillow is heavy and imported where it is used."""

WRITTEN = (JPEG, PNG, WEBP)

WITHOUT_HEIC = (
    "the file is HEIC, which the extra `heic` reads: pip install '.[heic]' in the checkout "
    "(or pip install pillow-heif), then run again with --retry-failed all"
)


@cache
def load_pillow() -> Any:
    """`PIL.Image`, readied once: the plugins that write, bombs are errors, warnings are silent.

    Warning filters belong to the process, so they are set here once and not around each image:
    changing them to and fro is not safe among threads.
    """
    pillow = import_module("PIL.Image")
    for media_type in WRITTEN:
        import_module(FORMATS[media_type].plugin)  # else saving one loads all fifty
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.simplefilter("error", pillow.DecompressionBombWarning)
    return pillow


@cache
def load_reader(form: Format) -> bool:
    """Teach Pillow a format; False when the extra that reads it is not installed."""
    try:
        plugin = import_module(form.plugin)
    except ImportError:
        return False
    if form.media_type == HEIC:
        plugin.register_heif_opener()
    if form.media_type == TIFF:
        silence_libtiff()
    return True


def silence_libtiff() -> None:
    """Keep libtiff's own words about damaged files off stderr: our error says what is wrong.

    Pillow silences its warnings, not its errors. A build of Pillow that does not give the function
    away stays loud.
    """
    import ctypes

    extension = import_module("PIL._imaging")  # libtiff is linked to it
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(extension.__file__).TIFFSetErrorHandler(None)


def open_pixels(data: bytes | BinaryIO, form: Format) -> Pixels:
    """The picture, its header read and nothing decoded; to be used inside `decoding`."""
    pillow = load_pillow()
    if not load_reader(form):
        raise Rejected(WITHOUT_HEIC, "unsupported")
    file = BytesIO(data) if isinstance(data, bytes) else data
    return pillow.open(file, formats=[form.kind])


@contextmanager
def decoding(name: str, rules: ImageRules) -> Iterator[None]:
    """Whatever Pillow raises on bytes that are no sound image, a `name`, is `Rejected`."""
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
        raise Rejected(f"the {name} is too large to decode", "image_too_large") from error
    except DECODER_FAULTS as error:
        unknown = isinstance(error, pillow.UnidentifiedImageError)  # its text holds an address
        reason = "broken header" if unknown else shortened(str(error)) or type(error).__name__
        raise Rejected(f"the {name} cannot be decoded: {reason}", "image_invalid") from error


def check_pixels(size: tuple[int, int], rules: ImageRules) -> None:
    """Raise `Rejected` for an image of more pixels than `rules` allow."""
    if size[0] * size[1] > rules.max_pixels:
        limit = f"{rules.max_pixels:,} pixels"
        raise Rejected(
            f"the image is {size[0]} x {size[1]}, over the limit of {limit}", "image_too_large"
        )
