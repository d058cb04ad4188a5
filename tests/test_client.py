"""The one HTTP client: what it sends, what it keeps to itself, and what it never holds."""

import asyncio
import base64
import gc
import resource
import warnings
from urllib.parse import quote

import pytest
from asking import connected, error_of, over_http, question
from server import (
    Big,
    Drip,
    Gzip,
    Hang,
    Redirect,
    Reply,
    Server,
    Status,
    expected_answer,
)

from batch import __version__
from batch.errors import BatchError, Rejected, Retryable
from batch.providers.connection import Connection
from batch.providers.dynaspark import Dynaspark

MIB = 1 << 20
KEY = "sk-Gör/ing+key=="


@over_http
@pytest.mark.parametrize(
    "fault", [Big(9), Gzip(9), Reply(b"x" * (MIB + 1))], ids=["big", "gzip", "one byte more"]
)
async def test_a_reply_over_the_cap_is_cut_off_and_not_asked_for_again(kind, fault):
    with Server(script=[fault]) as server:
        async with connected(kind, server.url, max_response_bytes=MIB) as client:
            with pytest.raises(Rejected, match="--max-response-bytes") as caught:
                await client.complete(question())
            await asyncio.to_thread(server.settle)
    assert caught.value.code == "response_too_large"


async def test_a_reply_of_exactly_the_cap_is_taken():
    body = b'{"response":"' + b"x" * (MIB - 15) + b'"}'
    with Server(script=[Reply(body)]) as server:
        async with connected(Dynaspark, server.url, max_response_bytes=MIB) as client:
            assert len((await client.complete(question())).text) == MIB - 15


@over_http
async def test_a_bomb_takes_no_memory(kind):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for fault in (Gzip(300), Big(300)):
        assert (await error_of(kind, fault)).code == "response_too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def echoes():
    plain = base64.b64encode(KEY.encode()).decode()
    for form in (KEY, quote(KEY, safe=""), plain, plain.rstrip("=")):
        text = f"bad key {form}!".encode()
        yield Status(400, b'{"error": {"message": "%b"}}' % text)
        yield Status(401, text)
        yield Status(429, b"<html>%b" % text)
        yield Status(500, b'["%b"]' % text)
        yield Status(500, b'{"error": {"message": "%b %b"}}' % (b"x" * 475, text * 30))
        yield Reply(b'{"error": "%b"}' % text)
        yield Reply(b'{"error": {"code": 401, "message": "%b"}}' % text)
        yield Reply(text)


@over_http
async def test_no_error_holds_the_key(kind):
    scripts = [*echoes(), Redirect(f"https://{KEY}.test/{KEY}")]
    with Server(script=scripts) as server:
        async with connected(kind, server.url, key=KEY) as client:
            for _ in scripts:
                with pytest.raises(BatchError) as caught:
                    await client.complete(question())
                words = f"{caught.value} {caught.value!r}"
                assert not any(part in words for part in ("sk-G", "ing+", "sk-G%C3", "c2stR8"))
                assert len(str(caught.value)) <= 500
    assert server.arrived == len(scripts)


def test_a_connection_tells_no_key():
    assert KEY not in repr(Connection(base_url="http://127.0.0.1", key=KEY))


@over_http
async def test_cancelling_closes_the_connection(kind):
    with Server(script=[Hang()]) as server:
        async with connected(kind, server.url) as client:
            asked = asyncio.create_task(client.complete(question()))
            await asyncio.to_thread(server.wait_for, 1)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await asyncio.to_thread(server.settle)
            assert (await client.complete(question("next"))).text == expected_answer("next")
    assert (server.answers, server.connections) == (1, 2)


@over_http
async def test_one_connection_serves_many_requests_and_keeps_no_cookie(kind):
    cookies = {"set-cookie": ["session=1; Path=/", "track=2"]}
    with Server(script=[Status(500, headers=cookies)]) as server:
        async with connected(kind, server.url) as client:
            with pytest.raises(Retryable):
                await client.complete(question())
            for _ in range(3):
                await client.complete(question())
    assert server.connections == 1
    assert not any("cookie" in request.headers for request in server.requests)


@over_http
async def test_only_honest_headers_are_sent(kind):
    with Server() as server:
        for key in ("", "secret"):
            async with connected(kind, server.url, key=key) as client:
                await client.complete(question())
    without, with_key = (request.headers for request in server.requests)
    assert without.pop("content-type")
    assert int(without.pop("content-length")) == len(server.requests[0].body)
    assert without == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"overnight/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
    }
    assert with_key["authorization"] == "Bearer secret"


@over_http
async def test_what_a_netrc_file_holds_is_neither_sent_nor_in_the_way(kind, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Server() as server:
        for key in ("", "secret"):
            async with connected(kind, server.url, key=key) as client:
                await client.complete(question())
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == [None, "Bearer secret"]


@over_http
async def test_the_proxy_of_the_environment_is_used_unless_it_is_said_not_to(kind, monkeypatch):
    with Server(faults=lambda _: Status(500)) as server:
        monkeypatch.setenv("http_proxy", server.url.removeprefix("http://"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for address in ("http://model.test", server.url):
            async with connected(kind, address) as client:
                with pytest.raises(Retryable):
                    await client.complete(question())
    paths = [request.path for request in server.requests]
    assert paths[0].startswith("http://model.test/")
    assert paths[1].startswith("/")


@over_http
async def test_a_prompt_of_many_megabytes_arrives_whole(kind):
    text = "x" * (2 * MIB)
    with Server() as server:
        async with connected(kind, server.url) as client:
            assert (await client.complete(question(text))).text == expected_answer(text)


@over_http
async def test_two_hundred_requests_at_once_each_get_their_own_answer(kind):
    with Server(latency=0.005) as server:
        async with connected(kind, server.url, concurrency=50) as client:
            asked = [client.complete(question(f"prompt {n}")) for n in range(200)]
            replies = await asyncio.gather(*asked)
    assert [reply.text for reply in replies] == [expected_answer(f"prompt {n}") for n in range(200)]
    assert server.peak <= 50


HALF = Drip(20, 30.0)
"""The head and a few bytes of the body come, the rest would take minutes."""


@over_http
@pytest.mark.parametrize("fault", [Hang(), HALF], ids=["no head yet", "in the body"])
async def test_drop_ends_what_is_in_flight_and_the_next_request_opens_anew(kind, fault):
    with Server(script=[None, fault, fault]) as server:
        async with connected(kind, server.url, timeout=60.0) as client:
            await client.complete(question())
            asked = [asyncio.create_task(client.complete(question())) for _ in range(2)]
            await asyncio.to_thread(server.wait_for, 3)
            async with asyncio.timeout(2):
                await client.drop()
                ends = await asyncio.gather(*asked, return_exceptions=True)
            assert [(type(end), end.code) for end in ends] == [(Retryable, "connection")] * 2
            await asyncio.to_thread(server.settle)
            before = server.connections
            assert (await client.complete(question("next"))).text == expected_answer("next")
    assert server.connections == before + 1


async def test_drop_ends_requests_that_wait_for_a_connection():
    with Server(script=[Hang()]) as server:
        async with connected(Dynaspark, server.url, timeout=60.0, concurrency=1) as client:
            asked = [asyncio.create_task(client.complete(question())) for _ in range(3)]
            await asyncio.to_thread(server.wait_for, 1)
            await client.drop()
            ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [getattr(end, "code", end) for end in ends] == ["connection"] * 3


async def test_a_request_that_looks_for_its_host_is_dropped_too():
    async with connected(Dynaspark, "http://nobody.invalid:1", timeout=60.0) as client:
        loop = asyncio.get_running_loop()
        sought = asyncio.Event()

        async def never(*_, **__):
            sought.set()
            await asyncio.Event().wait()

        loop.getaddrinfo = never
        asked = asyncio.create_task(client.complete(question()))
        await sought.wait()
        await client.drop()
        with pytest.raises(Retryable) as caught:
            await asked
    assert caught.value.code == "connection"


async def test_dropping_nothing_and_dropping_twice_is_no_error():
    with Server() as server:
        async with connected(Dynaspark, server.url) as client:
            await client.drop()
            await client.complete(question())
            await client.drop()
            await client.drop()
            await client.complete(question())
    assert (server.answers, server.connections) == (2, 2)


async def test_a_task_that_is_cancelled_while_connections_drop_is_cancelled():
    with Server(script=[Hang()]) as server:
        async with connected(Dynaspark, server.url) as client:
            asked = asyncio.create_task(client.complete(question()))
            await asyncio.to_thread(server.wait_for, 1)
            dropping = asyncio.create_task(client.drop())
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await dropping


async def test_what_was_dropped_leaves_no_socket_behind():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with Server(faults=lambda _: Hang()) as server:
            async with connected(Dynaspark, server.url) as client:
                asked = [asyncio.create_task(client.complete(question())) for _ in range(8)]
                await asyncio.to_thread(server.wait_for, 8)
                await client.drop()
                await asyncio.gather(*asked, return_exceptions=True)
                await asyncio.to_thread(server.settle)
                gc.collect()
    assert not told
