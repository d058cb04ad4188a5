"""A job becomes a request with every image loaded, or the reason why one cannot be."""

import base64
import hashlib
import json
import os
from functools import cache
from io import BytesIO

import pytest
from PIL import Image as Pillow

from batch.errors import Rejected
from batch.keys import job_key
from batch.media.load import ImageRules
from batch.media.request import LoadRules, body_images, current_digests, load
from batch.models import ImageLink, Media, Message, Picture, Request, Text
from batch.providers.dynaspark import Dynaspark
from batch.providers.openai import OpenAI
from batch.sources.parse import LineParser

RULES = LoadRules()
REMOTE = LoadRules(allow_remote=True)


@cache
def png(color="red", side=4):
    out = BytesIO()
    Pillow.new("RGB", (side, side), color).save(out, "PNG")
    return out.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def data_uri(data):
    return "data:image/png;base64," + base64.b64encode(data).decode()


def job(root, **fields):
    return LineParser(str(root), {}, {}).parse(json.dumps(fields).encode())


def asked(root, *sources, **fields):
    """A job with images in the parts of a message."""
    parts = [{"type": "image_url", "image_url": {"url": source}} for source in sources]
    content = [*parts, {"type": "text", "text": "x"}]
    return job(root, messages=[{"role": "user", "content": content}], **fields)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png("blue"))
    (tmp_path / "broken.png").write_bytes(png()[:40])
    (tmp_path / "text.png").write_bytes(b"no image at all")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


# What is loaded


def test_a_text_job_is_a_request_as_it_stands(tmp_path):
    plain = job(tmp_path, prompt="x", system="s", params={"n": 1}, schema={"type": "object"})
    loaded = load(plain, "wire-name", RULES)
    messages = (Message("system", "s"), Message("user", "x"))
    asked = Request("wire-name", messages, {"n": 1}, {"type": "object"}, id=plain.id)
    assert loaded.ready() == asked
    assert (loaded.digests, loaded.media, loaded.size, loaded.error) == ((), (), 0, None)


def test_text_parts_stay_parts(tmp_path):
    content = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    loaded = load(job(tmp_path, messages=[{"role": "user", "content": content}]), "m", RULES)
    assert loaded.ready().messages == (Message("user", (Text("a"), Text("b"))),)


def test_an_image_is_loaded_with_its_digest_and_what_the_file_was(photos):
    loaded = load(job(photos, prompt="x", image="a.png"), "m", RULES)
    picture, text = loaded.ready().messages[0].content
    assert (picture.image.data, picture.image.media_type, text) == (png(), "image/png", Text("x"))
    stat = (photos / "a.png").stat()
    assert loaded.media == (Media("a.png", stat.st_size, stat.st_mtime_ns, digest(png())),)
    assert loaded.digests == (digest(png()),)
    assert loaded.size == len(picture.image.data)


def test_the_name_of_a_file_is_not_told_to_the_provider(photos):
    (photos / "a.png").rename(photos / "Jane Doe.png")
    request = load(job(photos, prompt="x", image="Jane Doe.png"), "m", RULES).ready()
    for provider in (OpenAI(), Dynaspark()):
        assert "Jane" not in repr(provider.encode(request))


def test_several_images_keep_their_order_and_their_details(photos):
    content = [
        {"type": "image_url", "image_url": {"url": "b.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "a.png"}},
    ]
    loaded = load(job(photos, messages=[{"role": "user", "content": content}]), "m", RULES)
    pictures = loaded.ready().messages[0].content
    assert [picture.detail for picture in pictures] == ["low", ""]
    assert loaded.digests == (digest(png("blue")), digest(png()))
    assert [media.path for media in loaded.media] == ["b.png", "a.png"]


def test_an_image_is_prepared_but_its_digest_is_of_the_file(photos):
    (photos / "big.png").write_bytes(png(side=64))
    rules = LoadRules(ImageRules(max_side=16))
    loaded = load(job(photos, prompt="x", image="big.png"), "m", rules)
    sent = loaded.ready().messages[0].content[0].image
    assert Pillow.open(BytesIO(sent.data)).size == (16, 16)
    assert loaded.digests == (digest(png(side=64)),)


def test_a_provider_on_this_machine_gets_the_bytes_of_the_file(photos):
    originals = LoadRules(originals=True)
    sent = load(job(photos, prompt="x", image="a.png"), "m", originals).ready()
    assert next(sent.images()).data == png()
    odd = load(job(photos, prompt="x", image="text.png"), "m", originals)
    assert odd.error.code == "image_invalid"


def test_a_data_image_is_loaded_and_is_no_file(tmp_path):
    loaded = load(asked(tmp_path, data_uri(png())), "m", RULES)
    assert isinstance(loaded.ready().messages[0].content[0], Picture)
    assert (loaded.digests, loaded.media) == ((digest(png()),), ())


def test_an_image_has_one_key_whether_it_is_a_file_or_a_data_image(photos):
    keys = {
        job_key(each, "p", "m", load(each, "m", RULES).digests)
        for each in (asked(photos, "a.png"), asked(photos, data_uri(png())))
    }
    assert len(keys) == 1


# What cannot be loaded


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("none.png", "image_unreadable"),
        ("folder.png", "image_unreadable"),
        ("a.png/b.png", "image_unreadable"),
        ("../a.png", "not_allowed"),
        ("/etc/passwd", "not_allowed"),
        ("~/a.png", "not_allowed"),
        ("file:///etc/passwd", "not_allowed"),
        ("ftp://host/a.png", "not_allowed"),
        ("HTTP://host/a.png", "not_allowed"),
        ("a\0.png", "not_allowed"),
        ("", "not_allowed"),
    ],
)
def test_an_image_that_cannot_be_read_is_an_error_that_names_it(photos, source, code):
    for each in (job(photos, prompt="x", image=source), asked(photos, source)):
        loaded = load(each, "m", RULES)
        with pytest.raises(Rejected) as told:
            loaded.ready()
        assert told.value.code == code
        assert source.replace("\0", r"\x00") in str(told.value)
        assert loaded.digests == (f"!{code}",)
        assert (loaded.media, loaded.size) == ((), 0)


@pytest.mark.parametrize("source", ["text.png", "broken.png"])
def test_bytes_that_are_no_image_are_an_error_that_names_the_file(photos, source):
    loaded = load(job(photos, prompt="x", image=source), "m", RULES)
    assert loaded.error.code == "image_invalid"
    assert str(loaded.error).startswith(f"{source}: ")
    assert loaded.digests == (digest((photos / source).read_bytes()),)


def test_an_image_over_the_limit_is_an_error_that_names_the_file(photos):
    loaded = load(job(photos, prompt="x", image="a.png"), "m", LoadRules(ImageRules(max_bytes=10)))
    assert loaded.error.code == "image_too_large"
    assert "a.png" in str(loaded.error)
    assert loaded.digests == ("!image_too_large",)


@pytest.mark.parametrize(
    "source",
    [
        "data:text/plain;base64,AAAA",
        "data:image/png,AAAA",
        "data:image/png;base64,A*A=",
        data_uri(b"no image"),
        data_uri(png()[:40]),
        "data:",
    ],
)
def test_a_data_image_that_is_none_is_invalid(tmp_path, source):
    assert load(asked(tmp_path, source), "m", RULES).error.code == "image_invalid"


def test_the_first_error_counts_and_every_image_has_a_digest(photos):
    both = job(photos, prompt="x", images=["a.png", "none.png", "../b.png", "b.png"])
    loaded = load(both, "m", RULES)
    assert loaded.error.code == "image_unreadable"
    assert "none.png" in str(loaded.error)
    assert loaded.digests == (
        digest(png()),
        "!image_unreadable",
        "!not_allowed",
        digest(png("blue")),
    )
    assert (loaded.request, loaded.media) == (None, ())


def test_a_file_name_cannot_steer_the_terminal(photos):
    name = "\x1b[31m.png"
    (photos / name).write_bytes(b"no image")
    for source in (f"./{name}", "none\x1b[0m.png"):
        assert "\x1b" not in str(load(job(photos, prompt="x", image=source), "m", RULES).error)


# Remote images


@pytest.mark.parametrize("url", ["http://host/a.png", "https://host/a.png?q=1"])
def test_a_remote_image_is_refused_with_what_would_allow_it(tmp_path, url):
    loaded = load(asked(tmp_path, url), "m", RULES)
    assert loaded.error.code == "not_allowed"
    assert "--allow-remote-images" in str(loaded.error)


@pytest.mark.parametrize("url", ["http://host/a.png", "https://host/a.png?q=1"])
def test_a_remote_image_is_passed_on_when_that_is_allowed(tmp_path, url):
    loaded = load(asked(tmp_path, url), "m", REMOTE)
    assert loaded.ready().messages[0].content == (ImageLink(url), Text("x"))
    assert (loaded.digests, loaded.media, loaded.size) == ((url,), (), 0)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/a", "HTTPS://host/a", "//host/a"]
)
def test_other_addresses_are_never_passed_on(tmp_path, url):
    assert load(asked(tmp_path, url), "m", REMOTE).error.code == "not_allowed"


# Bodies that go out verbatim


def batch(root, *urls):
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return job(root, body={"model": "m", "messages": [{"role": "user", "content": parts}], "n": 2})


def test_a_body_goes_out_as_it_is(tmp_path):
    line = batch(tmp_path, data_uri(png()))
    loaded = load(line, "wire-name", RULES)
    assert loaded.ready() == Request("wire-name", (), {}, None, line.url, line.body, line.id)
    assert (loaded.digests, loaded.media) == ((), ())


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://host/a.png", "not_allowed"),
        ("file:///etc/passwd", "not_allowed"),
        ("a.png", "not_allowed"),
        ("", "not_allowed"),
        (data_uri(b"no image"), "image_invalid"),
        ("data:image/png;base64,***", "image_invalid"),
    ],
)
def test_images_of_a_body_are_held_to_the_same_rules(photos, url, code):
    assert load(batch(photos, data_uri(png()), url), "m", RULES).error.code == code


def test_remote_images_of_a_body_are_passed_on_only_when_that_is_allowed(tmp_path):
    assert load(batch(tmp_path, "https://host/a.png"), "m", REMOTE).ready().body
    assert load(batch(tmp_path, "file:///a.png"), "m", REMOTE).error.code == "not_allowed"


@pytest.mark.parametrize(
    ("body", "urls"),
    [
        ({}, []),
        ({"messages": None}, []),
        ({"messages": [1, None, {}, {"content": "x"}, {"content": [1, {}, {"image_url": 1}]}]}, []),
        (
            {"messages": [{"content": [{"image_url": "a"}, {"image_url": {"url": "b"}}]}]},
            ["a", "b"],
        ),
        ({"messages": [{"content": [{"image_url": {"url": 1}}, {"image_url": {}}]}]}, []),
    ],
)
def test_the_images_of_any_body_are_found(body, urls):
    assert list(body_images(body)) == urls


# Digests of what stands there now


def test_present_digests_are_those_of_loading(photos):
    sources = ["a.png", data_uri(png("blue")), "none.png", "../x", "text.png", "https://host/a"]
    every = asked(photos, *sources)
    assert current_digests(every, (), ImageRules()) == load(every, "m", RULES).digests


def test_an_unchanged_file_is_not_read_again(photos):
    each = job(photos, prompt="x", image="a.png")
    (media,) = load(each, "m", RULES).media
    stat = (photos / "a.png").stat()
    (photos / "a.png").write_bytes(b"x" * stat.st_size)
    os.utime(photos / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert current_digests(each, (media,), ImageRules()) == (digest(png()),)


@pytest.mark.parametrize("change", ["mtime", "size"])
def test_a_file_of_another_size_or_time_is_read_again(photos, change):
    each = job(photos, prompt="x", image="a.png")
    (media,) = load(each, "m", RULES).media
    stat = (photos / "a.png").stat()
    data = b"x" * (stat.st_size + (change == "size"))
    (photos / "a.png").write_bytes(data)
    later = stat.st_mtime_ns + (change == "mtime")
    os.utime(photos / "a.png", ns=(stat.st_atime_ns, later))
    assert current_digests(each, (media,), ImageRules()) == (digest(data),)


def test_a_recorded_hash_stands_for_its_own_path_only(photos):
    media = load(job(photos, prompt="x", image="a.png"), "m", RULES).media
    other = job(photos, prompt="x", image="b.png")
    assert current_digests(other, media, ImageRules()) == (digest(png("blue")),)


def test_a_file_that_went_away_has_the_digest_of_its_failure(photos):
    each = job(photos, prompt="x", image="a.png")
    media = load(each, "m", RULES).media
    (photos / "a.png").unlink()
    assert current_digests(each, media, ImageRules()) == ("!image_unreadable",)


@pytest.mark.parametrize("address", ["https://host/a.png", data_uri(png()), "http://host/a.png"])
def test_the_image_field_takes_no_address_even_when_remote_images_are_allowed(tmp_path, address):
    loaded = load(job(tmp_path, prompt="x", image=address), "m", REMOTE)
    assert loaded.error.code == "not_allowed"
