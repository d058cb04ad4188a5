"""The contract that every provider keeps: the same tests for each, against the loopback server."""

import inspect
import socket

import pytest
from asking import connected, error_of, over_all, over_http, question
from server import (
    BadChunk,
    CloseBeforeReply,
    Drip,
    Garbage,
    Hang,
    Headers,
    NoLength,
    RateLimit,
    Redirect,
    Reply,
    Reset,
    Server,
    ShortBody,
    Status,
    expected_answer,
)

from batch.errors import Denied, Halt, JobError, RateLimited, Rejected, Retryable, Unreachable
from batch.providers.base import AsyncGeneratorProvider, ProviderModelMixin

TEXT = "List the dates: The bridge in Lisbon opened on 2 May 2019. It was built in 1966."
HTML = b"<!doctype html><title>Just a moment...</title><p>Checking your browser"


@over_http
async def test_an_answer_comes_back(kind):
    with Server() as server:
        async with connected(kind, server.url) as client:
            reply = await client.complete(question("hello"))
    assert (reply.text, reply.source) == (expected_answer("hello"), "model")


@over_http
async def test_an_answer_without_length_comes_back(kind):
    with Server(script=[NoLength()]) as server:
        async with connected(kind, server.url) as client:
            assert (await client.complete(question())).text == expected_answer("hi")


@over_http
@pytest.mark.parametrize(
    ("statuses", "error", "code"),
    [
        ((400, 413, 415, 422), Rejected, "rejected"),
        ((408, 409, 425, 500, 502, 503, 504, 529), Retryable, "server_error"),
        ((429, 498), RateLimited, "rate_limited"),
    ],
)
async def test_an_error_status_is_an_error_of_the_job(kind, statuses, error, code):
    for status in statuses:
        told = await error_of(kind, Status(status, b'{"error": {"message": "no"}}'))
        assert type(told) is error
        assert (told.code, told.http_status) == (code, status)
        assert str(told) == f"HTTP {status}: no"


@over_http
@pytest.mark.parametrize(
    ("status", "error"), [(401, Halt), (402, Halt), (403, Denied), (404, Halt), (405, Halt)]
)
async def test_an_error_status_that_every_job_would_meet_stops_the_run(kind, status, error):
    told = await error_of(kind, Status(status, b'{"error": {"message": "no"}}'))
    assert type(told) is error
    assert told.exit_code == 4
    assert f"HTTP {status}: no" in str(told)


@over_http
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_and_its_host_is_named(kind, status):
    told = await error_of(kind, Redirect("https://user:pw@login.test/in", status))
    assert type(told) is Halt
    assert "login.test" in str(told)
    assert "pw" not in str(told)


@over_http
@pytest.mark.parametrize("location", ["http://[broken", "/v2/", ""])
async def test_a_redirect_to_nowhere_stops_the_run_too(kind, location):
    assert type(await error_of(kind, Redirect(location))) is Halt


@over_http
@pytest.mark.parametrize("fault", [Hang(), Drip(1, 0.03)], ids=["hang", "drip"])
async def test_no_whole_reply_in_time_is_a_timeout(kind, fault):
    told = await error_of(kind, fault, timeout=0.15)
    assert type(told) is Retryable
    assert (told.code, str(told)) == ("timeout", "no whole reply within 0.15 s")


@over_http
@pytest.mark.parametrize("body", [b"", b" \n", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
async def test_a_reply_that_is_no_answer_is_a_bad_response(kind, body):
    told = await error_of(kind, Reply(body))
    assert type(told) is Retryable
    assert (told.code, told.http_status) == ("bad_response", 200)


@over_http
async def test_a_web_page_with_200_is_a_bad_response_and_with_403_a_rate_limit(kind):
    page = await error_of(kind, Reply(HTML, {"content-type": "text/html"}))
    assert type(page) is Retryable
    assert page.code == "bad_response"
    assert "Just a moment..." in str(page)
    assert type(await error_of(kind, Status(403, HTML))) is RateLimited


@over_http
@pytest.mark.parametrize("words", [b"request limit reached, come back tomorrow", b'"rate limit"'])
async def test_a_limit_told_in_words_with_200_is_a_rate_limit(kind, words):
    assert type(await error_of(kind, Reply(words, {"content-type": "text/html"}))) is RateLimited


@over_http
async def test_the_time_to_wait_is_handed_on(kind):
    assert (await error_of(kind, RateLimit(7))).retry_after == 7.0
    assert (await error_of(kind, RateLimit("soon"))).retry_after is None
    assert (await error_of(kind, Status(503, headers={"retry-after": "3"}))).retry_after == 3.0


@over_http
@pytest.mark.parametrize(
    "fault", [Reset(), Reset(0), Reset(9), CloseBeforeReply(), ShortBody()], ids=repr
)
async def test_a_broken_connection_is_worth_another_try(kind, fault):
    told = await error_of(kind, fault)
    assert type(told) is Retryable
    assert told.code == "connection"


@over_http
@pytest.mark.parametrize("fault", [Garbage(), Headers(100_000)], ids=["garbage", "headers"])
async def test_what_is_not_http_is_a_bad_response(kind, fault):
    told = await error_of(kind, fault)
    assert type(told) is Retryable
    assert told.code == "bad_response"


@over_http
@pytest.mark.parametrize(
    "fault",
    [BadChunk(), *(Reply(b"no", {"content-encoding": name}) for name in ("gzip", "br", "zstd"))],
    ids=["chunk", "gzip", "br", "zstd"],
)
async def test_a_body_that_cannot_be_unpacked_is_worth_another_try(kind, fault):
    told = await error_of(kind, fault)
    assert type(told) is Retryable
    assert told.code in {"connection", "bad_response"}


@over_http
async def test_a_dead_port_is_a_connection_error(kind):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with connected(kind, f"http://127.0.0.1:{port}") as client:
        with pytest.raises(Retryable) as caught:
            await client.complete(question())
    assert caught.value.code == "connection"
    assert type(caught.value) is Unreachable
    assert str(caught.value) == f"nothing answers at 127.0.0.1:{port} (Connection refused)"


@over_http
@pytest.mark.parametrize("address", ["nonsense", "http://", "http://host:99999", "ftp://host"])
async def test_an_address_that_is_none_stops_the_run(kind, address):
    async with connected(kind, address) as client:
        with pytest.raises(Halt, match="address"):
            await client.complete(question())


@over_http
async def test_a_lone_surrogate_in_a_prompt_is_no_bug_of_ours(kind):
    with Server() as server:
        async with connected(kind, server.url) as client:
            assert (await client.complete(question("\ud800"))).text.startswith("sha256:")


@over_all
def test_every_provider_has_the_attributes_of_the_seed(kind):
    assert issubclass(kind, AsyncGeneratorProvider)
    assert issubclass(kind, ProviderModelMixin)
    for name in ("url", "api_endpoint", "default_model", "default_vision_model"):
        assert type(getattr(kind, name)) is str
    for name in ("working", "needs_auth", "use_nodriver", "supports_stream"):
        assert type(getattr(kind, name)) is bool
    for name in ("supports_system_message", "supports_message_history"):
        assert type(getattr(kind, name)) is bool
    for name in ("models", "vision_models"):
        assert all(type(model) is str for model in getattr(kind, name))
    assert kind.login_url is None or type(kind.login_url) is str
    assert type(kind.model_aliases) is dict
    assert kind.get_models() == kind.models
    assert kind.get_model("") == kind.get_model(kind.default_model)
    assert kind.get_model("a model of tomorrow") == "a model of tomorrow"
    assert (kind.name, kind.summary, kind.working) == (kind.name, kind.summary.strip(), True)
    assert kind.summary


@over_all
async def test_every_provider_answers_through_the_generator_of_the_seed(kind):
    assert inspect.isasyncgenfunction(kind.create_async_generator)
    with Server() as server:
        answers = kind.create_async_generator(
            model="any-model",
            messages=[{"role": "user", "content": TEXT}],
            base_url=server.url,
        )
        got = [answer async for answer in answers]
    assert len(got) == 1
    assert got[0].strip()
    assert server.arrived == (0 if kind.in_process else 1)


@over_all
async def test_a_generator_that_is_dropped_leaves_nothing_open(kind):
    messages = [{"role": "user", "content": TEXT}]
    with Server() as server:
        answers = kind.create_async_generator("m", messages, base_url=server.url)
        assert await anext(answers)
        await answers.aclose()


@over_all
def test_the_last_rule_of_every_provider_holds_for_everything(kind):
    told = kind().classify(499, {}, b"")
    assert isinstance(told, JobError)


@over_all
async def test_every_provider_goes_on_after_its_connections_were_dropped(kind):
    with Server() as server:
        async with connected(kind, server.url) as client:
            await client.drop()
            before = await client.complete(question(TEXT))
            await client.drop()
            assert await client.complete(question(TEXT)) == before
