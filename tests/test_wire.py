"""Bodies built in pieces, as strict parsers read them; replies read with care."""

import base64
import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from batch.errors import Halt, RateLimited, Rejected, Retryable
from batch.models import Base64, Image
from batch.providers.client import Pieces, encoded
from batch.providers.wire import (
    MARKER,
    data_url,
    encode_json,
    error_in_reply,
    form_call,
    json_call,
    read_json,
    tokens,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + b"\r\n--\r\n\r\n"
quickly = settings(
    deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)


class Shape(Struct):
    """A reply that holds a text."""

    text: str | None = None
    more: Any = None


def body_of(call):
    return b"".join(map(encoded, call.pieces))


def parts_of(call):
    """The parts of a multipart body as the standard library's strict parser reads them."""
    head = f"Content-Type: {call.content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP.clone(raise_on_defect=True)).parsebytes(head + body_of(call))
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        yield unquote(name), part.get_filename(), part.get_content_type(), part.get_payload()


class Sink:
    """Takes what a body writes."""

    def __init__(self):
        self.written = []

    async def write(self, chunk):
        self.written.append(bytes(chunk))


def test_fields_alone_go_urlencoded():
    call = form_call("/x", {"user_input": "häß & co\n=1", "ai_model": "m"})
    assert call.content_type == "application/x-www-form-urlencoded"
    fields = dict(parse_qsl(body_of(call).decode("ascii"), keep_blank_values=True))
    assert fields == {"user_input": "häß & co\n=1", "ai_model": "m"}


def test_a_file_makes_the_form_multipart():
    image = Image(PNG, "image/png", 'Fjörd "1".png')
    call = form_call("/x", {"user_input": "see", "ai_model": "m"}, ("file", image))
    assert call.content_type.startswith("multipart/form-data; boundary=")
    text, model, file = parts_of(call)
    assert text == ("user_input", None, "text/plain", "see")
    assert model == ("ai_model", None, "text/plain", "m")
    assert file[:3] == ("file", "Fj%C3%B6rd%20%221%22.png", "image/png")
    assert body_of(call).count(PNG) == 1


@quickly
@given(
    st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=30), max_size=3),
    st.text(max_size=12),
    st.binary(max_size=60),
)
def test_a_form_of_any_text_is_read_back_as_it_was(fields, name, data):
    call = form_call("/x", fields, ("file", Image(data, "image/png", name)))
    boundary = b"--" + call.content_type.partition("boundary=")[2].encode()
    first, *parts, last = (b"\r\n" + body_of(call)).split(b"\r\n" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    read = [part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1) for part in parts]
    assert [value for _, value in read] == [*(v.encode() for v in fields.values()), data]
    for head, _ in read:
        assert all(32 <= byte < 127 or byte in b"\r\n" for byte in head)
        assert head.count(b"\r\n") == 1
    names = [unquote(head.decode().rpartition(' name="')[2].split('"')[0]) for head, _ in read]
    assert names == [*fields, "file"]


def test_a_form_is_built_anew_with_a_boundary_of_its_own():
    image = ("file", Image(PNG, "image/png"))
    kinds = {form_call("/x", {"a": "b"}, image).content_type for _ in range(100)}
    assert len(kinds) == 100


def test_lone_surrogates_are_escaped_wherever_they_stand():
    assert encode_json({"a": "\ud800"}) == b'{"a": "\\ud800"}'
    assert body_of(form_call("/x", {"a": "\ud800"})) == b"a=%5Cud800"
    multipart = form_call("/x", {"a\ud800": "\ud800"}, ("f", Image(PNG, "image/png", "\ud800")))
    assert b"\r\n\r\n\\ud800\r\n" in body_of(multipart)


@quickly
@given(st.lists(st.binary(min_size=1, max_size=100_000), max_size=3), st.text(max_size=40))
def test_images_stand_in_the_json_as_base64(blobs, text):
    images = [Image(blob, "image/png") for blob in blobs]
    urls = [data_url(image) for image in images]
    sent = json.loads(body_of(json_call("/x", {"text": text, "urls": urls, "z": 1}, images)))
    assert sent["text"] == text
    assert [base64.b64decode(url.partition(",")[2]) for url in sent["urls"]] == blobs


def test_no_image_enters_the_encoder():
    image = Image(PNG, "image/png")
    call = json_call("/x", {"url": data_url(image)}, [image])
    assert call.pieces == (b'{"url":"data:image/png;base64,', Base64(PNG), b'"}')
    assert MARKER.encode() not in body_of(call)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 49_151, 49_152, 49_153, 1 << 20])
async def test_base64_is_made_while_it_is_sent_and_of_the_length_that_was_told(size):
    pieces = (b"head", Base64(bytes(size)), b"tail")
    payload, sink = Pieces(pieces), Sink()
    await payload.write(sink)
    whole = b"".join(sink.written)
    assert whole == b"head" + base64.b64encode(bytes(size)) + b"tail" == payload.decode().encode()
    assert payload.size == len(whole)
    assert max(map(len, sink.written)) <= 64 * 1024


def test_a_reply_is_read_by_its_shape_and_the_rest_is_ignored():
    assert read_json(b'\n {"text": "yes", "unknown": [1]} ', Shape) == Shape("yes")
    assert read_json(b'\xef\xbb\xbf{"text": "with a mark"}', Shape) == Shape("with a mark")
    assert read_json(b'{"text": "\\ud800"}', Shape).text == "\ud800"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the reply was empty"),
        (b"  ", "the reply was empty"),
        (b"<html><h1>Waking up</h1>", "the reply was a web page: <page> Waking up"),
        (b"[]", "the reply was no JSON of the expected form: []"),
        (b'{"text": 5}', "the reply was no JSON of the expected form: "),
        (b'{"text": "cut', 'the reply was no JSON of the expected form: {"text": "cut'),
        (b'{"text": "\xff"}', "the reply was no JSON of the expected form: "),
        (b'{"more": ' + b"[" * 100_000, "the reply was no JSON of the expected form: "),
    ],
)
def test_a_reply_of_another_form_is_a_bad_response(body, words):
    with pytest.raises(Retryable) as caught:
        read_json(body, Shape)
    assert type(caught.value) is Retryable
    assert (caught.value.code, caught.value.http_status) == ("bad_response", 200)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ({"code": 502, "message": "upstream"}, Retryable, "server_error"),
        ({"code": "429", "message": "slow"}, RateLimited, "rate_limited"),
        ({"code": 400, "message": "bad"}, Rejected, "rejected"),
        ({"code": 200, "message": "odd"}, Retryable, "bad_response"),
        ({"code": True}, Retryable, "bad_response"),
        ({"code": "content_filter", "message": "no"}, Rejected, "refused"),
        ({"message": "context length limit reached"}, Retryable, "bad_response"),
        ("Request limit reached, come back tomorrow", RateLimited, "rate_limited"),
        ("Model exploded \ud800", Retryable, "bad_response"),
        (["first", "second"], Retryable, "bad_response"),
        (7, Retryable, "bad_response"),
    ],
)
def test_an_error_with_status_200_is_sorted_by_its_code_or_words(error, kind, code):
    told = error_in_reply(error)
    assert (type(told), told.code) == (kind, code)


@pytest.mark.parametrize(
    "error",
    [
        {"code": 401, "message": "no key"},
        {"code": 402, "message": "no credit"},
        {"code": "insufficient_quota", "message": "limit"},
        {"code": "invalid_api_key"},
        {"type": "insufficient_quota", "message": "rate limit"},
    ],
)
def test_an_error_with_status_200_can_stop_the_run(error):
    assert isinstance(error_in_reply(error), Halt)


def test_only_counts_are_token_counts():
    good = [0, 7]
    assert [tokens(count) for count in good] == good
    assert [tokens(bad) for bad in (None, -1, "7", 7.5, True, [], {})] == [None] * 7
