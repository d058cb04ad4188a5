"""What a picture's EXIF says in a prompt, and what a stranger's EXIF cannot do."""

import os
import struct
import sys
import time
import tracemalloc

import pytest
from pictures import encoded, photo
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from batch.errors import UsageError
from batch.media.exif import USUAL, exif_names, exif_texts
from batch.media.load import ImageRules

RULES = ImageRules()
BASE = ExifTags.Base


def said(folder, data, *names):
    """What a file says under some tags, in their order."""
    (folder / "a.jpg").write_bytes(data)
    asked = [f"exif.{name}" for name in names]
    found = exif_texts(str(folder), "a.jpg", asked, RULES)
    assert set(found) == set(asked)
    return tuple(found[name] for name in asked)


def block(outer=(), inner=()):
    """An EXIF block with tags of the first and of the EXIF directory, by number."""
    exif = Image.Exif()
    exif.update(dict(outer))
    exif.get_ifd(ExifTags.IFD.Exif).update(dict(inner))
    return exif


def jpeg(tiff):
    """A JPEG whose EXIF segment holds some bytes."""
    plain = encoded(photo(32), "JPEG")
    length = (len(tiff) + 8).to_bytes(2)
    return plain[:2] + b"\xff\xe1" + length + b"Exif\0\0" + tiff + plain[2:]


def tiff(*entries, order="<", start=8):
    """A TIFF structure of one directory: entries of tag, type, count, and value or position."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    many = struct.pack(f"{order}H", len(entries))
    return head + many + b"".join(struct.pack(f"{order}HHI4s", *each) for each in entries)


def test_the_camera_and_its_settings_are_told_in_plain_words_and_numbers(tmp_path):
    exif = block(
        {BASE.Make: "NIKON CORPORATION", BASE.Model: "D750", BASE.Orientation: 6},
        {
            BASE.DateTimeOriginal: "2024:05:01 10:00:00",
            BASE.LensModel: "50mm f/1.8",
            BASE.ISOSpeedRatings: 400,
            BASE.FNumber: IFDRational(28, 10),
            BASE.ExposureTime: IFDRational(10, 2500),
            BASE.ExposureBiasValue: IFDRational(-1, 3),
            BASE.FocalLength: IFDRational(50, 1),
            BASE.ExifVersion: b"0232",
            BASE.SceneType: b"\x01",
        },
    )
    names = (
        *("Make", "Model", "Orientation", "DateTimeOriginal", "LensModel", "ISOSpeedRatings"),
        *("FNumber", "ExposureTime", "ExposureBiasValue", "FocalLength", "ExifVersion"),
        *("SceneType", "Artist"),
    )
    assert said(tmp_path, encoded(photo(32), "JPEG", exif=exif), *names) == (
        *("NIKON CORPORATION", "D750", "6", "2024:05:01 10:00:00", "50mm f/1.8", "400"),
        *("2.8", "1/250", "-1/3", "50", "0232"),
        *("1", ""),
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_format_that_carries_exif_is_read_in_both_byte_orders(tmp_path, kind, order):
    exif = block({BASE.Model: "Bee 2"}, {BASE.FNumber: IFDRational(28, 10)})
    exif.endian = order
    data = encoded(photo(32), kind, exif=exif.tobytes())
    assert said(tmp_path, data, "Model", "FNumber") == ("Bee 2", "2.8")


def test_a_big_tiff_is_read(tmp_path):
    exif = block({BASE.Model: "a camera with a long name"}, {BASE.ISOSpeedRatings: 100})
    data = encoded(photo(32), "TIFF", exif=exif.tobytes(), big_tiff=True)
    assert said(tmp_path, data, "Model", "ISOSpeedRatings") == ("a camera with a long name", "100")


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_a_format_without_exif_says_nothing(tmp_path, kind):
    assert said(tmp_path, encoded(photo(32), kind), "Model") == ("",)


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("two\nlines\x07\r\n", "two lines"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (b"Ann\0Bob\0", "Ann Bob"),
        ("\u202etxt.exe".encode(), "txt.exe"),
        (b"   \0\0", ""),
        (b"a" * 300, "a" * 199 + "…"),
        (("é" * 5000).encode(), "é" * 199 + "…"),
        (b"a" + "é".encode() * 3000, "a" + "é" * 198 + "…"),
        ("{{name}}", "{{name}}"),
    ],
)
def test_a_text_is_one_printable_line_of_bounded_length(tmp_path, stored, text):
    exif = block({BASE.ImageDescription: stored})
    assert said(tmp_path, encoded(photo(32), "JPEG", exif=exif), "ImageDescription") == (text,)


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (b"ASCII\0\0\0a cat", "a cat"),
        (b"\0" * 8 + b"a cat  \0", "a cat"),
        (b"UNICODE\0" + "a cät".encode("utf-16-le"), "a cät"),
        (b"UNICODE\0" + "a cät".encode("utf-16-be"), "a cät"),
        (b"UNICODE\0" + "a cät".encode("utf-16"), "a cät"),
        (b"a cat that begins at once", "a cat that begins at once"),
        (b"UNICODE\0\xff\xfea\0\0\xd8", "a\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_comment_is_read_in_the_coding_that_it_names(tmp_path, stored, text):
    exif = block(inner={BASE.UserComment: stored})
    assert said(tmp_path, encoded(photo(32), "JPEG", exif=exif), "UserComment") == (text,)


def test_the_title_that_windows_writes_is_text(tmp_path):
    exif = block({BASE.XPTitle: "Der Häuptling\0".encode("utf-16-le")})
    assert said(tmp_path, encoded(photo(32), "JPEG", exif=exif), "XPTitle") == ("Der Häuptling",)


@pytest.mark.parametrize(
    ("kind", "packed", "text"),
    [
        (5, struct.pack("<II", 19, 20), "0.95"),
        (5, struct.pack("<II", 9998, 1000000), "1/100"),
        (5, struct.pack("<II", 13, 10), "1.3"),
        (5, struct.pack("<II", 2, 3), "0.6667"),
        (5, struct.pack("<II", 0, 5), "0"),
        (5, struct.pack("<II", 5, 0), ""),
        (5, struct.pack("<IIII", 24, 1, 1, 3), "24 1/3"),
        (10, struct.pack("<ii", 1, -4), "-1/4"),
        (3, struct.pack("<HHH", 8, 8, 8), "8 8 8"),
        (9, struct.pack("<ii", -5, 7), "-5 7"),
        (12, struct.pack("<d", 0.5), "0.5"),
        (12, struct.pack("<d", float("nan")), ""),
        (12, struct.pack("<d", float("-inf")), ""),
        (99, b"12345678", ""),
        (7, b"\x01\x02\x03\x04\x05", ""),
    ],
)
def test_numbers_are_plain_and_what_is_none_is_empty(tmp_path, kind, packed, text):
    size = {5: 8, 10: 8, 3: 2, 9: 4, 12: 8}.get(kind, 1)
    entry = (BASE.ReferenceBlackWhite, kind, len(packed) // size, (26).to_bytes(4, "little"))
    data = jpeg(tiff(entry) + b"\0\0\0\0" + packed)
    assert said(tmp_path, data, "ReferenceBlackWhite") == (text,)


# Names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("exif.Modell", "{{exif.Modell}} is no EXIF tag: did you mean {{exif.Model}}?"),
        ("exif.fnumber", "{{exif.fnumber}} is no EXIF tag: did you mean {{exif.FNumber}}?"),
        ("exif", f"{{{{exif}}}} names no tag: {{{{exif.TAG}}}} is one of {USUAL} …"),
        ("exif.", f"{{{{exif.}}}} names no tag: {{{{exif.TAG}}}} is one of {USUAL} …"),
        ("exif.zzzzzz", f"{{{{exif.zzzzzz}}}} is no EXIF tag ({USUAL} … are)"),
        (
            "exif.GPSLatitude",
            "{{exif.GPSLatitude}} is not available: where a picture was taken is never read",
        ),
    ],
)
def test_an_unknown_tag_is_refused_with_the_nearest_name(name, words):
    with pytest.raises(UsageError) as told:
        exif_names({"name", "exif.Model", name})
    assert str(told.value) == words


@pytest.mark.parametrize("name", ["GPSInfo", "gpsLatitude", "MakerNote", "XMLPacket", "IPTCNAA"])
def test_no_name_reaches_where_a_picture_was_taken(name):
    with pytest.raises(UsageError):
        exif_names({f"exif.{name}"})


def test_only_names_of_exif_are_taken():
    assert exif_names({"name", "exif.Model", "exifModel"}) == {"exif.Model"}


# Pictures that are damaged, and strangers


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_picture_that_is_cut_anywhere_says_what_is_left_or_nothing(tmp_path, kind):
    exif = block({BASE.Model: "Bee 2"}).tobytes()
    data = encoded(photo(16), kind, exif=exif)
    found = {said(tmp_path, data[:end], "Model")[0] for end in range(0, len(data), 7)}
    assert found <= {"", "Bee 2"}


def test_a_picture_with_any_byte_changed_says_one_short_line(tmp_path):
    data = encoded(photo(16), "JPEG", exif=block({BASE.Model: "Bee 2"}, {BASE.ISOSpeed: 100}))
    for at in range(2, 200):
        for byte in (0, 0xFF):
            changed = data[:at] + bytes([byte]) + data[at + 1 :]
            for text in said(tmp_path, changed, "Model", "ISOSpeed"):
                assert len(text) <= 200
                assert text.isprintable()


def test_what_is_no_file_in_the_folder_says_nothing(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    secret = encoded(photo(16), "JPEG", exif=block({BASE.Model: "secret"}))
    (tmp_path / "outside.jpg").write_bytes(secret)
    (inside / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    os.mkfifo(inside / "pipe.jpg")
    (inside / "folder.jpg").mkdir()
    for name in ("link.jpg", "pipe.jpg", "folder.jpg", "gone.jpg", "../outside.jpg"):
        found = exif_texts(str(inside), name, ["exif.Model"], RULES)
        assert found == {"exif.Model": ""}, name


@pytest.mark.parametrize("start", [8, 0, 0xFFFFFFFF])
def test_directories_that_name_each_other_come_to_an_end(tmp_path, start):
    pointer = (ExifTags.IFD.Exif, 4, 1, (8).to_bytes(4, "little"))
    model = (BASE.Model, 2, 3, b"me\0\0")
    found = said(tmp_path, jpeg(tiff(pointer, model, start=start)), "Model")
    assert found == ("me" if start == 8 else "",)


@pytest.mark.parametrize("kind", [2, 3, 5, 7, 12, 129])
def test_a_value_that_claims_to_be_huge_costs_neither_time_nor_memory(tmp_path, kind):
    at = (8).to_bytes(4, "little")
    entries = [(BASE.Model, kind, count, at) for count in (0xFFFFFFFF, 1 << 20) for _ in range(900)]
    body = tiff(*entries) + b"\x07" * (16 << 20)
    (tmp_path / "a.tif").write_bytes(body)
    tracemalloc.start()
    began = time.process_time()
    found = exif_texts(str(tmp_path), "a.tif", ["exif.Model", "exif.Make"], RULES)
    spent, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found["exif.Model"]) <= 200
    assert found["exif.Make"] == ""
    assert peak < 1 << 20
    assert spent < 1, spent


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the bytes of a process")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_more_than_the_head_is_read_of_a_large_picture(tmp_path, kind):
    exif = block({BASE.Model: "Bee 2"}, {BASE.ISOSpeedRatings: 100})
    large = Image.frombytes("RGB", (800, 800), os.urandom(800 * 800 * 3))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(large, kind, exif=exif, **options)
    assert len(data) > 300_000
    assert said(tmp_path, data, "Model") == ("Bee 2",)
    before = bytes_read()
    exif_texts(str(tmp_path), "a.jpg", ["exif.Model", "exif.ISOSpeedRatings"], RULES)
    assert bytes_read() - before < 10_000


def bytes_read():
    """Bytes that this process has read from files, by the kernel's count."""
    with open("/proc/self/io", "rb") as file:
        return int(file.readline().split()[1])
