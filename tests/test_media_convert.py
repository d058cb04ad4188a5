"""Pictures of every format become files that the provider takes, in their true colours."""

import struct
from functools import cache
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import (
    PLACE,
    difference,
    encoded,
    exif,
    opened,
    photo,
    stored,
    wide_profile,
)
from PIL import Image as Pillow
from PIL import ImageCms, ImageDraw

from batch.errors import Rejected
from batch.image_limits import AVIF, BMP, GIF, HEIC, JPEG, PNG, TIFF, WEB_TYPES, WEBP, ImageLimits
from batch.media.load import ImageRules
from batch.media.prepare import prepare
from batch.media.request import LoadRules, load
from batch.providers.dynaspark import Dynaspark
from batch.providers.openai import OpenAI
from batch.sources.parse import LineParser

RULES = ImageRules()
PLAIN = ImageLimits(types=(JPEG, PNG), animations=False)
"""What every server takes."""
CONVERTED = ("BMP", "TIFF", "AVIF", "HEIF")


def prepared(data, rules=RULES, limits=PLAIN):
    return prepare(data, rules, limits)


def refusal(data, rules=RULES, limits=PLAIN):
    with pytest.raises(Rejected) as caught:
        prepare(data, rules, limits)
    return caught.value


def outcome(data):
    try:
        return prepared(data)
    except Rejected as error:
        return error


def drawing():
    """A diagram: sharp edges and a handful of colours."""
    picture = Pillow.new("RGB", (240, 160), "white")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((20, 20, 120, 80), fill="red", outline="black")
    pen.line((0, 159, 239, 0), fill="blue", width=3)
    return picture


def veiled():
    """The photograph, its left half transparent."""
    picture = photo().convert("RGBA")
    picture.paste((9, 9, 9, 0), (0, 0, picture.width // 2, picture.height))
    return picture


# Formats that no provider takes


@pytest.mark.parametrize("kind", CONVERTED)
def test_a_photograph_of_any_format_becomes_a_jpeg(kind):
    data = (
        encoded(photo(), kind, exif=exif().tobytes()) if kind != "BMP" else encoded(photo(), kind)
    )
    for limits in (PLAIN, ImageLimits()):
        image = prepared(data, limits=limits)
        assert (image.media_type, image.name) == ("image/jpeg", "image.jpg")
        after = opened(image.data)
        assert (after.format, after.mode, after.size) == ("JPEG", "RGB", photo().size)
        assert difference(after, photo()) < 6
        assert PLACE.encode() not in image.data
        assert "exif" not in after.info


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF", "WEBP"])
def test_a_drawing_becomes_a_png_with_its_colours_as_drawn(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = prepared(encoded(drawing(), kind, **options))
    assert (image.media_type, image.name) == ("image/png", "image.png")
    assert opened(image.data).convert("RGB").tobytes() == drawing().tobytes()


@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "HEIF", "WEBP"])
def test_what_is_transparent_stays_so_in_a_png(kind):
    after = opened(prepared(encoded(veiled(), kind)).data)
    assert (after.format, after.mode) == ("PNG", "RGBA")
    assert after.getpixel((5, 5))[3] == 0
    assert after.getpixel((after.width - 5, 5))[3] == 255


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "AVIF", "WEBP"])
def test_what_is_transparent_is_laid_on_white_where_only_jpeg_is_taken(kind):
    image = prepared(encoded(veiled(), kind), limits=ImageLimits(types=(JPEG,)))
    after = opened(image.data)
    assert (after.format, after.mode) == ("JPEG", "RGB")
    assert min(after.getpixel((5, 5))) > 245
    right = (after.width // 2 + 8, 0, *after.size)
    assert difference(after.crop(right), photo().crop(right)) < 6


def test_an_alpha_channel_that_hides_nothing_is_no_reason_for_a_png():
    image = prepared(encoded(photo().convert("RGBA"), "TIFF"))
    assert opened(image.data).format == "JPEG"


def test_where_only_png_is_taken_a_photograph_is_a_png():
    image = prepared(encoded(photo(), "BMP"), limits=ImageLimits(types=(PNG,)))
    assert opened(image.data).tobytes() == photo().tobytes()


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_a_tiff_is_read_in_every_compression(compression):
    image = prepared(encoded(photo(), "TIFF", compression=compression))
    assert difference(opened(image.data), photo()) < 8


def test_a_scan_in_black_and_white_is_a_png():
    scan = drawing().convert("1")
    image = prepared(encoded(scan, "TIFF", compression="group4"))
    after = opened(image.data)
    assert (after.format, after.mode) == ("PNG", "L")
    assert after.tobytes() == scan.convert("L").tobytes()


def test_a_photograph_in_greys_is_a_jpeg():
    after = opened(prepared(encoded(photo().convert("L"), "BMP")).data)
    assert (after.format, after.mode) == ("JPEG", "L")


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bits_of_grey_become_eight_and_are_not_clipped(mode):
    grey = photo().convert("L")
    deep = grey.convert("I").point(lambda value: value * 256).convert("I;16")
    if mode == "I;16B":
        deep = deep.convert("I").convert("I;16B")
    after = opened(prepared(encoded(deep, "TIFF")).data)
    assert (after.format, after.mode) == ("JPEG", "L")
    assert difference(after, grey) < 6


def test_a_png_of_sixteen_bits_keeps_them_until_it_must_become_a_jpeg():
    deep = Pillow.new("I;16", (90, 60), 30_000)
    small = ImageRules(max_side=30)
    assert opened(prepared(encoded(deep, "PNG"), small).data).getpixel((5, 5)) == 30_000
    after = opened(prepared(encoded(deep, "PNG"), limits=ImageLimits(types=(JPEG,))).data)
    assert (after.mode, after.getpixel((5, 5))) == ("L", 30_000 // 256)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_measured_values_are_no_picture(mode):
    error = refusal(encoded(photo().convert("L").convert(mode), "TIFF"))
    assert (error.code, "32-bit" in str(error)) == ("image_invalid", True)


def test_of_several_pages_the_first_goes():
    pages = [photo(), photo(name="coffee.png")]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert difference(opened(prepared(data).data), pages[0]) < 6


def test_the_thumbnail_of_a_raw_file_is_not_taken_for_the_picture():
    error = refusal(encoded(photo(64), "TIFF", tiffinfo={254: 1}))
    assert error.code == "image_invalid"
    assert "raw" in str(error)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "AVIF", "HEIF"])
def test_every_orientation_comes_out_upright(kind, turn):
    data = encoded(stored(photo(), turn), kind, exif=exif(turn).tobytes())
    for rules, size in ((RULES, photo().size), (ImageRules(max_side=120), photo(120).size)):
        after = opened(prepared(data, rules).data)
        assert after.size == size
        assert difference(after, photo(max(size))) < 9


# Colours


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_profile_is_converted_when_a_picture_is_encoded_anew(kind, mode):
    wanted = (230, 60, 60)
    wide = ImageCms.ImageCmsProfile(BytesIO(wide_profile()))
    flat = Pillow.new("RGB", (64, 64), wanted)
    kept = ImageCms.profileToProfile(flat, ImageCms.createProfile("sRGB"), wide)
    assert difference(kept, flat) > 8
    if mode == "RGBA" and kind != "JPEG":
        kept.putalpha(128)
    data = encoded(kept, kind, icc_profile=wide_profile())
    after = opened(prepared(data, ImageRules(max_side=32)).data)
    assert "icc_profile" not in after.info
    assert max(abs(a - b) for a, b in zip(after.getpixel((9, 9)), wanted, strict=False)) <= 4


def test_a_profile_that_stays_in_the_file_is_no_reason_to_encode_it_anew():
    data = encoded(photo(), "JPEG", icc_profile=wide_profile())
    assert prepared(data).data is data


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_become_rgb(kind):
    data = encoded(photo().convert("CMYK"), kind)
    after = opened(prepared(data, ImageRules(max_side=120)).data)
    assert (after.mode, after.format) == ("RGB", "JPEG")
    assert difference(after, photo(120)) < 6


def test_a_profile_that_is_none_or_fits_another_mode_is_passed_over():
    for profile in (b"nonsense", wide_profile()[:200]):
        for mode in ("RGB", "CMYK", "L"):
            data = encoded(photo().convert(mode), "JPEG", icc_profile=profile)
            assert (
                difference(
                    opened(prepared(data, ImageRules(max_side=120)).data), photo(120).convert(mode)
                )
                < 6
            )
    greys = encoded(photo().convert("L"), "JPEG", icc_profile=wide_profile())
    assert opened(prepared(greys, ImageRules(max_side=120)).data).mode == "L"


def test_colours_of_lab_become_rgb():
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    data = encoded(ImageCms.applyTransform(photo(), to_lab), "TIFF")
    assert difference(opened(prepared(data).data), photo()) < 6


# Limits of providers


@pytest.mark.parametrize("types", [WEB_TYPES, (JPEG, PNG, WEBP), (JPEG, PNG)])
def test_what_goes_out_is_of_a_type_that_is_taken(types):
    for kind in ("JPEG", "PNG", "WEBP", "GIF", *CONVERTED):
        data = encoded(photo(), kind)
        image = prepared(data, limits=ImageLimits(types=types))
        assert image.media_type in types
        taken = {"JPEG": JPEG, "PNG": PNG, "WEBP": WEBP, "GIF": GIF}.get(kind) in types
        assert (image.data is data) == taken


def test_of_an_animation_the_first_picture_goes_where_none_is_taken():
    frames = [photo(), photo(name="coffee.png").resize(photo().size)]
    stills = ImageLimits(animations=False)
    for kind in ("GIF", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert prepared(data, limits=ImageLimits()).data is data
        after = opened(prepared(data, limits=stills).data)
        assert getattr(after, "n_frames", 1) == 1
        assert difference(after, photo()) < 9
        still = encoded(frames[0], kind)
        assert prepared(still, limits=stills).data is still
    moving = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert prepared(moving, limits=stills).data is moving


def test_the_longest_side_is_that_of_the_user_or_the_provider_whichever_is_less():
    limits = ImageLimits(max_side=100)
    data = encoded(photo(), "JPEG")
    assert max(opened(prepared(data, limits=limits).data).size) == 100
    assert max(opened(prepared(data, ImageRules(max_side=50), limits).data).size) == 50
    assert max(opened(prepared(data, ImageRules(max_side=150), limits).data).size) == 100


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_a_picture_that_weighs_too_much_is_made_lighter(kind):
    data = encoded(photo(), kind)
    light = prepared(data, limits=ImageLimits(max_bytes=6000))
    assert len(light.data) <= 6000
    assert opened(light.data).format == "JPEG"
    assert min(opened(light.data).size) >= 40


def test_a_heavy_png_becomes_a_jpeg_before_it_is_made_smaller():
    data = encoded(photo(), "PNG")
    image = prepared(data, limits=ImageLimits(max_bytes=len(data) - 1))
    assert (image.media_type, opened(image.data).size) == (JPEG, photo().size)


def test_a_limit_that_no_size_fits_is_told():
    error = refusal(encoded(photo(), "PNG"), limits=ImageLimits(max_bytes=50))
    assert (error.code, "50 bytes" in str(error)) == ("image_too_large", True)


def test_the_pictures_of_one_job_share_the_total(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(encoded(photo(), "JPEG", quality=95))
    size = (tmp_path / "a.jpg").stat().st_size
    parser = LineParser(str(tmp_path), {}, {})
    alone = parser.parse(b'{"prompt":"x","images":["a.jpg"]}')
    both = parser.parse(b'{"prompt":"x","images":["a.jpg","b.jpg"]}')
    rules = LoadRules(limits=ImageLimits(max_total_bytes=size))
    assert load(alone, "m", rules).size == size
    assert load(both, "m", rules).size <= size


def test_originals_that_the_provider_would_refuse_are_refused_here():
    as_it_is = ImageRules(original_bytes=True)
    data = encoded(photo(), "BMP")
    assert refusal(data, as_it_is).code == "image_invalid"
    assert prepared(data, as_it_is, ImageLimits(types=(*WEB_TYPES, BMP))).data is data
    jpeg = encoded(photo(), "JPEG")
    assert refusal(jpeg, as_it_is, ImageLimits(max_bytes=100)).code == "image_too_large"
    assert refusal(jpeg, as_it_is, ImageLimits(max_side=100)).code == "image_too_large"
    gif = encoded(photo(), "GIF")
    assert prepared(gif, as_it_is, PLAIN).data is gif


def test_openai_and_its_copies_take_different_types():
    own = OpenAI().limits_at(())
    assert own == OpenAI().limits_at(("https://api.openai.com/v1",)) == OpenAI.image_limits
    for servers in (("http://127.0.0.1:8000",), ("https://api.openai.com", "http://10.0.0.1")):
        assert OpenAI().limits_at(servers).types == (JPEG, PNG)
    assert GIF not in Dynaspark().limits_at(("http://127.0.0.1",)).types


# Defects


def claims(kind, width, height):
    """A small file whose header says that it is large."""
    data = bytearray(encoded(photo(64), kind))
    if kind == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif kind == "TIFF":
        (start,) = struct.unpack_from("<I", data, 4)
        for entry in range(start + 2, start + 2 + 12 * data[start], 12):
            (tag,) = struct.unpack_from("<H", data, entry)
            if tag in (256, 257):
                field = struct.pack("<HII", 4, 1, width if tag == 256 else height)
                data[entry + 2 : entry + 12] = field
    else:
        at = data.index(b"ispe") + 8
        data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


@pytest.mark.parametrize("kind", CONVERTED)
def test_a_bomb_of_any_format_is_refused_by_its_header(kind):
    for side, limit in ((15_000, 100_000_000), (9_000, 80_000_000)):  # Pillow's own lies between
        error = refusal(claims(kind, side, side), ImageRules(max_pixels=limit))
        assert error.code == "image_too_large"  # decoding it would find it cut short


@pytest.mark.parametrize("kind", CONVERTED)
def test_the_pixel_limit_is_exact_for_converted_formats(kind):
    width, height = photo(64).size
    data = encoded(photo(64), kind)
    assert prepared(data, ImageRules(max_pixels=width * height))
    error = refusal(data, ImageRules(max_pixels=width * height - 1))
    assert error.code == "image_too_large"


@pytest.mark.parametrize("kind", ["JPEG", *CONVERTED])
def test_a_file_that_is_cut_short_is_invalid(kind):
    options = {"progressive": True} if kind == "JPEG" else {}
    data = encoded(photo(64), kind, **options)
    for part in (0.2, 0.5, 0.9, 0.97):
        error = refusal(data[: int(len(data) * part)])
        assert error.code == "image_invalid"
        assert str(error).isprintable()


@cache
def small(kind):
    return encoded(photo(64), kind)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(("TIFF", "BMP", "AVIF", "HEIF")),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.booleans()), max_size=8),
)
def test_mutated_bytes_become_a_picture_that_is_taken_or_are_rejected(kind, changes):
    data = bytearray(small(kind))
    for place, value, near in changes:
        data[int(place * (min(len(data), 300 if near else len(data)) - 1))] = value
    image = outcome(bytes(data))
    if isinstance(image, Rejected):
        assert image.code in ("image_invalid", "image_too_large")
        assert str(image).isprintable()
        return
    assert image.media_type in PLAIN.types
    assert opened(image.data).format in ("JPEG", "PNG")


def test_a_progressive_jpeg_goes_as_it_is():
    data = encoded(photo(), "JPEG", progressive=True)
    assert prepared(data).data is data


@pytest.mark.parametrize("media_type", [BMP, TIFF, AVIF, HEIC])
def test_offline_takes_every_format_as_it_is(media_type):
    kinds = {BMP: "BMP", TIFF: "TIFF", AVIF: "AVIF", HEIC: "HEIF"}
    data = encoded(photo(), kinds[media_type])
    originals = ImageRules(original_bytes=True)
    image = prepared(data, originals, ImageLimits(types=(*WEB_TYPES, media_type)))
    assert (image.data, image.media_type) == (data, media_type)
