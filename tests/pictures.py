"""Variants of the shipped photographs, made at run time, for the tests of images in the world."""

from functools import cache
from io import BytesIO
from pathlib import Path

import pillow_heif
from PIL import Image, ImageCms

PHOTOS = Path(__file__).parent.parent / "jobs/photos"
PLACE = "52 deg 31' N"
"""Stands in every metadata block of the variants; must never come out."""

pillow_heif.register_heif_opener()


@cache
def photo(side=240, name="astronaut.jpg"):
    """A photograph in RGB, its longer side as long as asked for."""
    with Image.open(PHOTOS / name) as picture:
        small = picture.convert("RGB")
    small.thumbnail((side, side))
    return small


def encoded(picture, kind, **options):
    """The bytes of a picture as a file of a kind."""
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def exif(turn=1):
    """An EXIF block with an orientation, a camera and a place."""
    block = Image.Exif()
    block[0x0112] = turn
    block[0x010F] = PLACE
    block.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 29: PLACE})
    return block


def opened(data):
    """The decoded picture of a file's bytes."""
    picture = Image.open(BytesIO(data))
    picture.load()
    return picture


def difference(one, other):
    """Mean difference of two pictures of one size, a channel, 0 to 255."""
    pairs = zip(one.convert("RGB").tobytes(), other.convert("RGB").tobytes(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / (one.width * one.height * 3)


UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""By EXIF orientation: Pillow's transposition that makes the stored picture of an upright one."""


def stored(picture, turn):
    """The picture as a camera that was held so stores it."""
    return picture.transpose(Image.Transpose(UNDO[turn])) if turn in UNDO else picture


@cache
def wide_profile():
    """A profile with the primaries of Adobe RGB, made of sRGB's by changing its matrix."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # D50-adapted XYZ of the primaries (Adobe RGB (1998) Color Image Encoding, annex C).
    columns = {
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12):
        name, start = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "big")
        if name in columns:
            for number, value in enumerate(columns[name]):
                place = start + 8 + 4 * number
                data[place : place + 4] = round(value * 65536).to_bytes(4, "big")
    return bytes(data.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be")))
