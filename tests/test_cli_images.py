"""Folders as people have them: every format, every defect, and what a server gets of them."""

import base64
import os
from io import BytesIO

import pytest
from pictures import PLACE, difference, encoded, exif, opened, photo, stored
from PIL import Image
from shell import dynaspark, openai

SOUND = {
    "1.jpg": lambda: encoded(stored(photo(), 6), "JPEG", progressive=True, exif=exif(6)),
    "2.JPEG": lambda: encoded(photo().convert("CMYK"), "JPEG"),
    "3.png": lambda: encoded(photo().convert("RGBA"), "PNG"),
    "4.webp": lambda: encoded(photo(), "WEBP"),
    "5.gif": lambda: encoded(photo(), "GIF"),
    "6.BMP": lambda: encoded(photo(), "BMP"),
    "7.tif": lambda: encoded(photo(), "TIFF", exif=exif().tobytes()),
    "8.avif": lambda: encoded(photo(), "AVIF", exif=exif().tobytes()),
    "9.HEIC": lambda: encoded(photo(), "HEIF", exif=exif().tobytes()),
    "10.jpg": lambda: encoded(photo(), "HEIF"),
}
"""The same photograph in every format; the last one has a name that lies."""
BROKEN = {
    "k.jpg": lambda: encoded(photo(), "JPEG")[:3000],
    "l.heic": lambda: encoded(photo(), "HEIF")[:3000],
    "m.bmp": lambda: b"no picture",
    "n.tiff": lambda: b"",
}


@pytest.fixture
def photos(shell):
    """A folder with a picture of every format and every defect."""
    folder = shell.folder / "photos"
    folder.mkdir()
    for name, make in {**SOUND, **BROKEN}.items():
        (folder / name).write_bytes(make())
    return folder


@pytest.mark.parametrize(
    ("provider", "kinds"), [(openai, {"JPEG", "PNG"}), (dynaspark, {"JPEG", "PNG", "WEBP"})]
)
def test_a_server_gets_every_photograph_in_a_type_that_it_takes(
    shell, photos, server, provider, kinds
):
    done = shell("run", "photos", "-p", "?", *provider(server))
    assert done.code == 1
    assert set(shell.outputs("photos.results.jsonl")) == set(SOUND)
    assert shell.failures("photos.failed.jsonl") == dict.fromkeys(BROKEN, "image_invalid")
    for request in server.requests:
        (sent,) = request.images
        picture = opened(sent)
        assert picture.format in kinds
        assert "exif" not in picture.info
        assert PLACE.encode() not in sent
        assert difference(picture, photo()) < 9


def test_the_embedded_provider_measures_every_format(shell, photos):
    done = shell("run", "photos")
    assert done.code == 1
    told = shell.outputs("photos.results.jsonl")
    assert set(told) == set(SOUND)
    width, height = photo().size
    for name, kind in {"6.BMP": "BMP", "7.tif": "TIFF", "8.avif": "AVIF", "9.HEIC": "HEIC"}.items():
        assert f"{kind} image of {width} x {height} pixels" in told[name]
    assert shell.failures("photos.failed.jsonl") == dict.fromkeys(BROKEN, "image_invalid")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "AVIF", "HEIF"])
def test_the_embedded_provider_tells_the_size_of_the_upright_picture(shell, kind):
    (shell.folder / "photos").mkdir()
    tall = photo().resize((120, 240))
    data = encoded(stored(tall, 6), kind, exif=exif(6).tobytes())
    (shell.folder / "photos/a.jpg").write_bytes(data)
    assert shell("run", "photos").code == 0
    (told,) = shell.outputs("photos.results.jsonl").values()
    assert told.startswith("Portrait")
    assert "of 120 x 240 pixels" in told


def test_a_folder_that_is_done_is_not_done_again(shell, photos, server):
    shell("run", "photos", "-p", "?", *openai(server))
    before = len(server.requests)
    assert shell("run", "photos", "-p", "?", *openai(server)).code == 1
    assert len(server.requests) == before == len(SOUND)


def test_a_fallback_gets_pictures_that_it_takes_too(shell, server):
    (shell.folder / "photos").mkdir()
    (shell.folder / "photos/a.webp").write_bytes(encoded(photo(), "WEBP"))
    (shell.folder / "overnight.toml").write_text(
        f'[provider.openai]\nbase_url = ["{server.url}"]\n', "utf-8"
    )
    words = ("run", "photos", "-p", "?", *dynaspark(server))
    assert shell(*words, "-o", "alone.jsonl").code == 0
    assert shell(*words, "-o", "both.jsonl", "--fallback", "openai:m").code == 0
    kinds = [Image.open(BytesIO(request.images[0])).format for request in server.requests]
    assert kinds == ["WEBP", "JPEG"]


def test_heic_without_its_extra_is_told_with_what_to_install(shell):
    (shell.folder / "shadow").mkdir()
    (shell.folder / "shadow/pillow_heif.py").write_text("raise ImportError('none')\n", "utf-8")
    (shell.folder / "photos").mkdir()
    (shell.folder / "photos/a.heic").write_bytes(SOUND["9.HEIC"]())
    (shell.folder / "photos/b.jpg").write_bytes(SOUND["1.jpg"]())
    shadow = os.environ | {"PYTHONPATH": str(shell.folder / "shadow")}
    assert shell.process("run", "photos", env=shadow).code == 1
    (failed,) = shell.lines("photos.failed.jsonl")
    assert (failed["id"], failed["failure"]["code"]) == ("a.heic", "unsupported")
    assert "pip install '.[heic]' in the checkout" in failed["failure"]["message"]
    assert list(shell.outputs("photos.results.jsonl")) == ["b.jpg"]
    assert shell("run", "photos", "--retry-failed", "all").code == 0


@pytest.mark.parametrize("kind", ["BMP", "HEIF"])
def test_a_picture_in_a_batch_line_goes_as_it_is_or_not_at_all(shell, server, kind):
    data = base64.b64encode(encoded(photo(64), kind)).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    shell.write("jobs.jsonl", line)
    assert shell("run", "jobs.jsonl", *openai(server)).code == 1
    assert shell.failures() == {"a": "image_invalid"}
    assert server.requests == []


def test_a_damaged_tiff_is_told_by_us_and_not_by_its_decoder(shell):
    data = bytearray(encoded(photo(), "TIFF", compression="tiff_lzw"))
    data[2000:2200] = b"\xff" * 200
    shell.picture("photos/a.png")
    (shell.folder / "photos/b.tif").write_bytes(data)
    done = shell.process("run", "photos")
    assert done.code == 1
    assert shell.failures("photos.failed.jsonl") == {"b.tif": "image_invalid"}
    assert "tempfile" not in done.err  # what libtiff calls every file that Pillow hands to it
