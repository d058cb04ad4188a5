"""What leaves with a picture: its pixels, and nothing that somebody wrote into its file."""

import json

import pytest
from pictures import encoded, exif, photo
from PIL import PngImagePlugin
from server import Server

SECRET = "52 deg 31' N"
"""What `pictures.exif` writes for place and camera; here it stands wherever a file can hold it."""

TAIL = f"PK\x03\x04<script>{SECRET}</script>%PDF-1.7 {SECRET}".encode()
"""Another file behind the picture: an archive, a page, a document."""

MODES = {"openai": ["-m", "m"], "dynaspark": []}


def texts():
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", SECRET)
    told.add_text("parameters", SECRET, zip=True)
    told.add_itxt("XML:com.adobe.xmp", f"<x:xmpmeta>{SECRET}</x:xmpmeta>")
    return told


def pictures():
    """A picture of each format with the secret in every block that its writer knows."""
    picture, xmp = photo(), f"<x:xmpmeta>{SECRET}</x:xmpmeta>".encode()
    made = {
        "a.jpg": encoded(picture, "JPEG", exif=exif(), xmp=xmp, comment=SECRET.encode()),
        "b.jpg": encoded(picture, "JPEG", exif=exif(6), comment=SECRET.encode()),
        "a.png": encoded(picture, "PNG", exif=exif(), pnginfo=texts()),
        "a.webp": encoded(picture, "WEBP", exif=exif(), xmp=xmp),
        "a.gif": encoded(picture.convert("P"), "GIF", comment=SECRET.encode()),
        "a.tif": encoded(picture, "TIFF", description=SECRET, artist=SECRET),
        "a.avif": encoded(picture, "AVIF", exif=exif(), xmp=xmp),
        "a.heic": encoded(picture, "HEIF", exif=exif(), xmp=xmp),
        "a.bmp": encoded(picture, "BMP"),
    }
    tails = {f"tail-{name}": data + TAIL for name, data in made.items() if name != "b.jpg"}
    return made | tails


@pytest.mark.parametrize("provider", MODES)
@pytest.mark.parametrize("more", [(), ("--max-side", "64"), ("--original-bytes",)], ids=str)
def test_only_pixels_leave_unless_the_bytes_were_asked_for(shell, provider, more, count):
    files = pictures()
    for name, data in files.items():
        path = shell.folder / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    with Server() as server:
        where = ("--provider", provider, "--base-url", server.url, *MODES[provider])
        done = shell("run", "photos", "-p", "look", *where, *more)
        assert done.code in (0, 1), done.err
        sent = [image for request in server.requests for image in request.images]
        assert all(SECRET.encode() not in request.body or more for request in server.requests)
    leaks = sum(SECRET.encode() in image for image in sent)
    kept = more == ("--original-bytes",)
    assert (leaks > 8) if kept else (leaks == 0)
    answered = shell.outputs("photos.results.jsonl")
    assert len(sent) == len(answered) >= 8
    if not kept:
        failures = shell.failures("photos.failed.jsonl") if done.code else {}
        assert {name for name in files if name.startswith("tail")} >= failures.keys()
    count(cases=len(sent))


def test_no_name_of_a_file_or_folder_of_the_user_leaves_with_its_picture(shell, count):
    path = shell.folder / "photos" / "private-name-of-mine" / 'x"; filename="evil.html\r.png'
    path.parent.mkdir(parents=True)
    path.write_bytes(encoded(photo(), "PNG"))
    for provider, more in MODES.items():
        with Server() as server:
            where = ("--provider", provider, "--base-url", server.url, *more)
            assert shell("run", "photos", "-p", "look", "--fresh", *where).code == 0
            (request,) = server.requests
        whole = request.body + json.dumps(request.headers).encode()
        for word in (b"private-name", b"evil", b"photos", str(shell.folder).encode()):
            assert word not in whole
    count(cases=2)
