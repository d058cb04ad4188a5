"""Dynaspark: the seed's attributes and rules, its wire, and its two examples as they stand."""

import io
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from PIL import Image as Pillow
from server import Reply, Server, expected_answer

from batch.errors import RateLimited, Rejected, Retryable, UsageError
from batch.models import Image, ImageLink, Job, JobMessage, Message, Picture, Request, Text
from batch.models import ImageRef as Ref
from batch.providers.base import AsyncGeneratorProvider, ProviderModelMixin
from batch.providers.client import encoded
from batch.providers.dynaspark import Dynaspark, flatten

URL = "https://dynaspark.onrender.com"


def png(size=(4, 3), mode="RGB"):
    buffer = io.BytesIO()
    Pillow.new(mode, size, 7).save(buffer, "PNG")
    return buffer.getvalue()


def request(*messages, model="gemini-2.0-flash-lite", **more):
    built = tuple(Message(*message) for message in messages) or (Message("user", "hi"),)
    return Request(model, built, **more)


def picture(data=b"\x89PNG\r\n\x1a\n1", name="image.png"):
    return Picture(Image(data, "image/png", name))


def fields_of(call):
    return parse_qs(b"".join(map(encoded, call.pieces)).decode(), True, True)


def parts_of(sent):
    """Name → (file name, content type, bytes) of a recorded multipart body."""
    head = f"Content-Type: {sent.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + sent.body)
    return {
        part.get_param("name", header="content-disposition"): (
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    }


async def ask(server, **given):
    """The answers of the seed's door, sent to the loopback server."""
    given = {"model": "", "messages": [{"role": "user", "content": "hi"}]} | given
    door = Dynaspark.create_async_generator(**given, base_url=server.url)
    return [answer async for answer in door]


def test_it_has_the_bases_and_attributes_of_the_seed():
    assert Dynaspark.__bases__ == (AsyncGeneratorProvider, ProviderModelMixin)
    assert Dynaspark.url == URL
    assert Dynaspark.login_url is None
    assert Dynaspark.api_endpoint == URL + "/generate_response"
    assert (Dynaspark.working, Dynaspark.needs_auth, Dynaspark.use_nodriver) == (True, False, True)
    assert Dynaspark.supports_stream is True
    assert Dynaspark.supports_system_message is False
    assert Dynaspark.supports_message_history is False


def test_it_has_the_models_of_the_seed():
    assert Dynaspark.default_model == Dynaspark.default_vision_model == "gemini-1.5-flash"
    assert Dynaspark.models == Dynaspark.vision_models == Dynaspark.get_models()
    assert Dynaspark.models == [
        "gemini-1.5-flash",
        "gemini-1.5-flash-8b",
        "gemini-2.0-flash",
        "gemini-2.0-flash-lite",
    ]
    assert Dynaspark.model_aliases == {
        "gemini-1.5-flash": "gemini-1.5-flash-8b",
        "gemini-2.0-flash": "gemini-2.0-flash-lite",
    }


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("", "gemini-1.5-flash-8b"),
        ("gemini-1.5-flash", "gemini-1.5-flash-8b"),
        ("gemini-2.0-flash", "gemini-2.0-flash-lite"),
        ("gemini-1.5-flash-8b", "gemini-1.5-flash-8b"),
        ("gemini-9", "gemini-9"),
    ],
)
async def test_aliases_are_applied_and_unknown_models_go_out_as_they_are(asked, sent):
    assert Dynaspark.get_model(asked) == sent
    with Server() as server:
        await ask(server, model=asked)
    assert server.requests[0].model == sent


def test_a_single_message_goes_as_it_is():
    assert flatten([Message("user", " as it is\n")]) == " as it is\n"
    assert flatten([Message("system", "rules")]) == "rules"
    assert flatten([Message("user", (Text("a"), picture(), Text("b")))]) == "ab"


def test_several_messages_become_lines_that_name_their_roles():
    turns = [Message("system", "be brief"), Message("user", "hi")]
    assert flatten(turns) == "System: be brief\nUser: hi\nAssistant:"
    turns = [Message("user", (picture(),)), Message("assistant", "a cat"), Message("user", "sure?")]
    assert flatten(turns) == "Assistant: a cat\nUser: sure?\nAssistant:"


def test_text_alone_is_a_urlencoded_form_of_two_fields():
    call = Dynaspark().encode(request(("user", "häß & co")))
    assert (call.path, call.headers) == ("/generate_response", {})
    assert call.content_type == "application/x-www-form-urlencoded"
    assert fields_of(call) == {"user_input": ["häß & co"], "ai_model": ["gemini-2.0-flash-lite"]}


def test_parameters_become_fields_of_their_own():
    params = {"temperature": 0.5, "stop": ["\n"], "style": "dry", "deep": {"a": None}, "on": True}
    fields = fields_of(Dynaspark().encode(request(params=params)))
    assert fields == {
        "temperature": ["0.5"],
        "stop": ['["\\n"]'],
        "style": ["dry"],
        "deep": ['{"a":null}'],
        "on": ["true"],
        "user_input": ["hi"],
        "ai_model": ["gemini-2.0-flash-lite"],
    }


def test_no_parameter_takes_the_place_of_the_prompt():
    call = Dynaspark().encode(request(params={"user_input": "other", "ai_model": "other"}))
    assert fields_of(call) == {"user_input": ["hi"], "ai_model": ["gemini-2.0-flash-lite"]}


@pytest.mark.parametrize(
    "parts",
    [
        (picture(), picture()),
        (picture(), picture(b"\xff\xd8\xff")),
        (ImageLink("https://a.test/"),),
    ],
    ids=["twice", "two", "link"],
)
def test_what_the_wire_cannot_carry_is_refused_and_never_dropped(parts):
    with pytest.raises(Rejected) as caught:
        Dynaspark().encode(request(("user", (Text("see"), *parts))))
    assert caught.value.code == "unsupported"


def test_two_images_in_two_messages_are_refused_too():
    with pytest.raises(Rejected, match="one image"):
        Dynaspark().encode(request(("user", (picture(),)), ("user", (picture(),))))


def test_a_job_that_it_cannot_do_is_told_before_anything_is_sent():
    def job(*images, schema=None, url="", body=None):
        message = JobMessage("user", tuple(map(Ref, images)))
        return Job("a", (message,), "", {}, schema, {}, "/", {}, url, body)

    reason = Dynaspark().reason_unsupported
    assert reason(job("one.png")) == ""
    assert "takes one image a job, this one has 2" in reason(job("one.png", "two.png"))
    assert "schema" in reason(job(schema={"type": "object"}))
    assert "no path" in reason(job(url="/v1/chat/completions", body={}))


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", "text/plain"])
async def test_a_reply_is_read_as_json_whatever_it_says_it_is(kind):
    with Server(
        script=[Reply(b'{"response": "\xc3\xa4 \\u00e4"}', {"content-type": kind})]
    ) as server:
        assert await ask(server) == ["ä ä"]


@pytest.mark.parametrize(
    ("body", "error", "code"),
    [
        (b'{"error": "something broke"}', Retryable, "bad_response"),
        (b'{"error": "Too many requests"}', RateLimited, "rate_limited"),
        (b'{"error": "daily limit exceeded", "response": "hi"}', RateLimited, "rate_limited"),
        (b'{"error": {"code": 400, "message": "bad file"}}', Rejected, "rejected"),
        (b'{"response": null}', Retryable, "bad_response"),
        (b'{"response": {"text": "hi"}}', Retryable, "bad_response"),
        (b'{"answer": "hi"}', Retryable, "bad_response"),
    ],
)
def test_an_error_in_a_200_is_no_answer(body, error, code):
    with pytest.raises(error) as caught:
        Dynaspark().decode(body)
    assert (type(caught.value), caught.value.code) == (error, code)


def test_a_run_has_to_name_its_server():
    assert Dynaspark.default_base_url == ""
    assert Dynaspark().address("http://127.0.0.1:8000/") == "http://127.0.0.1:8000"


async def test_the_text_example_of_the_seed_works_as_it_stands():
    with Server() as server:
        async for text in Dynaspark.create_async_generator(
            model="gemini-1.5-flash",
            messages=[{"role": "user", "content": "Hello, how are you?"}],
            proxy=None,
            base_url=server.url,
        ):
            assert text == expected_answer("Hello, how are you?")
    (sent,) = server.requests
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"
    assert (sent.path, sent.model) == ("/generate_response", "gemini-1.5-flash-8b")


async def test_the_picture_example_of_the_seed_works_as_it_stands():
    png_bytes = png()
    with Server() as server:
        async for text in Dynaspark.create_async_generator(
            model="gemini-2.0-flash",
            messages=[{"role": "user", "content": "What is in this picture?"}],
            media=[("image.png", png_bytes)],
            base_url=server.url,
        ):
            assert text == expected_answer("What is in this picture?", [png_bytes])
    assert server.answers == 1
    assert parts_of(server.requests[0]) == {
        "user_input": (None, "text/plain", b"What is in this picture?"),
        "ai_model": (None, "text/plain", b"gemini-2.0-flash-lite"),
        "file": ("image.png", "image/png", png_bytes),
    }


def media_forms(folder):
    path = folder / "on disk.png"
    path.write_bytes(png())
    return {
        "bytes first": (png(), "a.png"),
        "buffers": ("a.png", memoryview(bytearray(png()))),
        "a path": ("a.png", path),
        "a path first": (path, "a.png"),
        "a path as text": ("a.png", str(path)),
        "a path as text first": (str(path), "a.png"),
        "a picture": ("a.png", Pillow.open(path)),
        "a picture first": (Pillow.new("RGB", (4, 3), 7), "a.png"),
    }


async def test_media_may_be_bytes_a_path_or_a_picture_in_either_order(tmp_path):
    for form, pair in media_forms(tmp_path).items():
        with Server() as server:
            await ask(server, media=[pair])
        name, kind, data = parts_of(server.requests[0])["file"]
        assert (name, kind) == ("a.png", "image/png"), form
        assert Pillow.open(io.BytesIO(data)).size == (4, 3), form


async def test_a_file_without_a_name_gets_one_and_its_type_is_told_by_its_bytes():
    jpeg = io.BytesIO()
    Pillow.new("RGB", (4, 3)).save(jpeg, "JPEG")
    with Server() as server:
        await ask(server, media=[(None, jpeg.getvalue())])
        await ask(server, media=[("lie.png", jpeg.getvalue())])
    sent = [parts_of(each)["file"][:2] for each in server.requests]
    assert sent == [("image", "image/jpeg"), ("lie.png", "image/jpeg")]


async def test_media_go_with_the_last_message_of_the_user():
    turns = [("system", "be brief"), ("user", "look"), ("assistant", "yes?"), ("user", "what?")]
    messages = [{"role": role, "content": text} for role, text in turns]
    with Server() as server:
        await ask(server, messages=messages, media=[("a.png", png())])
    whole = "System: be brief\nUser: look\nAssistant: yes?\nUser: what?\nAssistant:"
    assert server.requests[0].prompt == whole
    assert server.requests[0].images == [png()]


async def test_parameters_of_the_call_become_fields():
    with Server() as server:
        await ask(server, temperature=0.5)
    assert parse_qs(server.requests[0].body.decode())["temperature"] == ["0.5"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"media": [("a.txt", b"no picture")]}, "must be JPEG"),
        ({"media": [("a.png", Path("/nowhere/a.png"))]}, "cannot be read"),
        ({"media": [("a.png", object())]}, "cannot be read"),
        ({"media": [("a.png", Pillow.new("CMYK", (2, 2)))]}, "cannot be read"),
        ({"messages": []}, "no messages"),
        ({"messages": [], "media": [("a.png", b"")]}, "no messages"),
        ({"messages": [{"role": "user"}]}, "must be text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "`media`"),
    ],
)
async def test_what_cannot_be_sent_whole_is_refused_before_anything_goes_out(given, words):
    with Server() as server, pytest.raises(UsageError, match=words):
        await ask(server, **given)
    assert server.arrived == 0


async def test_two_images_in_one_call_are_refused():
    with Server() as server, pytest.raises(Rejected, match="one image"):
        await ask(server, media=[("a.png", png()), ("b.png", png())])
    assert server.arrived == 0


async def test_texts_in_parts_are_joined():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    with Server() as server:
        assert await ask(server, messages=[{"role": "user", "content": parts}])
    assert server.requests[0].prompt == "ab"
