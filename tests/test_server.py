"""The scripted server does what the other tests rely on."""

import asyncio
import base64
import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import aiohttp
import pytest
from server import (
    Big,
    Delay,
    Drip,
    Gzip,
    Hang,
    Hold,
    Reply,
    Reset,
    Server,
    Status,
    expected_answer,
)

DYNASPARK = "/generate_response"
OPENAI = "/v1/chat/completions"
MIB = 1 << 20


@pytest.fixture
async def client():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


def form(prompt="hi", **files):
    data = aiohttp.FormData({"user_input": prompt, "ai_model": "gemini-1.5-flash-8b"})
    for name, image in files.items():
        data.add_field("file", image, filename=f"{name}.png", content_type="image/png")
    return data


def chat(prompt="hi", *images, model="gpt-test"):
    data = [f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in images]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in data]
    content = [{"type": "text", "text": prompt}, *parts] if images else prompt
    before = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "before"}]
    return {"model": model, "messages": [*before, {"role": "user", "content": content}]}


def raw(body, *lines, path=OPENAI):
    given = lines or (f"Content-Length: {len(body)}",)
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *given, "\r\n"]).encode() + body


def dial(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


async def ask(client, server, prompt="hi"):
    async with client.post(server.url + OPENAI, json=chat(prompt)) as response:
        return response.status, response.headers, await response.read()


async def collect(response, pieces):
    async for piece in response.content.iter_any():
        pieces += [piece]


def answer_in(body):
    return json.loads(body)["choices"][0]["message"]["content"]


async def test_a_dynaspark_form_gets_the_answer_of_its_prompt_as_html(client):
    with Server() as server:
        async with client.post(server.url + DYNASPARK, data=form("häß & co")) as response:
            assert response.headers["content-type"].startswith("text/html")
            assert json.loads(await response.text()) == {"response": expected_answer("häß & co")}
    (request,) = server.requests
    assert (request.wire, request.model) == ("dynaspark", "gemini-1.5-flash-8b")
    assert (request.prompt, request.images, request.answered) == ("häß & co", [], True)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_multipart_form_keeps_every_byte_of_its_file(client):
    image = bytes(range(256)) + b"\r\n--\r\n\r\n" + b"\0\r\n"
    with Server() as server:
        async with client.post(server.url + DYNASPARK, data=form("see", cat=image)) as response:
            assert json.loads(await response.text())["response"] == expected_answer("see", [image])
    assert server.requests[0].images == [image]
    assert server.requests[0].prompt == "see"


async def test_a_chat_completion_is_whole(client):
    with Server() as server:
        status, headers, body = await ask(client, server, "hello")
    told = json.loads(body)
    assert (status, told["object"], told["model"]) == (200, "chat.completion", "gpt-test")
    assert told["choices"][0]["finish_reason"] == "stop"
    assert told["usage"]["total_tokens"] > told["usage"]["completion_tokens"] > 0
    assert headers["x-request-id"] == "req-1"
    assert answer_in(body) == "sha256:" + hashlib.sha256(b"hello").hexdigest()


async def test_the_last_user_text_and_its_images_make_the_answer(client):
    with Server() as server:
        asked = chat("two", b"\x89PNG", b"\xff\xd8")
        async with client.post(server.url + OPENAI, json=asked) as response:
            body = await response.read()
    assert server.requests[0].images == [b"\x89PNG", b"\xff\xd8"]
    assert answer_in(body) == expected_answer("two", [b"\x89PNG", b"\xff\xd8"])


async def test_an_error_in_a_test_function_is_raised_at_the_end(client):
    def broken(request):
        raise ZeroDivisionError

    async def use():
        with Server(answer=broken, latency=0.01) as server:
            with pytest.raises(aiohttp.ClientError):
                await ask(client, server)
            await asyncio.to_thread(server.settle)

    with pytest.raises(ZeroDivisionError):
        await use()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/v1/chat/completions", b"{}", 404),
        ("GET", OPENAI, b"", 405),
        ("POST", OPENAI, b"{", 400),
        ("POST", OPENAI, b'{"model": "m", "messages": []}', 400),
        ("POST", DYNASPARK, b"user_input=only", 400),
    ],
)
async def test_what_no_provider_would_take_is_refused(client, method, path, body, status):
    with Server() as server:
        async with client.request(method, server.url + path, data=body) as response:
            assert response.status == status
    assert server.answers == 0


async def test_the_script_comes_first_and_then_the_function_decides(client):
    script = [Status(503), None, Status(500, b"as it is", {"X-Why": "test"})]
    with Server(
        script=script, faults=lambda r: Status(418) if r.prompt == "tea" else None
    ) as server:
        replies = [await ask(client, server, prompt) for prompt in ("tea", "tea", "", "tea", "")]
    assert [status for status, _, _ in replies] == [503, 200, 500, 418, 200]
    assert replies[2][2] == b"as it is"
    assert replies[2][1]["x-why"] == "test"
    assert json.loads(replies[0][2])["error"]["type"] == "server_error"
    assert [r.answered for r in server.requests] == [True] * 5
    assert (server.answers, server.arrived, server.connections) == (2, 5, 1)


async def test_a_reply_is_sent_as_it_is_with_repeated_headers(client):
    headers = {"Content-Type": "text/plain", "Set-Cookie": ["a=1", "b=2"]}
    with Server(script=[Reply(b"request limit reached", headers)]) as server:
        status, got, body = await ask(client, server)
    assert (status, body, got["content-type"]) == (200, b"request limit reached", "text/plain")
    assert got.getall("set-cookie") == ["a=1", "b=2"]


async def test_held_requests_are_answered_on_release(client):
    with Server(script=[Hold(), Hold(), Hold()]) as server:
        asked = [asyncio.create_task(ask(client, server, str(n))) for n in range(3)]
        await asyncio.to_thread(server.wait_for, 3)
        assert (server.in_flight, server.peak, server.answers) == (3, 3, 0)
        server.release()
        bodies = [body for _, _, body in await asyncio.gather(*asked)]
        assert (server.in_flight, server.answers) == (0, 3)
    assert [answer_in(body) for body in bodies] == [expected_answer(str(n)) for n in range(3)]


async def test_whoever_has_the_reply_finds_it_counted(client):
    with Server() as server:
        for n in range(1, 200):
            await ask(client, server)
            assert (server.answers, server.in_flight, server.requests[-1].answered) == (n, 0, True)


def test_waiting_for_requests_that_never_come_says_so():
    with Server() as server, pytest.raises(TimeoutError, match="0 requests"):
        server.wait_for(1, timeout=0.01)


@pytest.mark.parametrize("options", [{"latency": 0.1}, {"script": [Delay(0.1)]}])
async def test_latency_and_delay_come_before_the_reply(client, options):
    with Server(**options) as server:
        began = time.monotonic()
        assert (await ask(client, server))[0] == 200
    assert time.monotonic() - began >= 0.1


async def test_a_dripping_body_comes_whole_in_many_pieces(client):
    with Server(answer=lambda _: "x" * 50, script=[Drip(10, 0.001)]) as server:
        async with client.post(server.url + DYNASPARK, data=form()) as response:
            pieces = [piece async for piece in response.content.iter_any()]
    assert len(pieces) > 2
    assert json.loads(b"".join(pieces)) == {"response": "x" * 50}


@pytest.mark.parametrize("size", [0, 1, 20])
async def test_a_reset_comes_after_so_many_bytes_of_the_body(client, size):
    got = []
    with Server(script=[Reset(size)]) as server:
        async with client.post(server.url + DYNASPARK, data=form()) as response:
            with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
                await collect(response, got)
    assert len(b"".join(got)) == size
    assert (server.requests[0].answered, server.answers) == (False, 0)


def test_a_reset_is_one_on_the_wire():
    with Server(script=[Reset()]) as server, dial(server) as line:
        line.sendall(raw(b"{}"))
        with pytest.raises(ConnectionResetError):
            line.recv(100)


@pytest.mark.parametrize(("fault", "size"), [(Gzip(20), 20 * MIB), (Big(20), 20 * MIB)])
async def test_a_bomb_and_a_big_body_are_right_answers_of_that_size(client, fault, size):
    with Server(script=[fault]) as server:
        _, headers, body = await ask(client, server)
        server.settle()
    assert len(body) > size
    assert answer_in(body) == expected_answer("hi")
    assert ("content-encoding" in headers) == isinstance(fault, Gzip)
    assert server.answers == 1


def test_a_bomb_is_small_on_the_wire():
    with Server(script=[Gzip(50)]) as server, dial(server) as line:
        body = json.dumps(chat()).encode()
        line.sendall(raw(body, f"Content-Length: {len(body)}", "Connection: close"))
        assert len(b"".join(iter(lambda: line.recv(1 << 16), b""))) < MIB


async def test_a_client_that_leaves_in_a_big_body_is_not_counted_as_answered(client):
    with Server(script=[Big(200)]) as server:
        async with client.post(server.url + OPENAI, json=chat()) as response:
            await response.content.readany()
            response.close()
        await asyncio.to_thread(server.settle)
    assert (server.answers, server.requests[0].answered) == (0, False)


def test_requests_beyond_the_places_wait_for_their_turn():
    server = Server(latency=1.0, places=2)
    assert [server.served(at) for at in (5.0, 5.5, 5.6, 5.7, 20.0)] == [6.0, 6.5, 7.0, 7.5, 21.0]
    assert Server(latency=1.0).served(5.0) == 6.0


async def test_requests_beyond_the_capacity_are_refused_for_a_second(client):
    with Server(capacity=5) as server:
        replies = [await ask(client, server) for _ in range(12)]
        await asyncio.sleep(0.2)
        last, _, _ = await ask(client, server)
    refused = [headers for status, headers, _ in replies if status == 429]
    assert 5 <= len(refused) <= 7
    assert {headers["retry-after"] for headers in refused} == {"1"}
    assert last == 200


async def test_requests_can_be_counted_without_being_kept(client):
    with Server(keep=False) as server:
        await ask(client, server)
        server.wait_for(1)
    assert (server.requests, server.arrived, server.answers) == ([], 1, 1)


def test_pipelined_requests_are_answered_in_order_however_they_are_cut():
    bodies = [json.dumps(chat(f"<{n}>")).encode() for n in range(40)]
    sent = b"".join(raw(body) for body in bodies[:-1])
    chunk = b"5;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: 1\r\n\r\n"
    last = chunk % (bodies[-1][:5], len(bodies[-1]) - 5, bodies[-1][5:])
    sent += raw(last, "Transfer-Encoding: chunked", "Connection: close")
    with Server(latency=0.0001, answer=lambda request: request.prompt) as server:
        with dial(server) as line:
            for at in range(0, len(sent), 97):
                line.sendall(sent[at : at + 97])
            got = b"".join(iter(lambda: line.recv(1 << 16), b"")).decode()
        places = [got.index(f"<{n}>") for n in range(40)]
    assert places == sorted(places)
    assert (server.answers, server.peak) == (40, 1)


def test_a_thousand_pipelined_requests_do_not_pile_up_on_the_stack():
    with Server() as server, dial(server) as line:
        line.sendall(raw(json.dumps(chat()).encode()) * 2000)
        server.wait_for(2000)


@pytest.mark.parametrize("sent", [b"SSH-2.0-x\r\n\r\n", raw(b"", "Content-Length: many")])
def test_what_is_not_http_is_refused_and_dropped(sent):
    with Server() as server, dial(server) as line:
        line.sendall(sent)
        assert b"".join(iter(lambda: line.recv(100), b"")).startswith(b"HTTP/1.1 400 ")
    assert server.arrived == 0


@pytest.mark.parametrize("sent", [b"", b"POST /v1", raw(b"ab", "Content-Length: 50"), raw(b"{}")])
def test_clients_that_leave_early_leave_nothing_behind(sent):
    with Server(latency=0.01) as server:
        for _ in range(20):
            with dial(server) as line:
                line.sendall(sent)
        server.settle()
    assert server.answers == 0


async def test_many_connections_at_once_all_get_their_own_answer():
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        with Server(latency=0.05) as server:
            names = [f"prompt {n}" for n in range(300)]
            replies = await asyncio.gather(*[ask(client, server, name) for name in names])
    assert [answer_in(body) for _, _, body in replies] == [expected_answer(n) for n in names]
    assert server.peak > 50


def test_a_server_can_end_with_requests_in_flight():
    with Server(script=[Hang(), Hold(), Delay(60)]) as server:
        lines = [dial(server) for _ in range(3)]
        for line in lines:
            line.sendall(raw(json.dumps(chat()).encode()))
        server.wait_for(3)
    for line in lines:
        line.close()
    assert not server.thread.is_alive()
    assert server.in_flight == 0


@pytest.mark.parametrize(("seconds", "close"), [("60", True), ("0.2", False)])
def test_it_runs_as_a_process_of_its_own(seconds, close):
    told = [sys.executable, "-W", "error", str(Path(__file__).with_name("server.py"))]
    options = ["--latency", "0.01", "--port", "0", "--for", seconds]
    with subprocess.Popen([*told, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as over:
        url = over.stdout.readline().strip().decode()
        data = urlencode({"user_input": "over there", "ai_model": "any"}).encode()
        with urlopen(url + DYNASPARK, data) as response:
            assert json.load(response)["response"] == expected_answer("over there")
        if close:
            over.stdin.close()
        assert json.loads(over.stdout.read()) == {"requests": 1, "peak": 1}
    assert over.returncode == 0


@pytest.mark.parametrize(
    ("program", "told"),
    [("server.py", "ends at once when its stdin is closed"), ("model_server.py", "simulate.py")],
)
def test_by_hand_the_servers_say_how_they_are_used(program, told):
    words = [sys.executable, str(Path(__file__).with_name(program)), "--help"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("usage: ")
    assert told in " ".join(shown.split())
