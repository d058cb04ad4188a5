"""Where the EXIF stands in a file."""

import struct
import zlib
from io import BytesIO

import pytest
from pictures import encoded, photo
from PIL import ExifTags, Image

from batch.errors import Rejected
from batch.media.exif_block import MOST_PARTS, find_block
from batch.media.load import ImageRules

MODEL = Image.Exif()
MODEL[ExifTags.Base.Model] = "Bee 2"
TIFF = MODEL.tobytes().removeprefix(b"Exif\0\0")


RULES = ImageRules()


def found(data, rules=RULES):
    """The first bytes of the EXIF of a file, or None."""
    block = find_block(BytesIO(data), len(data), rules)
    return None if block is None else block.read(0, len(TIFF))


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def segment(code, body):
    return b"\xff" + bytes([code]) + (len(body) + 2).to_bytes(2) + body


def test_a_png_may_carry_it_behind_its_picture():
    plain = encoded(photo(32), "PNG")
    assert found(plain[:-12] + chunk(b"eXIf", TIFF) + plain[-12:]) == TIFF
    assert found(plain + chunk(b"eXIf", TIFF)) is None


def test_a_jpeg_may_carry_other_segments_and_fill_bytes_before_it():
    plain = encoded(photo(32), "JPEG")
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    exif = segment(0xE1, b"Exif\0\0" + TIFF)
    assert found(plain[:2] + xmp + b"\xff\xff" + exif + plain[2:]) == TIFF
    assert found(plain[:-2] + exif + plain[-2:]) is None


def test_a_name_before_the_block_is_passed_over_in_every_format():
    assert found(encoded(photo(32), "WEBP", exif=b"Exif\0\0" + TIFF)) == TIFF
    plain = encoded(photo(32), "PNG")
    assert found(plain[:33] + chunk(b"eXIf", b"Exif\0\0" + TIFF) + plain[33:]) == TIFF


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_of_very_many_parts_is_given_up(kind):
    plain = encoded(photo(32), kind)
    parts = {
        "JPEG": plain[:2] + segment(0xFE, b"") * MOST_PARTS + segment(0xE1, b"Exif\0\0" + TIFF),
        "PNG": plain[:33] + chunk(b"teXt", b"") * MOST_PARTS + chunk(b"eXIf", TIFF),
        "WEBP": plain + b"junk\0\0\0\0" * MOST_PARTS + b"EXIF\xff\0\0\0" + TIFF,
    }
    assert found(parts[kind]) is None


def test_a_file_that_only_a_decoder_reads_is_held_to_the_limit():
    data = encoded(photo(32), "AVIF", exif=MODEL.tobytes())
    assert found(data) == TIFF
    assert found(data, ImageRules(max_bytes=len(data) - 1)) is None


def test_a_damaged_heic_is_refused_as_its_decoder_would():
    data = encoded(photo(32), "HEIF", exif=MODEL.tobytes())
    with pytest.raises(Rejected, match="cannot be decoded"):
        found(data[:100])


def test_bytes_that_are_no_picture_have_none():
    assert found(b"") is None
    assert found(b"II") is None
    assert found(TIFF[:4]) == TIFF[:4]
