"""The type of a file is told by its first bytes, whatever it is called."""

import pytest
from pictures import encoded, photo

from batch.image_limits import AVIF, BMP, GIF, HEIC, JPEG, PNG, TIFF, WEBP
from batch.media.formats import FORMATS, find_format, looks_like

KINDS = {
    "JPEG": JPEG,
    "PNG": PNG,
    "WEBP": WEBP,
    "GIF": GIF,
    "BMP": BMP,
    "TIFF": TIFF,
    "AVIF": AVIF,
    "HEIF": HEIC,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_known_by_its_first_bytes(kind):
    data = encoded(photo(64), kind)
    found = find_format(data)
    assert found is FORMATS[KINDS[kind]]
    assert found.kind == kind
    assert find_format(data[:64]) is found


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiafMA1B", AVIF),
        (b"\0\0\0\x18ftypavis\0\0\0\0avifmsf1", AVIF),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", HEIC),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0hevcmsf1", HEIC),
        (b"\0\0\0\x18ftypheix\0\0\0\0mif1heix", HEIC),
        (b"\xff\xff\xff\xffftypheic", HEIC),
        (b"II+\0\x08\0\0\0", TIFF),
        (b"MM\0+\0\x08\0\0", TIFF),
        (b"BM" + bytes(12) + b"\x7c\0\0\0", BMP),
    ],
)
def test_the_rarer_heads_are_known_too(head, media_type):
    assert find_format(head).media_type == media_type


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "of another type (video)"),
        (b"\0\0\0\x18ftypqt  ", "of another type (video)"),
        (b"BMW makes cars and motorcycles.", "text, no image"),
        (b"MM stands for two thousand.", "text, no image"),
        (b"\0\0\0\x08ftyp", "of another type (video)"),
        (b"", "empty"),
    ],
)
def test_what_only_begins_alike_is_none_of_them(head, words):
    assert find_format(head) is None
    assert looks_like(head) == words
