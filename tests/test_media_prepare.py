"""Bytes become an upright, small, whole image without metadata, or they are refused."""

import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo

from batch.errors import Rejected
from batch.media.containers import Broken, Odd, orientation, walk
from batch.media.load import ImageRules
from batch.media.prepare import prepare
from batch.models import image_type

RULES = ImageRules()
PLACE = b"52 deg 31' N"
"""Stands in every metadata block of the tests' images; must never come out."""
KINDS = ("JPEG", "PNG", "WEBP", "GIF")
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/gif": "gif"}
CORNERS = ((230, 20, 20), (20, 200, 20), (20, 20, 230), (230, 230, 20))
"""Red, green, blue, yellow: top left, top right, bottom left, bottom right."""
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def four_corners(width=96, height=64):
    picture = Pillow.new("RGB", (width, height))
    for number, color in enumerate(CORNERS):
        left, top = number % 2 * width // 2, number // 2 * height // 2
        picture.paste(color, (left, top, left + width // 2, top + height // 2))
    return picture


def encoded(picture, kind, **options):
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def exif(turn=1):
    block = Pillow.Exif()
    block[0x0112] = turn
    block[0x010F] = PLACE.decode()
    block.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 29: PLACE.decode()})
    return block


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def segment(code, body):
    return b"\xff" + bytes([code]) + struct.pack(">H", len(body) + 2) + body


@cache
def plain(kind):
    """An image with nothing to strip."""
    return encoded(four_corners(), kind)


@cache
def laden(kind):
    """An image with every kind of metadata that its container has, and bytes after its end."""
    picture = four_corners()
    if kind == "JPEG":
        data = encoded(picture, kind, exif=exif(), comment=PLACE, xmp=PLACE, icc_profile=PROFILE)
        blocks = [(0xE1, b"other" + PLACE), (0xED, b"Photoshop 3.0\0" + PLACE), (0xE5, PLACE)]
        blocks += [(0xE0, b"JFXX\0" + PLACE), (0xE2, b"unknown" + PLACE)]
        data = data[:2] + b"".join(segment(*block) for block in blocks) + data[2:]
    elif kind == "PNG":
        texts = PngInfo()
        texts.add_text("Comment", PLACE.decode())
        texts.add_text("Packed", PLACE.decode(), zip=True)
        texts.add_itxt("XML:com.adobe.xmp", PLACE.decode())
        data = encoded(picture, kind, exif=exif(), pnginfo=texts, icc_profile=PROFILE)
        late = chunk(b"tIME", b"\x07\xe9\1\1\1\1\1") + chunk(b"prVt", PLACE)
        data = data[:-12] + late + data[-12:]
    elif kind == "WEBP":
        data = encoded(picture, kind, exif=exif(), xmp=PLACE, icc_profile=PROFILE)
        body = data[8:] + b"ABCD" + struct.pack("<I", len(PLACE)) + PLACE
        data = b"RIFF" + struct.pack("<I", len(body)) + body
    else:
        frames = [picture, picture.rotate(180)]
        data = encoded(
            frames[0], kind, save_all=True, append_images=frames[1:], loop=3, comment=PLACE
        )
        xmp = b"\x21\xff\x0bXMP DataXMP" + PLACE + bytes(range(255, -1, -1)) + b"\0"
        assert data.count(b"\x21\xfe") >= 1
        at = data.index(b"\x21\xff\x0bNETSCAPE")
        data = data[:at] + xmp + data[at:]
    return data + b"after the end: " + PLACE


def opened(data):
    picture = Pillow.open(BytesIO(data))
    picture.load()
    return picture


def refusal(data, rules=RULES):
    with pytest.raises(Rejected) as caught:
        prepare(data, rules)
    return caught.value


def close(color, other):
    return all(abs(one - two) < 60 for one, two in zip(color[:3], other, strict=True))


def corner_colors(picture):
    picture = picture.convert("RGB")
    xs, ys = (2, picture.width - 3), (2, picture.height - 3)
    return [picture.getpixel((x, y)) for y in ys for x in xs]


def assert_upright(picture):
    for found, wanted in zip(corner_colors(picture), CORNERS, strict=True):
        assert close(found, wanted), (found, wanted)


def assert_bare(image):
    """Told twice: by the walk, and by a fresh look with Pillow."""
    assert PLACE not in image.data
    assert walk(image.data, image.media_type).clean is image.data
    info = opened(image.data).info
    assert not {"exif", "xmp", "comment", "photoshop", "XML:com.adobe.xmp"} & set(info)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_with_nothing_to_do_is_sent_byte_for_byte(kind):
    image = prepare(plain(kind), RULES)
    assert image.data is plain(kind)
    assert image.media_type == TYPES[kind]
    assert image.name == f"image.{SUFFIXES[TYPES[kind]]}"
    assert prepare(plain(kind), ImageRules(max_side=96)).data is plain(kind)


def test_a_profile_or_a_density_alone_is_no_reason_to_touch_a_file():
    for kind in ("JPEG", "PNG"):
        data = encoded(four_corners(), kind, icc_profile=PROFILE, dpi=(72, 72))
        assert prepare(data, RULES).data is data


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_goes_and_every_pixel_stays(kind):
    assert PLACE in laden(kind)
    image = prepare(laden(kind), RULES)
    assert_bare(image)
    before, after = opened(laden(kind)), opened(image.data)
    assert (before.mode, before.size) == (after.mode, after.size)
    assert before.convert("RGBA").tobytes() == after.convert("RGBA").tobytes()
    assert before.info.get("icc_profile") == after.info.get("icc_profile")
    assert prepare(image.data, RULES).data is image.data


def test_an_animation_keeps_its_frames_and_its_loop():
    after = opened(prepare(laden("GIF"), RULES).data)
    assert (after.n_frames, after.info["loop"]) == (2, 3)
    frames = [four_corners(), four_corners().rotate(180)]
    data = encoded(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], exif=exif(), lossless=True
    )
    image = prepare(data, RULES)
    assert_bare(image)
    assert opened(image.data).n_frames == 2


def test_a_png_keeps_transparency_palette_and_its_sixteen_bits():
    palette = four_corners().quantize(8)
    for picture, options in (
        (palette, {"transparency": 2}),
        (palette, {"transparency": bytes([0, 128, 255])}),
        (Pillow.new("I;16", (9, 9), 40_000), {}),
        (Pillow.new("1", (9, 9), 1), {}),
        (Pillow.new("LA", (9, 9), (9, 99)), {}),
    ):
        data = encoded(picture, "PNG", exif=exif(), **options)
        after, before = opened(prepare(data, RULES).data), opened(data)
        assert (after.mode, after.tobytes()) == (before.mode, before.tobytes())
        assert after.info.get("transparency") == before.info.get("transparency")


def test_a_thumbnail_in_the_jfif_header_goes():
    data = plain("JPEG")
    assert data[2:4] == b"\xff\xe0"
    header = data[6:18] + b"\1\1" + PLACE[:3]
    image = prepare(data[:2] + segment(0xE0, header) + data[20:], RULES)
    assert image.data == data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_picture_comes_out_upright(kind, turn):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = four_corners()
    if turn in undo:
        stored = stored.transpose(Pillow.Transpose(undo[turn]))
    data = encoded(stored, kind, exif=exif(turn), icc_profile=PROFILE)
    for rules in (RULES, ImageRules(max_side=48)):
        image = prepare(data, rules)
        assert_bare(image)
        after = opened(image.data)
        assert after.size == ((96, 64) if rules.max_side is None else (48, 32))
        assert after.format == kind
        untouched = turn == 1 and rules.max_side is None
        assert ("icc_profile" in after.info) == untouched  # encoded anew it is sRGB without one
        assert_upright(after)


def test_the_orientation_is_read_in_both_byte_orders_and_nonsense_is_upright():
    for order in "<>":
        magic = b"II*\0" if order == "<" else b"MM\0*"
        block = magic + struct.pack(f"{order}IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
        assert orientation(block) == orientation(b"Exif\0\0" + block) == 6
        assert orientation(block[:-6]) == 1
        assert orientation(block.replace(b"\6", b"\x09")) == 1
        assert orientation(magic + b"\xff" * 30) == 1
    assert orientation(b"") == orientation(b"Exif\0\0") == orientation(b"nonsense") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_picture_is_scaled_to_the_longer_side(kind):
    for size, wanted in (((200, 100), (50, 25)), ((99, 1000), (5, 50)), ((400, 3), (50, 1))):
        image = prepare(encoded(four_corners(*size), kind), ImageRules(max_side=50))
        assert opened(image.data).size == wanted
        assert image.media_type == image_type(image.data)
        assert image.name.endswith(SUFFIXES[image.media_type])
        assert_bare(image)
    assert_upright(opened(prepare(plain(kind), ImageRules(max_side=50)).data))


def test_a_picture_is_never_scaled_up():
    assert prepare(plain("PNG"), ImageRules(max_side=5000)).data is plain("PNG")


@pytest.mark.parametrize(
    ("mode", "options", "wanted"),
    [
        ("RGBA", {}, "RGBA"),
        ("LA", {}, "LA"),
        ("L", {}, "L"),
        ("1", {}, "L"),
        ("I;16", {}, "I;16"),
        ("P", {}, "RGB"),
        ("P", {"transparency": 0}, "RGBA"),
        ("RGB", {"transparency": (0, 0, 0)}, "RGBA"),
        ("L", {"transparency": 0}, "RGBA"),
    ],
)
def test_a_scaled_png_stays_png_and_keeps_its_transparency(mode, options, wanted):
    data = encoded(Pillow.new(mode, (100, 80)), "PNG", **options)
    after = opened(prepare(data, ImageRules(max_side=20)).data)
    assert (after.format, after.mode, after.size) == ("PNG", wanted, (20, 16))
    if wanted.endswith("A"):
        assert after.getpixel((9, 9))[-1] == 0


def test_sixteen_bits_are_scaled_and_not_clipped():
    data = encoded(Pillow.new("I;16", (100, 80), 30_000), "PNG", exif=exif(6))
    after = opened(prepare(data, ImageRules(max_side=20)).data)
    assert (after.size, after.getpixel((5, 5))) == ((16, 20), 30_000)


def test_a_jpeg_of_inks_becomes_rgb_when_it_is_scaled():
    data = encoded(four_corners().convert("CMYK"), "JPEG", icc_profile=b"inks", exif=exif())
    whole, small = prepare(data, RULES), prepare(data, ImageRules(max_side=48))
    assert opened(whole.data).convert("RGB").tobytes() == opened(data).convert("RGB").tobytes()
    after = opened(small.data)
    assert (after.mode, after.info.get("icc_profile")) == ("RGB", None)
    assert_upright(after)


def test_original_bytes_go_as_they_are_after_the_same_checks():
    rules = ImageRules(original_bytes=True, max_side=10)
    for kind in KINDS:
        assert prepare(laden(kind), rules).data is laden(kind)
        assert refusal(laden(kind)[:200], rules).code == "image_invalid"
    small = ImageRules(original_bytes=True, max_pixels=100)
    assert refusal(plain("PNG"), small).code == "image_too_large"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"root:x:0:0:root:/root:/bin/bash\n", "text"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "text"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b"\n <html>", "HTML"),
        (b"<?xml version='1.0'?><svg xmlns=''/>", "SVG"),
        (b"\xef\xbb\xbf<svg/>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"8BPS\0\1", "Photoshop"),
        (b"BMW makes cars, and this is a text about them.", "text"),
        (b"\0\0\0\x18ftypmp42", "video"),
        (b"RIFF\0\0\0\0WAVE", "no image"),
        (b"\x7fELF\2\1\1\0", "no image"),
        (b"\0" * 64, "no image"),
    ],
)
def test_what_is_no_image_is_refused_with_the_allowed_types(data, word):
    error = refusal(data)
    assert error.code == "image_invalid"
    assert word in str(error)
    assert "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are read" in str(error)


@pytest.mark.parametrize("kind", ["ICO", "JPEG2000", "PPM"])
def test_a_sound_image_of_another_type_is_refused(kind):
    error = refusal(encoded(four_corners(), kind))
    assert error.code == "image_invalid"
    assert "are read" in str(error)
    assert "of another type" in str(error) or kind == "PPM"


def test_the_type_is_told_by_the_bytes_alone():
    assert prepare(plain("WEBP"), RULES).media_type == "image/webp"
    for kind in KINDS:
        magic = plain(kind)[:12]
        assert refusal(magic + b"root:x:0:0:" * 50).code == "image_invalid"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [plain, laden])
def test_a_file_that_is_cut_short_anywhere_is_invalid(kind, make):
    whole = make(kind)
    if make is laden:
        whole = whole.removesuffix(b"after the end: " + PLACE)
    for cut in (*range(12, len(whole), 7), len(whole) - 1, len(whole) - 2):
        error = refusal(whole[:cut])
        assert error.code == "image_invalid"
        if cut > 40:
            assert "cut short" in str(error), (cut, error)


def png_that_claims(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    picture = zlib.compress(bytes(1000))
    magic = b"\x89PNG\r\n\x1a\n"
    return magic + chunk(b"IHDR", header) + chunk(b"IDAT", picture) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header():
    began = time.perf_counter()
    error = refusal(png_that_claims(20_000, 20_000))
    assert time.perf_counter() - began < 3  # decoding it takes longer, and 1.6 GB
    assert error.code == "image_too_large"
    assert "20000 x 20000" in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixel_limit_is_exact_for_every_type(kind):
    assert prepare(plain(kind), ImageRules(max_pixels=96 * 64)).data is plain(kind)
    assert refusal(plain(kind), ImageRules(max_pixels=96 * 64 - 1)).code == "image_too_large"
    lossless = encoded(four_corners().convert("RGBA"), "WEBP", lossless=True)
    assert refusal(lossless, ImageRules(max_pixels=96 * 64 - 1)).code == "image_too_large"


def test_a_limit_above_pillows_own_is_the_one_that_counts():
    data = encoded(Pillow.new("1", (12_000, 8_000)), "PNG")
    assert prepare(data, RULES).data is data
    assert refusal(data, ImageRules(max_pixels=95_000_000)).code == "image_too_large"


def test_a_frame_larger_than_the_gif_says_is_too_large():
    data = bytearray(plain("GIF"))
    at = data.index(b"\x2c", 13 + (3 << (data[10] & 7) + 1))
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    assert refusal(bytes(data)).code == "image_too_large"


def test_a_file_of_endless_empty_parts_ends_soon():
    began = time.perf_counter()
    hoard = chunk(b"tEXt", b"") * 200_000
    image = prepare(plain("PNG")[:33] + hoard + plain("PNG")[33:], RULES)
    assert image.data == plain("PNG")
    blocks = b"\x21\xfe" + b"\1x" * 1_100_000 + b"\0"
    error = refusal(plain("GIF")[:-1] + blocks + b";")
    assert "too many parts" in str(error)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("junk", [b"", b"\0\0"], ids=["walked", "odd"])
def test_a_picture_drawn_over_and_over_is_refused_and_an_honest_one_is_not(junk):
    data = encoded(four_corners(), "JPEG", progressive=True)
    first, last = data.find(b"\xff\xda"), data.rfind(b"\xff\xda")
    head, rest, scan = data[:first] + junk, data[first:-2], data[last:-2]
    assert outcome(head + rest + scan * 40 + data[-2:], RULES).media_type == "image/jpeg"
    error = refusal(head + rest + scan * 70 + data[-2:])
    assert error.code == "image_invalid"
    assert "too many scans" in str(error)


def test_bytes_between_the_segments_are_no_reason_to_refuse_what_decodes():
    data = encoded(four_corners(), "JPEG", exif=exif(3), comment=PLACE)
    odd = data[:2] + segment(0xF7, PLACE) + data[2:]
    with pytest.raises(Odd):
        walk(odd, "image/jpeg")
    padded = data[:20] + b"\0\0" + data[20:]
    with pytest.raises(Odd):
        walk(padded, "image/jpeg")
    image = prepare(padded, RULES)
    assert_bare(image)
    assert_upright(opened(image.data).rotate(180))
    assert prepare(padded, ImageRules(original_bytes=True)).data is padded


def test_what_neither_the_walk_nor_pillow_can_read_is_invalid():
    data = plain("PNG")
    broken = data[:33] + chunk(b"CgBI", b"\0" * 4) + chunk(b"IDAT", b"\x12\x34" * 40) + data[-12:]
    assert refusal(broken).code == "image_invalid"
    assert refusal(broken, ImageRules(original_bytes=True)).code == "image_invalid"
    with pytest.raises(Broken):
        walk(data[:50], "image/png")


def test_a_sound_frame_around_a_broken_picture_is_refused_when_it_is_decoded():
    data = plain("PNG")
    body = b"\x12\x34" * 40
    broken = data[:33] + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert refusal(broken, ImageRules(max_side=10)).code == "image_invalid"


def test_no_message_carries_what_steers_a_terminal():
    for data in (b"\x1b]0;owned\x07", b"GIF89a\x1b[31m", b"\x89PNG\r\n\x1a\n\x1b[31m" * 9):
        assert str(refusal(data)).isprintable()


def test_threads_prepare_side_by_side():
    jobs = [(kind, side) for kind in KINDS for side in (None, 20, 33)] * 4
    with ThreadPoolExecutor(8) as pool:
        images = list(
            pool.map(lambda job: prepare(laden(job[0]), ImageRules(max_side=job[1])), jobs)
        )
    for (kind, side), image in zip(jobs, images, strict=True):
        assert image == prepare(laden(kind), ImageRules(max_side=side))


def test_importing_the_package_leaves_pillow_alone():
    script = (
        "import sys, batch.media.prepare; sys.exit(any(name[:3] == 'PIL' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def outcome(data, rules):
    try:
        return prepare(data, rules)
    except Rejected as error:
        return error


@st.composite
def mutations(draw):
    """A real image with some of its bytes changed, cut out or doubled."""
    kind = draw(st.sampled_from(KINDS))
    data = bytearray(draw(st.sampled_from((plain, laden, turned)))(kind))
    for _ in range(draw(st.integers(1, 6))):
        near = draw(st.sampled_from((40, 200, len(data))))
        at = draw(st.integers(0, min(near, len(data)) - 1))
        change = draw(st.sampled_from(("set", "cut", "insert")))
        if change == "set":
            data[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 12))]
        else:
            data[at:at] = draw(st.binary(min_size=1, max_size=12))
    return bytes(data)


@cache
def turned(kind):
    return laden(kind) if kind == "GIF" else encoded(four_corners(), kind, exif=exif(6))


@settings(max_examples=300, deadline=None)
@given(mutations(), st.sampled_from((None, 40)))
def test_mutated_bytes_are_an_image_without_exif_or_rejected(data, side):
    image = outcome(data, ImageRules(max_side=side))
    if isinstance(image, Rejected):
        assert image.code in ("image_invalid", "image_too_large")
        assert str(image).isprintable()
        return
    with Pillow.open(BytesIO(image.data)) as picture:
        assert "exif" not in picture.info
        assert side is None or max(picture.size) <= side
    assert walk(image.data, image.media_type).clean is image.data


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from((b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBP")),
    st.binary(max_size=80),
)
def test_random_bytes_are_rejected(magic, tail):
    assert refusal(magic + tail).code in ("image_invalid", "image_too_large")
