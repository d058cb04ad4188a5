"""The offline provider: facts of pictures that are made here."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import ExifTags, Image, ImageDraw, ImageFilter, PngImagePlugin

from batch.errors import Rejected
from batch.models import Image as Sent
from batch.models import ImageLink, Message, Picture, Request, Text, image_type
from batch.providers.connection import Connection
from batch.providers.offline import Offline
from batch.providers.offline.colours import nearest, shares
from batch.providers.offline.picture import describe
from batch.sources.presets import PRESETS

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF \
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description \
xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>no</dc:title><dc:description><rdf:Alt>\
<rdf:li xml:lang="x-default">{caption}</rdf:li><rdf:li xml:lang="de">Hafen</rdf:li></rdf:Alt>\
</dc:description></rdf:Description></rdf:RDF></x:xmpmeta>"""


def plain(colour, size=(60, 40), mode="RGB"):
    return Image.new(mode, size, colour)


def saved(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def checks(size=(256, 192)):
    picture = plain("white", size)
    draw = ImageDraw.Draw(picture)
    for x in range(0, size[0], 16):
        for y in range(0, size[1], 16):
            if (x + y) // 16 % 2:
                draw.rectangle((x, y, x + 15, y + 15), fill=(20, 20, 200))
    return picture


def exif_of(inner=(), **tags):
    exif = Image.Exif()
    for name, value in tags.items():
        exif[ExifTags.Base[name]] = value
    exif.get_ifd(ExifTags.IFD.Exif).update(inner)
    return exif


def png_texts(**texts):
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_itxt(key, value)
    return info


def with_iptc(jpeg, caption):
    record = b"\x1c\x02\x78" + len(caption).to_bytes(2, "big") + caption
    block = (
        b"8BIM\x04\x04\0\0" + len(record).to_bytes(4, "big") + record + b"\0" * (len(record) % 2)
    )
    body = b"Photoshop 3.0\0" + block
    return jpeg[:2] + b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def caption_of(data):
    _, found, rest = describe(data).partition("The file's own caption: \"")
    return rest.removesuffix('"') if found else None


@pytest.fixture
async def client():
    completer = Offline().connect(Connection())
    yield completer
    await completer.close()


async def test_an_image_is_answered_with_measured_facts(client):
    data = saved(checks())
    parts = (Text("Describe it."), Picture(Sent(data, image_type(data))))
    reply = await client.complete(Request("facts-1", (Message("user", parts),)))
    assert (reply.source, reply.finish_reason, reply.model) == ("measured", "stop", "facts-1")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (None, None)
    assert reply.text == (
        "Landscape PNG image of 256 x 192 pixels; mostly blue (50%) and white (50%); "
        "mid-tone with strong contrast; sharp."
    )


@pytest.mark.parametrize(
    ("prompt", "tags"),
    [
        (PRESETS["tags"], True),
        ("Give me keywords for this picture.", True),
        (PRESETS["caption"], False),
        ("What do the tags of the dog say?", False),
    ],
)
async def test_where_tags_are_asked_for_the_facts_are_words_with_commas(client, prompt, tags):
    picture = Image.new("RGBA", (60, 80), "white")
    picture.paste((0, 0, 0, 0), (0, 0, 60, 8))
    parts = (Text(prompt), Picture(Sent(saved(picture), "image/png")))
    reply = await client.complete(Request("facts-1", (Message("user", parts),)))
    assert (reply.text == "portrait, png, greyscale, white, light, transparent") == tags
    assert reply.text.startswith("Portrait greyscale PNG image of 60 x 80") != tags


async def test_a_linked_image_is_not_fetched(client):
    parts = (ImageLink("https://example.org/a.png"), Text("Summarise it."))
    with pytest.raises(Rejected, match="fetches no images"):
        await client.complete(Request("facts-1", (Message("user", parts),)))


async def test_two_images_are_refused_not_dropped(client):
    picture = Picture(Sent(saved(plain("red")), "image/png"))
    with pytest.raises(Rejected, match="one image"):
        await client.complete(Request("facts-1", (Message("user", (picture, picture)),)))


async def test_the_seed_call_works():
    call = Offline.create_async_generator(
        "", [{"role": "user", "content": "?"}], media=[("a.png", saved(plain("red")))]
    )
    assert ["entirely red" in text async for text in call] == [True]


def test_importing_the_provider_does_not_import_pillow():
    code = "import sys, batch.providers.offline; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_colours_are_called_by_their_everyday_names():
    known = (
        "000000 black, ffffff white, 808080 grey, ff0000 red, 008000 green, 000080 navy, "
        "ffa500 orange, 008080 teal, ffc0cb pale pink, 87ceeb sky blue, 800080 purple, "
        "8b4513 brown, f5f5dc cream, ffff00 yellow, 808000 olive, ff00ff magenta, d2b48c sand"
    )
    pairs = [pair.split(" ", 1) for pair in known.split(", ")]
    assert {code: nearest(*bytes.fromhex(code)) for code, _ in pairs} == dict(pairs)


def test_every_grey_is_called_a_grey():
    greys = {nearest(value, value, value) for value in range(256)}
    assert greys == {"black", "charcoal", "dark grey", "grey", "light grey", "white"}


def test_shares_count_only_what_is_visible():
    assert shares(b"\xff\0\0" * 3 + b"\0\0\0", b"\xff\xff\xff\0") == [("red", 1.0)]
    assert shares(b"\0\0\0", b"\0") == []


def test_the_exif_orientation_counts_for_the_shape():
    lying = saved(plain("teal"), "JPEG", exif=exif_of(Orientation=6))
    assert describe(lying).startswith("Portrait JPEG image of 40 x 60 pixels")


def test_an_upright_image_is_called_portrait_and_an_even_one_square():
    assert describe(saved(plain("red", (40, 60)))).startswith("Portrait")
    assert describe(saved(plain("red", (40, 40)))).startswith("Square")


def test_tone_goes_from_dark_to_light():
    assert "; dark without contrast" in describe(saved(plain("black")))
    assert "; light without contrast" in describe(saved(plain("white")))


def test_a_blurred_image_is_not_called_sharp():
    picture = checks().resize((2048, 1536), Image.Resampling.NEAREST)
    assert describe(saved(picture, "JPEG", quality=90)).endswith("sharp.")
    blurred = picture.filter(ImageFilter.GaussianBlur(30))
    assert describe(saved(blurred, "JPEG", quality=90)).endswith("without fine detail.")


def test_a_picture_without_hue_is_called_greyscale():
    slope = Image.linear_gradient("L")
    assert describe(saved(slope.convert("RGB"))).startswith("Square greyscale PNG")
    two = checks().convert("1", dither=Image.Dither.NONE)
    assert describe(saved(two)).startswith("Landscape black-and-white PNG")


def test_sixteen_bit_grey_keeps_its_tone():
    assert "entirely grey" in describe(saved(plain(128 * 257, mode="I;16")))


def test_transparency_is_measured():
    picture = plain((0, 0, 0, 0), mode="RGBA")
    picture.paste((255, 0, 0, 255), (0, 0, 30, 40))
    assert "entirely red" in describe(saved(picture))
    assert "50% transparent" in describe(saved(picture))
    nothing = describe(saved(plain((9, 9, 9, 0), mode="RGBA")))
    assert nothing == "Landscape PNG image of 60 x 40 pixels; fully transparent."


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_frames_of_an_animation_are_counted(kind):
    frames = [plain("red"), plain("blue"), plain("green")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert f"animated {kind.replace('WEBP', 'WebP')} image of 60 x 40 pixels, 3 frames" in (
        describe(data)
    )


def test_a_jpeg_with_a_second_picture_is_a_still_jpeg():
    data = saved(plain("red"), "MPO", save_all=True, append_images=[plain("blue")])
    assert describe(data).startswith("Landscape JPEG image of 60 x 40 pixels; entirely red")


def test_date_and_camera_come_from_the_exif():
    exif = exif_of({0x9003: "2019:05:02 10:11:12"}, Make="Canon", Model="Canon EOS 5D")
    found = describe(saved(plain("red"), "JPEG", exif=exif))
    assert found.endswith(" Taken on 2019-05-02, camera: Canon EOS 5D.")
    unset = exif_of({0x9003: "0000:00:00 00:00:00"}, Make="Acme", Model="X1")
    assert describe(saved(plain("red"), "JPEG", exif=unset)).endswith(" Camera: Acme X1.")


def test_coordinates_never_appear():
    exif = exif_of(Model="X1")
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 31.0, 7.25), 3: "E"})
    found = describe(saved(plain("red"), "JPEG", exif=exif))
    assert "Camera: X1" in found
    assert not any(word in found for word in ("52", "31", "7.25", "GPS"))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_an_xmp_description_is_the_caption(kind):
    packet = XMP.format(caption="Ships &amp; sails").encode()
    assert caption_of(saved(plain("red"), kind, xmp=packet)) == "Ships & sails"


def test_an_xmp_description_in_a_png_is_the_caption():
    info = png_texts(**{"XML:com.adobe.xmp": XMP.format(caption="Ships")})
    assert caption_of(saved(plain("red"), pnginfo=info)) == "Ships"


@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
def test_xmp_that_declares_entities_is_not_read(coding):
    packet = '<!DOCTYPE x [<!ENTITY e "boom">]>' + XMP.format(caption="&e;")
    assert caption_of(saved(plain("red"), "JPEG", xmp=packet.encode(coding))) is None


def test_broken_xmp_is_left_out():
    assert caption_of(saved(plain("red"), "JPEG", xmp=b"<x:xmpmeta")) is None


def test_an_iptc_caption_is_the_caption():
    data = with_iptc(saved(plain("red"), "JPEG"), "Café".encode())
    assert caption_of(data) == "Café"
    assert caption_of(with_iptc(saved(plain("red"), "JPEG"), b"Caf\xe9")) == "Café"


def test_an_exif_description_is_the_caption_unless_the_camera_wrote_it():
    exif = exif_of(ImageDescription="Boats")
    assert caption_of(saved(plain("red"), "JPEG", exif=exif)) == "Boats"
    stock = exif_of(ImageDescription="OLYMPUS DIGITAL CAMERA")
    assert caption_of(saved(plain("red"), "JPEG", exif=stock)) is None


@pytest.mark.parametrize(
    "coding", ["ASCII\0\0\0 utf-8", "UNICODE\0 utf-16-be", "UNICODE\0 utf-16-le"]
)
def test_an_exif_user_comment_is_the_caption_in_each_coding(coding):
    mark, name = coding.split(" ")
    comment = exif_of({0x9286: mark.encode() + "Boats".encode(name)})
    assert caption_of(saved(plain("red"), "JPEG", exif=comment)) == "Boats"


@pytest.mark.parametrize("key", ["Description", "Comment"])
def test_a_png_text_is_the_caption(key):
    assert caption_of(saved(plain("red"), pnginfo=png_texts(**{key: "Boats"}))) == "Boats"


def test_a_generation_prompt_is_quoted_without_its_settings():
    text = "a cat, oil\nNegative prompt: dog\nSteps: 20, Sampler: Euler"
    found = describe(saved(plain("red"), pnginfo=png_texts(parameters=text)))
    assert found.endswith('The generation prompt in the file: "a cat, oil"')
    coded = b"UNICODE\0" + text.encode("utf-16-be")
    assert describe(saved(plain("red"), "JPEG", exif=exif_of({0x9286: coded}))).endswith('oil"')


def test_a_comfyui_workflow_is_only_mentioned():
    found = describe(saved(plain("red"), pnginfo=png_texts(prompt='{"3": {"secret": 1}}')))
    assert found.endswith("The file carries a ComfyUI workflow.")


def test_a_caption_loses_control_characters_and_is_cut():
    wild = 'A\x1b[31m\u202eB\n\n"C"\0' + "x" * 5000
    found = caption_of(saved(plain("red"), pnginfo=png_texts(Description=wild)))
    assert found.startswith("A [31m B 'C' xxx")
    assert len(found) == 300
    assert found.isprintable()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
def test_cut_bytes_are_an_invalid_image(kind):
    data = saved(Image.effect_noise((90, 90), 60), kind)
    for broken in (data[: len(data) // 2], data[:20], b"", b"<svg/>"):
        with pytest.raises(Rejected, match="cannot be decoded") as caught:
            describe(broken)
        assert caught.value.code == "image_invalid"


def test_the_same_bytes_give_the_same_words():
    data = saved(Image.effect_mandelbrot((300, 200), (-2, -1, 1, 1), 50).convert("RGB"), "JPEG")
    assert len({describe(data) for _ in range(3)}) == 1
