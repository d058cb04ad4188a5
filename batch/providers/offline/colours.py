"""Everyday names of colours, by nearness in OKLab.

OKLab: Björn Ottosson, "A perceptual color space for image processing", 2020,
https://bottosson.github.io/posts/oklab/. The table of names is our own.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache

Lab = tuple[float, float, float]

NAMES = {
    "black": 0x0A0A0A,
    "charcoal": 0x35373A,
    "dark grey": 0x5A5A5A,
    "grey": 0x8A8A8A,
    "light grey": 0xC2C2C2,
    "white": 0xFAFAFA,
    "cream": 0xF5EBD2,
    "beige": 0xDFD0B4,
    "sand": 0xC9AE84,
    "tan": 0xB48A5C,
    "taupe": 0x8C7F74,
    "brown": 0x7A5030,
    "dark brown": 0x3E2818,
    "rust": 0xA8481C,
    "terracotta": 0xC66A4A,
    "red": 0xD81E1E,
    "dark red": 0x861414,
    "burgundy": 0x5C1428,
    "pink": 0xF07CA8,
    "pale pink": 0xF6CCD2,
    "coral": 0xF47A62,
    "orange": 0xF6921A,
    "peach": 0xF8C09A,
    "amber": 0xE0AA2C,
    "yellow": 0xF6DE1E,
    "pale yellow": 0xF6EE9C,
    "olive": 0x75721F,
    "lime green": 0x90D024,
    "green": 0x2C962E,
    "dark green": 0x1C4A26,
    "sage": 0x94A482,
    "mint": 0xA6E6C6,
    "teal": 0x12787C,
    "turquoise": 0x38C6C0,
    "sky blue": 0x72BEEE,
    "pale blue": 0xC6DEF0,
    "blue": 0x1F55D8,
    "steel blue": 0x5580A6,
    "navy": 0x10185A,
    "slate": 0x5C6A78,
    "indigo": 0x42249A,
    "purple": 0x7E2C9A,
    "lavender": 0xBCA6E2,
    "magenta": 0xDC1C94,
    "plum": 0x6E3A60,
}
"""Name → sRGB."""

GREYS = ("black", "charcoal", "dark grey", "grey", "light grey", "white")

GREY_CHROMA = 0.012
"""OKLab chroma under which a colour is a grey, whatever faint name lies nearer."""

HUE_WEIGHT = 2.0
"""How much more hue counts than lightness: plain OKLab calls a pale sky a grey."""

# Five bits a channel: few enough colours to name each once, with black and white kept exact.
STEPS = bytes(round((value >> 3) * 255 / 31) for value in range(256))

OPAQUE = 128
"""Alpha from which a pixel counts as seen."""


def shares(rgb: bytes, alpha: bytes | None = None) -> list[tuple[str, float]]:
    """The colours of an image by name, the most frequent first.

    `rgb` holds three bytes a pixel, `alpha` one; pixels that are more than half transparent do not
    count. The shares sum to 1; empty when no pixel counts.
    """
    coarse = rgb.translate(STEPS)
    pixels = zip(coarse[::3], coarse[1::3], coarse[2::3], strict=True)
    if alpha is None:
        counts = Counter(pixels)
    else:
        pairs = zip(pixels, alpha, strict=True)
        counts = Counter(pixel for pixel, cover in pairs if cover >= OPAQUE)
    names: Counter[str] = Counter()
    for pixel, count in counts.items():
        names[nearest(*pixel)] += count
    total = names.total()
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return [(name, count / total) for name, count in ranked]


@cache
def nearest(red: int, green: int, blue: int) -> str:
    """The name nearest to an sRGB colour, 0-255 a channel."""
    here = oklab(red, green, blue)
    names = GREYS if math.hypot(here[1], here[2]) < GREY_CHROMA else NAMES
    return min(names, key=lambda name: distance(here, points()[name]))


def distance(one: Lab, other: Lab) -> float:
    """How far apart two colours look, squared; hue weighs more than lightness."""
    hue = (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2
    return (one[0] - other[0]) ** 2 + HUE_WEIGHT**2 * hue


@cache
def points() -> dict[str, Lab]:
    """Where each name lies in OKLab."""
    return {name: oklab(rgb >> 16, rgb >> 8 & 255, rgb & 255) for name, rgb in NAMES.items()}


def oklab(red: int, green: int, blue: int) -> Lab:
    """L (0-1), a and b of an sRGB colour, 0-255 a channel; formula: see the module's source."""
    r, g, b = linear(red), linear(green), linear(blue)
    long = math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    medium = math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def linear(value: int) -> float:
    """A channel of sRGB, 0-255, as linear light, 0-1 (IEC 61966-2-1)."""
    part = value / 255
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
