"""Connections that a server closes, poisons, starves or never opens: who gets which answer."""

import asyncio
import socket
import ssl
import threading
from pathlib import Path

import pytest
from asking import connected, over_http, question
from faults import CloseBeforeReply, Delay, Raw, Reset, Then
from hostile import STOLEN, answered_as, head, whole
from listener import black_hole, listening, quietly
from oracle import answer_to, parsed
from processes import wait_until
from server import Server, Status, expected_answer

from batch.errors import BatchError, Rejected, Retryable, Unreachable
from batch.models import Image, Message, Picture, Request, Text
from batch.providers import client as client_module
from batch.providers import pool
from batch.providers.dynaspark import Dynaspark

CERTIFICATES = Path(__file__).parent.parent / "golden" / "tls"
MIB = 1 << 20


async def ask(client, text):
    """The answer, or the code of the error."""
    try:
        return (await client.complete(question(text))).text
    except BatchError as error:
        return getattr(error, "code", type(error).__name__)


GONE = {"FIN": CloseBeforeReply(), "RST": Reset()}


@over_http
@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
async def test_a_request_that_came_too_late_for_its_connection_goes_out_once_more(kind, gone):
    with Server(script=[None, gone]) as server:
        async with connected(kind, server.url) as client:
            assert await ask(client, "first") == expected_answer("first")
            assert await ask(client, "second") == expected_answer("second")
    assert [request.prompt for request in server.requests] == ["first", "second", "second"]
    assert server.connections == 2


@over_http
@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
async def test_it_goes_out_once_more_on_a_new_connection_and_not_twice_more(kind, gone):
    with Server(script=[None, None, None, gone, gone], latency=0.05) as server:
        async with connected(kind, server.url) as client:
            await asyncio.gather(*[ask(client, str(n)) for n in range(3)])
            assert server.connections == 3
            assert await ask(client, "second") == "connection"
    assert (server.arrived, server.connections) == (5, 4)


@over_http
async def test_each_time_the_whole_body_goes_out_with_its_picture(kind):
    picture = Picture(Image(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 999, "image/png", "a.png"))
    asked = Request("model-1", (Message("user", (picture, Text("see"))),))
    with Server(script=[None, CloseBeforeReply(), Status(503), Reset(10)]) as server:
        async with connected(kind, server.url) as client:
            await ask(client, "first")
            for code in ("server_error", "connection"):
                with pytest.raises(Retryable) as caught:
                    await client.complete(asked)
                assert caught.value.code == code
            assert (await client.complete(asked)).text == expected_answer(
                "see", [picture.image.data]
            )
    assert [each.images for each in server.requests[1:]] == [[picture.image.data]] * 4


@over_http
@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
async def test_the_first_request_of_a_connection_goes_out_once(kind, gone):
    with Server(script=[gone]) as server:
        async with connected(kind, server.url) as client:
            assert await ask(client, "first") == "connection"
    assert server.arrived == 1


HEARD = [b"H", b"\r\n", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", head("Content-Length: 9"), b"{"]


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_after_any_byte_of_a_reply_a_request_never_goes_out_again(then, count, many):
    begun = [*HEARD, *(whole()[:size] for size in range(2, len(whole()), many(40, 1)))]
    for data in begun:
        with Server(script=[None, Raw(data, then)]) as server:
            async with connected(Dynaspark, server.url) as client:
                assert await ask(client, "first") == expected_answer("first")
                assert await ask(client, "second") in ("connection", "bad_response")
        assert server.arrived == 2, data
    count(cases=len(begun))


async def test_a_server_that_thought_about_a_request_has_read_it(monkeypatch):
    monkeypatch.setattr(pool, "HANG_UP", 0.05)
    with Server(script=[None, CloseBeforeReply(0.1)]) as server:
        async with connected(Dynaspark, server.url) as client:
            assert await ask(client, "first") == expected_answer("first")
            assert await ask(client, "second") == "connection"
    assert server.arrived == 2


async def test_idle_connections_that_were_closed_meanwhile_cost_no_request():
    with Server(latency=0.02) as server:
        async with connected(Dynaspark, server.url) as client:
            asked = [client.complete(question(str(n))) for n in range(8)]
            await asyncio.gather(*asked)
            assert server.connections == 8
            server.loop.call_soon_threadsafe(lambda: [each.close() for each in [*server.lines]])
            wait_until(lambda: not server.lines)  # this loop has not seen it yet
            replies = await asyncio.gather(*[ask(client, f"again {n}") for n in range(8)])
    assert replies == [expected_answer(f"again {n}") for n in range(8)]
    assert (server.arrived, server.connections) == (16, 16)


def test_a_server_that_closes_after_each_answer_without_a_word_costs_no_attempt(night, many):
    jobs = many(150, 5_000)
    made = night(jobs)
    made.server.faults = lambda request: Raw(whole(answered_as(answer_to(request.prompt))), "close")
    code, messages, requests = made.run()
    assert (code, requests) == (0, jobs), messages
    assert made.judge()
    assert {row["attempts"] for row in parsed(made.results)[0]} == {1}
    assert "retries" not in messages


UNASKED = {
    "a reply": whole(answered_as(STOLEN)),
    "two replies": whole(answered_as(STOLEN)) * 2,
    "a reply in chunks": head("Transfer-Encoding: chunked") + b'5\r\n{"a":\r\n',
    "half of a reply": whole(answered_as(STOLEN))[:-9],
    "half of a head": whole(answered_as(STOLEN))[:25],
    "one byte": b"H",
    "an empty line": b"\r\n",
    "100 Continue": head(status="100 Continue"),
    "101 Switching Protocols": head("Upgrade: x", status="101 Switching") + b"stolen",
    "no HTTP": b"stolen\r\n\r\n",
}


@pytest.mark.parametrize("unasked", UNASKED.values(), ids=UNASKED)
@pytest.mark.parametrize("when", ["with the answer", "seen", "not seen yet"])
async def test_what_comes_unasked_is_never_the_next_answer(unasked, when):
    right = whole(answered_as(expected_answer("first")))
    later = 0.0 if when == "with the answer" else 0.03
    with Server(script=[Then(right, later, unasked)]) as server:
        async with connected(Dynaspark, server.url) as client:
            assert await ask(client, "first") in (expected_answer("first"), "bad_response")
            await asyncio.to_thread(server.settle) if when == "seen" else server.settle()
            for n in range(3):
                assert await ask(client, f"next {n}") == expected_answer(f"next {n}")
    assert server.arrived == 4


def test_a_server_that_answers_twice_each_time_swaps_no_answers(night, many):
    jobs = many(100, 2_000)
    made = night(jobs)
    stolen = whole(answered_as(STOLEN))
    made.server.faults = lambda request: Raw(
        whole(answered_as(answer_to(request.prompt))) + stolen, "keep"
    )
    code, messages, requests = made.run()
    assert (code, requests) == (0, jobs), messages
    assert made.judge()
    assert STOLEN not in made.results.read_text("utf-8")


async def test_answers_in_another_order_than_the_questions_stay_with_their_questions():
    waits = {str(n): 0.005 * (20 - n) for n in range(20)}
    with Server(faults=lambda request: Delay(waits[request.prompt])) as server:
        async with connected(Dynaspark, server.url, concurrency=20) as client:
            replies = await asyncio.gather(*[ask(client, each) for each in waits])
    assert replies == [expected_answer(each) for each in waits]


async def test_a_server_that_never_reads_costs_one_timeout():
    with listening(lambda line: threading.Event().wait(5), SO_RCVBUF=4096) as url:
        async with connected(Dynaspark, url, timeout=0.5) as client:
            assert await ask(client, "x" * (16 * MIB)) == "timeout"


async def test_a_server_with_a_tiny_window_gets_the_whole_request():
    bodies = []

    def sip(line):
        body = b""
        while not body.endswith(b"&ai_model=model-1"):
            body += line.recv(700)
        bodies.append(body)
        line.sendall(whole(answered_as("sipped")))

    with listening(sip, SO_RCVBUF=2048) as url:
        async with connected(Dynaspark, url, timeout=20.0) as client:
            assert await ask(client, "x" * 60_000) == "sipped"
    assert bodies[0].count(b"x") >= 60_000


async def test_a_refusal_that_comes_before_the_body_was_read_is_the_reply():
    def refuse(line):
        line.recv(100)
        line.sendall(whole(b"too much", status="413 Too Large"))
        threading.Event().wait(3)

    with listening(refuse, SO_RCVBUF=4096) as url:
        async with connected(Dynaspark, url, timeout=3.0) as client:
            with pytest.raises(Rejected, match="413: too much"):
                await client.complete(question("x" * (16 * MIB)))


async def test_an_address_that_takes_no_connection_is_given_up_before_the_attempt_is(monkeypatch):
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.2)
    with black_hole() as port:
        async with connected(Dynaspark, f"http://127.0.0.1:{port}", timeout=30.0) as client:
            async with asyncio.timeout(20):
                with pytest.raises(Unreachable, match="no connection"):
                    await client.complete(question())


async def test_an_address_that_takes_no_connection_does_not_hide_another_one_of_the_host():
    with Server() as server, black_hole("127.0.0.2", server.port):
        async with connected(Dynaspark, f"http://two.test:{server.port}", timeout=9.0) as client:
            addresses = [("127.0.0.2", server.port), ("127.0.0.1", server.port)]
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in addresses]
            asyncio.get_running_loop().getaddrinfo = lambda *_, **__: answered_soon(found)
            assert await ask(client, "hi") == expected_answer("hi")


async def answered_soon(value):
    return value


async def test_a_host_that_nobody_knows_is_told_by_its_name():
    async def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with connected(Dynaspark, "http://nobody.invalid:1") as client:
        asyncio.get_running_loop().getaddrinfo = fail
        with pytest.raises(Unreachable, match=r"nobody\.invalid.*not known"):
            await client.complete(question())


def tls(name):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return made


UNTRUSTED = {
    "expired": ("expired", "certificate has expired"),
    "another host": ("another-host", "not valid for '127.0.0.1'"),
    "an authority that nobody trusts": ("right", "unable to get local issuer certificate"),
}


@pytest.mark.parametrize(("name", "words"), UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_certificate_that_is_not_trusted_ends_the_run_with_4_at_once(night, name, words):
    made = night(20, tls=tls(name))
    if name != "right":
        made.environment["SSL_CERT_FILE"] = str(CERTIFICATES / "authority.pem")
    code, messages, requests = made.run()
    assert (code, requests) == (4, 0)
    assert words in messages
    assert not made.failed.exists()
    assert made.server.connections <= 2


def test_over_tls_answers_come_and_connections_that_were_closed_cost_no_attempt(night):
    made = night(60, tls=tls("right"))
    made.environment["SSL_CERT_FILE"] = str(CERTIFICATES / "authority.pem")
    made.server.faults = lambda request: CloseBeforeReply() if request.number == 30 else None
    code, messages, requests = made.run()
    assert code == 0, messages
    assert requests in (60, 61)
    assert made.judge()


def test_through_the_tunnel_of_a_proxy_answers_come_over_tls_and_connections_are_kept(night):
    asked = []

    def tunnel(line):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += line.recv(1)
        asked.append(head.split(b"\r\n")[0].decode())
        with socket.create_connection(("127.0.0.1", made.server.port)) as there:
            line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=quietly, args=[lambda _: pump(there, line), line])
            back.start()
            pump(line, there)
            back.join()

    made = night(40, tls=tls("right"))
    made.environment["SSL_CERT_FILE"] = str(CERTIFICATES / "authority.pem")
    with listening(tunnel) as url:
        code, messages, requests = made.run("--proxy", url)
    assert (code, requests) == (0, 40), messages
    assert made.judge()
    assert set(asked) == {f"CONNECT 127.0.0.1:{made.server.port} HTTP/1.1"}
    assert len(asked) == made.server.connections <= 8


def pump(source, sink):
    """Pass on what comes until the end, and the end."""
    while data := source.recv(65_536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


NO_TLS = {
    "plain HTTP": (head(status="400 Bad Request"), 4, "does not speak TLS"),
    "an alert": (b"\x15\x03\x01\x00\x02\x02\x28", 3, "no TLS with"),
    "nothing": (b"", 3, "nothing answers at"),
}


@pytest.mark.parametrize(("reply", "code", "words"), NO_TLS.values(), ids=NO_TLS)
def test_a_server_that_cannot_speak_tls_is_told_as_that(night, reply, code, words):
    def talk(line):
        line.recv(65_536)
        line.sendall(reply)
        line.close()

    made = night(5)
    with listening(talk) as url:
        made.server.url = url.replace("http:", "https:")
        done = made.run("--max-outage", "0")
    assert done[0] == code
    assert words in done[1]
    assert "not permitted" not in done[1]
    assert not made.failed.exists()
