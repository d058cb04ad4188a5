"""OpenAI chat completions: golden bodies out, every kind of reply in."""

import base64
import json
import random

import pytest
from server import Reply, Server, Status, expected_answer

from batch.errors import Halt, RateLimited, Rejected, Retryable
from batch.models import Image, ImageLink, Job, JobMessage, Message, Picture, Request, Text, Usage
from batch.providers.client import encoded
from batch.providers.connection import Connection
from batch.providers.openai import OpenAI

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
URI = "data:image/png;base64," + base64.b64encode(PNG).decode()
SCHEMA = {"type": "object", "title": "Cat & Dog", "properties": {"name": {"type": "string"}}}


def picture(data=PNG, detail=""):
    return Picture(Image(data, "image/png"), detail)


def request(*messages, **more):
    built = tuple(Message(*message) for message in messages) or (Message("user", "hi"),)
    return Request("gpt-test", built, **more)


def golden(*messages, **more):
    call = OpenAI().encode(request(*messages, **more))
    assert (call.path, call.content_type, call.headers) == (
        "/chat/completions",
        "application/json",
        {},
    )
    return json.loads(b"".join(map(encoded, call.pieces)))


def reply(content="hi", finish="stop", **more):
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": finish, **more.pop("choice", {})}
    return json.dumps({"object": "chat.completion", "choices": [choice], **more}).encode()


def error_of(body):
    with pytest.raises((Halt, Rejected, Retryable)) as caught:
        OpenAI().decode(body)
    return caught.value


async def ask(server, asked, **options):
    client = OpenAI().connect(Connection(base_url=server.url, timeout=5.0, **options))
    try:
        return await client.complete(asked)
    finally:
        await client.close()


def test_a_text_is_a_string_and_nothing_is_added():
    assert golden(("user", "häß \u2028\n")) == {
        "model": "gpt-test",
        "messages": [{"role": "user", "content": "häß \u2028\n"}],
    }


def test_system_and_history_keep_their_roles_and_order():
    turns = [("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "c")]
    assert golden(*turns)["messages"] == [{"role": r, "content": c} for r, c in turns]


def test_an_image_is_a_part_with_its_bytes_as_a_data_address():
    assert golden(("user", (picture(), Text("see")))) == {
        "model": "gpt-test",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": URI}},
                    {"type": "text", "text": "see"},
                ],
            }
        ],
    }


def test_the_detail_of_an_image_is_sent_when_the_job_gave_one():
    (message,) = golden(("user", (picture(detail="low"), picture())))["messages"]
    assert [part["image_url"] for part in message["content"]] == [
        {"url": URI, "detail": "low"},
        {"url": URI},
    ]


def test_a_link_is_passed_on_as_it_is():
    (message,) = golden(("user", (ImageLink("https://a.test/b.png", "high"),)))["messages"]
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "high"}}
    ]


def test_parameters_go_out_verbatim():
    params = {"temperature": 0, "max_tokens": 5, "stop": None, "extra": {"deep": [1.5, "ü"]}}
    body = golden(params=params)
    assert {name: body[name] for name in params} == params
    assert set(body) == {*params, "model", "messages"}


def test_a_schema_becomes_a_response_format_named_by_its_title():
    assert golden(schema=SCHEMA)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "Cat_Dog", "schema": SCHEMA, "strict": True},
    }
    name = golden(schema={"title": "x" * 99})["response_format"]["json_schema"]["name"]
    assert name == "x" * 64
    assert golden(schema={})["response_format"]["json_schema"]["name"] == "answer"


def test_a_response_format_that_the_user_wrote_stays():
    written = {"response_format": {"type": "json_object"}}
    assert golden(params=written, schema=SCHEMA)["response_format"] == {"type": "json_object"}


def test_the_body_of_a_batch_line_goes_out_verbatim():
    body = {"model": "own", "messages": [], "n": 1, "odd": None}
    assert golden(params={"n": 2}, schema=SCHEMA, body=body) == body


@pytest.mark.parametrize("size", [1, 2, 3, 48 * 1024, 48 * 1024 + 1, 3 << 20])
async def test_the_bytes_of_images_arrive_as_they_are(size):
    images = [random.Random(size + n).randbytes(size) for n in range(3)]
    parts = (Text("see "), *map(picture, images), Text("these"))
    with Server() as server:
        told = await ask(server, request(("user", parts)))
    assert server.requests[0].images == images
    assert told.text == expected_answer("see these", images)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("", "https://api.openai.com/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("https://a.test/api/paas/v4", "https://a.test/api/paas/v4"),
        ("https://a.test/v1beta/openai", "https://a.test/v1beta/openai"),
        ("https://a.test/openai", "https://a.test/openai/v1"),
        ("https://a.test/vision", "https://a.test/vision/v1"),
        ("http://v100:8000", "http://v100:8000/v1"),
        ("http://v1.example.com", "http://v1.example.com/v1"),
    ],
)
def test_the_version_is_added_to_an_address_that_has_none(given, address):
    assert OpenAI().address(given) == address


def test_streaming_is_refused_before_anything_is_sent():
    def job(params, body=None):
        url = "/v1/chat/completions" if body else ""
        return Job("a", (JobMessage("user", "hi"),), "m", params, None, {}, "/", {}, url, body)

    assert OpenAI().reason_unsupported(job({})) == ""
    assert "stream" in OpenAI().reason_unsupported(job({"stream": True}))
    assert "stream" in OpenAI().reason_unsupported(job({}, {"model": "m", "stream": True}))


@pytest.mark.parametrize("name", ["model", "messages"])
def test_params_that_the_body_would_drop_in_silence_are_refused(name):
    job = Job("a", (JobMessage("user", "hi"),), "m", {name: "x"}, None, {}, "/", {})
    assert OpenAI().reason_unsupported(job) == (
        f"`{name}` stands in `params`: it is a field of the line"
    )


def test_a_job_without_a_model_is_refused_before_anything_is_sent():
    job = Job("a", (JobMessage("user", "hi"),), "", {}, None, {}, "/", {})
    assert "-m MODEL" in OpenAI().reason_unsupported(job)


def test_a_whole_reply_is_read():
    usage = {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}
    told = OpenAI().decode(reply("hello", "length", model="gpt-test-2026", usage=usage))
    assert (told.text, told.finish_reason, told.source) == ("hello", "length", "model")
    assert (told.model, told.usage) == ("gpt-test-2026", Usage(7, 0))


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, Usage()),
        ({}, Usage()),
        ("none", Usage()),
        ([], Usage()),
        ({"prompt_tokens": -1, "completion_tokens": 5}, Usage(None, 5)),
        ({"prompt_tokens": "12", "completion_tokens": 1.5}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": None}, Usage()),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, Usage(3)),
    ],
)
def test_only_usable_counts_are_counted(usage, read):
    assert OpenAI().decode(reply(usage=usage)).usage == read


def test_a_reply_that_leaves_out_all_but_the_text_is_an_answer():
    assert OpenAI().decode(b'{"choices": [{"message": {"content": "hi"}}]}').text == "hi"
    assert OpenAI().decode(reply(model=7, id=None)).model == ""


def test_text_in_parts_is_joined_and_other_parts_are_passed_over():
    parts = [{"type": "thinking", "thinking": "hm"}, {"text": "a"}, "x", None, {"text": 5}]
    assert OpenAI().decode(reply([*parts, {"type": "text", "text": "b"}])).text == "ab"


def test_a_lone_surrogate_in_an_answer_is_kept():
    assert OpenAI().decode(reply("a\ud800b")).text == "a\ud800b"


@pytest.mark.parametrize(
    ("message", "finish", "words"),
    [
        ({"content": None, "refusal": "I can't\n help"}, "stop", "I can't help"),
        ({"content": "", "refusal": "no"}, "stop", "no"),
        ({"content": None}, "content_filter", "stopped by the content filter"),
        ({"content": " ", "refusal": {"odd": 1}}, "stop", "stopped by the content filter"),
    ],
)
def test_a_refusal_is_final_and_says_why(message, finish, words):
    told = error_of(reply(finish=finish, message=message))
    assert (type(told), told.code, str(told)) == (Rejected, "refused", words)


def test_an_answer_that_the_filter_cut_is_still_one():
    told = OpenAI().decode(reply("half an", "content_filter"))
    assert (told.text, told.finish_reason) == ("half an", "content_filter")


def test_tokens_spent_before_the_answer_began_are_told_as_that():
    told = error_of(reply("", "length"))
    assert (type(told), told.code) == (Retryable, "empty_output")
    assert "raise the token limit" in str(told)


def test_an_empty_answer_is_left_to_the_run():
    for content in ("", " \n", None, [], [{"type": "image"}]):
        assert OpenAI().decode(reply(content)).text.strip() == ""


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": {"message": 1}}',
        b'{"choices": ["hi"]}',
        b'{"choices": [{"message": "hi"}]}',
        b'{"choices": [{"text": "hi"}]}',
    ],
)
def test_a_reply_without_a_message_is_a_bad_response(body):
    told = error_of(body)
    assert (type(told), told.code) == (Retryable, "bad_response")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 402, "message": "Insufficient credits"}, Halt),
        ({"code": 429, "message": "Rate limited upstream"}, RateLimited),
        ({"code": 502, "message": "Provider returned error", "metadata": {}}, Retryable),
        ({"code": 403, "message": "Your input was flagged", "metadata": {}}, Rejected),
        ({"message": "odd"}, Retryable),
        ("odd", Retryable),
    ],
)
def test_an_error_may_come_with_200_at_the_top_or_inside_the_choice(error, kind):
    assert type(error_of(json.dumps({"error": error}).encode())) is kind
    partial = reply("half an ans", "error", choice={"error": error})
    assert type(error_of(partial)) is kind
    assert OpenAI().decode(reply(error=None, choice={"error": None})).text == "hi"


VLLM = {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError"}
LLAMA = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
LONG = {"code": 400, "message": "the request exceeds n_ctx", "type": "exceed_context_size_error"}
OLLAMA = {"message": "invalid image input", "type": "invalid_request_error", "code": None}
ROUTER = {"message": "No endpoints found for x", "code": 404}
STUDIO = {"error": "Model does not support images. Please use a model that does."}


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, VLLM, Halt, "The model `x` does not exist."),
        (404, {"error": VLLM | {"code": 404}}, Halt, "The model `x` does not exist."),
        (503, {"error": LLAMA}, RateLimited, "Loading model"),
        (400, {"error": LONG}, Rejected, "the request exceeds n_ctx"),
        (400, {"error": OLLAMA}, Rejected, "invalid image input"),
        (404, {"error": ROUTER}, Halt, "No endpoints found for x"),
        (400, STUDIO, Rejected, "Model does not support images"),
    ],
    ids=["vLLM, old", "vLLM", "llama.cpp", "llama.cpp, long", "Ollama", "OpenRouter", "LM Studio"],
)
async def test_the_errors_of_compatible_servers_keep_their_words(status, body, kind, words):
    script = [Status(status, json.dumps(body).encode())]
    with Server(script=script) as server, pytest.raises(kind) as caught:
        await ask(server, request())
    assert type(caught.value) is kind
    assert f"HTTP {status}: {words}" in str(caught.value)


async def test_a_reply_is_read_whatever_its_content_type():
    with Server(script=[Reply(reply("hello"), {"content-type": "text/event-stream"})]) as server:
        assert (await ask(server, request())).text == "hello"


async def test_without_a_key_no_key_is_sent_and_with_one_it_is_a_bearer():
    with Server(key="secret") as server:
        with pytest.raises(Halt, match="wants a key, none was given: give api_key"):
            await ask(server, request())
        assert (await ask(server, request(), key="secret")).text == expected_answer("hi")
    assert "authorization" not in server.requests[0].headers


async def test_the_seeds_door_takes_a_key_and_parameters_and_gives_media_to_the_user():
    with Server(key="secret") as server:
        door = OpenAI.create_async_generator(
            model="gpt-test",
            messages=[{"role": "user", "content": "see"}, {"role": "assistant", "content": "I"}],
            media=[("a.png", PNG)],
            base_url=server.url,
            api_key="secret",
            temperature=0,
        )
        assert [text async for text in door] == [expected_answer("see", [PNG])]
    assert json.loads(server.requests[0].body)["temperature"] == 0
