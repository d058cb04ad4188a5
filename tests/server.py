"""A scripted model provider on 127.0.0.1: right answers, or the exact misbehaviour asked for."""

import argparse
import asyncio
import base64
import hashlib
import http.client
import itertools
import json
import os
import re
import select
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl

import uvloop

SPACES = b" " * (1 << 20)
CODES = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}
CHUNKED = {"transfer-encoding": "chunked", "content-length": ()}
Values = Mapping[str, str | Sequence[str]]  # several values: sent several times; (): not sent
Step = bytes | float | Callable[[], None] | None  # send, pause, end by this, wait for release()


@dataclass(slots=True)
class Recorded:
    """One request that arrived whole; `answered` says that the whole reply was handed over."""

    at: float  # time.monotonic()
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    wire: str = ""
    model: str = ""
    prompt: str = ""
    images: list[bytes] = field(default_factory=list)
    answered: bool = False
    number: int = 0  # its place in the order of arrival, from 1


def expected_answer(prompt: str, images: Iterable[bytes] = ()) -> str:
    """Tell the default answer, which belongs to this prompt with these images alone."""
    whole = prompt.encode("utf-8", "surrogatepass") + b"\0".join(images)
    return "sha256:" + hashlib.sha256(whole).hexdigest()


def form_fields(kind: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the fields of a form, urlencoded or multipart, in their order."""
    if not kind.startswith("multipart/form-data"):
        for name, text in parse_qsl(body.decode("ascii"), keep_blank_values=True):
            yield name, text.encode()
        return
    boundary = kind.partition("boundary=")[2].partition(";")[0].strip('" ').encode()
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:-1]:
        described, _, value = part.partition(b"\r\n\r\n")
        if name := re.search(rb'[; ]name="([^"]*)"', described):
            yield name[1].decode(), value


def read_dynaspark(request: Recorded) -> None:
    """Fill in model, prompt and images from a Dynaspark form."""
    fields = list(form_fields(request.headers.get("content-type", ""), request.body))
    texts = dict(fields)
    request.prompt, request.model = texts["user_input"].decode(), texts["ai_model"].decode()
    request.images = [value for name, value in fields if name == "file"]


def read_openai(request: Recorded) -> None:
    """Fill in model, prompt and images from the JSON that asks for a chat completion."""
    asked = json.loads(request.body)
    content = [turn["content"] for turn in asked["messages"] if turn["role"] == "user"][-1]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    request.model = asked["model"]
    request.prompt = "".join(part["text"] for part in parts if part["type"] == "text")
    request.images = [base64.b64decode(u.partition(";base64,")[2], validate=True) for u in urls]


WIRES = {
    "/generate_response": ("dynaspark", read_dynaspark),
    "/v1/chat/completions": ("openai", read_openai),
}


def interpret(request: Recorded) -> int:
    """Read the request by its wire; return 0, or the error status that it deserves."""
    request.wire, read = WIRES.get(request.path.partition("?")[0], ("", None))
    if read is None or request.method != "POST":
        return 405 if read else 404
    try:
        read(request)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return 400
    return 0


def right_body(request: Recorded, text: str) -> bytes:
    """Build the whole body that carries an answer."""
    if request.wire != "openai":
        return json.dumps({"response": text}).encode()
    asked, told = len(request.prompt) // 4 + 85 * len(request.images) + 1, len(text) // 4 + 1
    usage = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    made = {
        "id": f"chatcmpl-{request.number}",
        "object": "chat.completion",
        "created": int(time.time()),
    }
    made |= {"model": request.model, "choices": [choice], "usage": usage}
    return json.dumps(made).encode()


def error_body(request: Recorded, code: int) -> bytes:
    """Build the body of an error as the request's provider words it."""
    words = f"{code} {http.client.responses.get(code, 'Unknown')}"
    if request.wire == "dynaspark":
        return f"<html><title>{words}</title><h1>{words}</h1></html>".encode()
    kind = "server_error" if code >= 500 else "invalid_request_error"
    error = {"message": words, "type": kind, "param": None, "code": CODES.get(code)}
    return json.dumps({"error": error}).encode()


def take_chunks(buffer: bytearray, body: bytearray) -> bool:
    """Move whole chunks from the buffer to the body; True once the last one came."""
    while (end := buffer.find(b"\r\n")) >= 0:
        size = int(buffer[:end].partition(b";")[0], 16)
        if size == 0:
            stop = buffer.find(b"\r\n\r\n", end)
            del buffer[: stop + 4 if stop >= 0 else 0]
            return stop >= 0
        if len(buffer) < end + 4 + size:
            return False
        body += buffer[end + 2 : end + 2 + size]
        del buffer[: end + 4 + size]
    return False


class Connection(asyncio.Protocol):
    """One client connection: takes a request, plays its reply step by step, takes the next."""

    def __init__(self, server: "Server") -> None:
        self.server, self.buffer, self.body = server, bytearray(), bytearray()
        self.heading: tuple[str, str, dict[str, str]] | None = None
        self.request: Recorded | None = None  # the one being replied to
        self.steps: Iterator[Step] = iter(())
        self.paused = self.last = self.right = False
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=0)  # not paused means: the socket took every byte
        self.server.lines.add(self)
        self.server.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.lines.discard(self)
        if self.timer:
            self.timer.cancel()
        if self.request:
            with self.server.changed:
                self.server.leave()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.request:
            self.step()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.advance()

    def advance(self) -> None:
        """Take requests, one at a time, as long as they are whole."""
        while not self.request and not self.transport.is_closing():
            try:
                self.request = self.take()
            except ValueError:  # not HTTP
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                self.transport.close()
            if not self.request:
                return
            self.steps, self.right = self.server.receive(self), False
            self.step()

    def take(self) -> Recorded | None:
        """Take one request from the buffer if it is whole."""
        if self.heading is None and not self.take_head():
            return None
        method, path, headers = self.heading
        if "chunked" in headers.get("transfer-encoding", ""):
            if not take_chunks(self.buffer, self.body):
                return None
        else:
            size = int(headers.get("content-length", "0"))
            if len(self.buffer) < size:
                return None
            self.body = self.buffer[:size]
            del self.buffer[:size]
        whole, self.body, self.heading = bytes(self.body), bytearray(), None
        return Recorded(time.monotonic(), method, path, headers, whole)

    def take_head(self) -> bool:
        """Take a request's head from the buffer; tell a client that waits to send the body."""
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        method, path, version = first.split(" ")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self.heading = method, path, headers
        self.last = version == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
        if headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def step(self) -> None:
        """Play the reply on; an error in a test's own function ends the connection."""
        with self.server.changed:  # so that whoever has the reply's last byte finds it counted
            try:
                self.play()
            except Exception:
                self.transport.abort()
                raise

    def play(self) -> None:
        """Do the reply's steps until its end, a pause, a full socket or the client's leave."""
        for step in self.steps:
            if isinstance(step, bytes):
                self.transport.write(step)
            elif callable(step):
                step()
            elif step is not None:
                self.timer = self.server.loop.call_later(step, self.step)
            if self.paused or self.transport.is_closing() or not isinstance(step, bytes):
                return
        self.finish()

    def finish(self) -> None:
        """Count the reply as handed over; be ready for the next request."""
        self.server.leave(right=self.right)
        self.request.answered, self.request = True, None
        if self.last:
            self.transport.close()
        elif self.buffer:
            self.server.loop.call_soon(self.advance)

    def close(self) -> None:
        """End the connection with FIN."""
        self.transport.close()

    def reset(self) -> None:
        """End the connection with RST."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def head(self, body: bytes, headers: Values | None = None, code: int = 200) -> bytes:
        """Build a response's head: the usual headers, then the given ones, which win."""
        html = self.request.wire == "dynaspark"
        named = {"content-type": "text/html; charset=utf-8" if html else "application/json"}
        named |= {"x-request-id": f"req-{self.request.number}", "content-length": str(len(body))}
        named |= {"connection": "close"} if self.last else {}
        named |= {name.lower(): value for name, value in (headers or {}).items()}
        lines = [f"HTTP/1.1 {code} {http.client.responses.get(code, 'Unknown')}"]
        for name, value in named.items():
            lines += [f"{name}: {one}" for one in ([value] if isinstance(value, str) else value)]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    def answer(self) -> bytes:
        """Build the body of the right answer."""
        self.right = True
        asked, tell = self.request, self.server.answer
        text = tell(asked) if tell else expected_answer(asked.prompt, asked.images)
        return right_body(asked, text)


@dataclass(frozen=True)
class Fault:
    """What to do with one request. Of itself no fault: it gives the right answer."""

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        yield line.head(body) + body


@dataclass(frozen=True)
class Status(Fault):
    """Any status; without a body, with the one its provider would send."""

    code: int
    body: bytes = b""
    headers: Values = field(default_factory=dict)

    def steps(self, line: Connection) -> Iterator[Step]:
        body = self.body or error_body(line.request, self.code)
        yield line.head(body, self.headers, self.code) + body


@dataclass(frozen=True)
class Reply(Fault):
    """Any body as it is."""

    body: bytes
    headers: Values = field(default_factory=dict)
    code: int = 200

    def steps(self, line: Connection) -> Iterator[Step]:
        yield line.head(self.body, self.headers, self.code) + self.body


@dataclass(frozen=True)
class Hang(Fault):
    """No answer, ever."""

    def steps(self, line: Connection) -> Iterator[Step]:
        yield None


@dataclass(frozen=True)
class Hold(Fault):
    """The right answer once `Server.release()` is called."""

    def steps(self, line: Connection) -> Iterator[Step]:
        line.server.held.append(line)
        yield None
        yield from super().steps(line)


@dataclass(frozen=True)
class Delay(Fault):
    """The right answer, late."""

    seconds: float

    def steps(self, line: Connection) -> Iterator[Step]:
        yield self.seconds
        yield from super().steps(line)


@dataclass(frozen=True)
class Drip(Fault):
    """The right answer, a few bytes at a time."""

    bytes_per_chunk: int
    seconds: float

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        yield line.head(body)
        for at in range(0, len(body), self.bytes_per_chunk):
            yield self.seconds
            yield body[at : at + self.bytes_per_chunk]


@dataclass(frozen=True)
class Reset(Fault):
    """The head and so many bytes of the body, then RST; below 0: RST at once."""

    after_bytes: int = -1

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        if self.after_bytes >= 0:
            yield line.head(body) + body[: self.after_bytes]
        yield line.reset


@dataclass(frozen=True)
class CloseBeforeReply(Fault):
    """FIN instead of a reply."""

    def steps(self, line: Connection) -> Iterator[Step]:
        yield line.close


@dataclass(frozen=True)
class ShortBody(Fault):
    """A Content-Length larger than the body, then FIN."""

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        yield line.head(body + b"never sent") + body
        yield line.close


@dataclass(frozen=True)
class BadChunk(Fault):
    """A chunked body whose second chunk has no size, then FIN."""

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        yield line.head(body, CHUNKED) + b"%x\r\n%b\r\nno size\r\n" % (len(body), body)
        yield line.close


@dataclass(frozen=True)
class Gzip(Fault):
    """The right answer and so many MiB of spaces, all compressed to almost nothing."""

    bomb_mib: int

    def steps(self, line: Connection) -> Iterator[Step]:
        body, press = line.answer(), zlib.compressobj(wbits=31)
        yield line.head(body, CHUNKED | {"content-encoding": "gzip"})
        for piece in itertools.chain([body], itertools.repeat(SPACES, self.bomb_mib), [b""]):
            if packed := press.compress(piece) if piece else press.flush():
                yield b"%x\r\n%b\r\n" % (len(packed), packed)
        yield b"0\r\n\r\n"


@dataclass(frozen=True)
class Big(Fault):
    """The right answer and so many MiB of spaces."""

    mib: int

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        yield line.head(body, {"content-length": str(len(body) + self.mib * len(SPACES))}) + body
        yield from itertools.repeat(SPACES, self.mib)


@dataclass(frozen=True)
class Headers(Fault):
    """The right answer under so many more headers."""

    count: int

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        yield line.head(body, {f"x-filler-{n}": "filler" for n in range(self.count)}) + body


@dataclass(frozen=True)
class Garbage(Fault):
    """Bytes that are not HTTP, then FIN."""

    data: bytes = b"\x16\x03\x01\x00\x02\x02(\r\n\r\n"

    def steps(self, line: Connection) -> Iterator[Step]:
        yield self.data
        yield line.close


@dataclass(frozen=True)
class NoLength(Fault):
    """The right answer in HTTP/1.0, ended by FIN alone."""

    def steps(self, line: Connection) -> Iterator[Step]:
        line.last, body = True, line.answer()
        yield line.head(body, {"content-length": ()}).replace(b"1.1", b"1.0", 1) + body


@dataclass(frozen=True)
class Redirect(Fault):
    """Another place to ask."""

    location: str
    code: int = 302

    def steps(self, line: Connection) -> Iterator[Step]:
        return Status(self.code, headers={"location": self.location}).steps(line)


@dataclass(frozen=True)
class RateLimit(Fault):
    """429 with whatever Retry-After is given; None: without one."""

    retry_after: object = 1

    def steps(self, line: Connection) -> Iterator[Step]:
        wait = () if self.retry_after is None else str(self.retry_after)
        return Status(429, headers={"retry-after": wait}).steps(line)


@dataclass(kw_only=True, eq=False)
class Server:
    """The scripted server, in a thread of its own while its `with` block runs.

    The script's entries go to one request each, in order of arrival (None: the right answer);
    then `faults` decides, if given. An error raised by `answer` or `faults` is raised again
    at the end of the block. `wait_for` and `settle` block: call them in a thread of their own
    from a test whose event loop has to run on.
    """

    latency: float = 0.0  # from a request's end to the first byte of any reply
    answer: Callable[[Recorded], str] | None = None
    script: Iterable[Fault | None] = ()
    faults: Callable[[Recorded], Fault | None] | None = None
    key: str = ""  # asked of every request as "Bearer KEY"
    capacity: float | None = None  # requests a second before 429; as many at once after a rest
    keep: bool = True  # False: requests are counted, not kept
    port: int = 0

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.plan, self.kept, self.errors = iter(self.script), [], []
        self.lines: set[Connection] = set()
        self.held: list[Connection] = []
        self.arrived = self.connections = self.peak = self.busy = self.right = 0
        self.tokens, self.filled = 0.0, float("-inf")

    @property
    def requests(self) -> list[Recorded]:
        """The requests so far, in order of arrival."""
        with self.changed:
            return self.kept

    @property
    def in_flight(self) -> int:
        """The number of requests now without their whole reply."""
        with self.changed:
            return self.busy

    @property
    def answers(self) -> int:
        """The number of right answers that were handed over whole."""
        with self.changed:
            return self.right

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=4096)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.loop, self.over = uvloop.new_event_loop(), asyncio.Event()
        self.loop.set_exception_handler(lambda _, told: self.errors.append(told))
        self.thread = threading.Thread(target=self.run, args=[listener], daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()
        if self.errors and kind is None:
            error = self.errors[0].get("exception")
            raise error or RuntimeError(self.errors[0]["message"])

    def run(self, listener: socket.socket) -> None:
        """Serve until the block is over (the thread's own work)."""
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self.serve(listener))

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections; at the end drop those that are left."""
        server = await self.loop.create_server(lambda: Connection(self), sock=listener)
        await self.over.wait()
        server.close()
        while self.lines:
            for line in self.lines:
                line.transport.abort()
            await asyncio.sleep(0)
        await server.wait_closed()

    def receive(self, line: Connection) -> Iterator[Step]:
        """Record a connection's request and yield the steps of its reply."""
        request = line.request
        code = interpret(request)
        self.arrived = request.number = self.arrived + 1
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        if self.keep:
            self.kept.append(request)
        self.changed.notify_all()
        fault = self.choose(request) or (Status(code) if code else Fault())
        if self.latency:
            yield self.latency
        yield from fault.steps(line)

    def choose(self, request: Recorded) -> Fault | None:
        """Tell what the script, the key or the capacity want done with a request."""
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return Status(401)
        if self.capacity:
            since, self.filled = request.at - self.filled, request.at
            self.tokens = min(max(1.0, self.capacity), self.tokens + since * self.capacity)
            if self.tokens < 1:
                return RateLimit(1)
            self.tokens -= 1
        for fault in self.plan:
            return fault
        return self.faults(request) if self.faults else None

    def leave(self, *, right: bool = False) -> None:
        """Count one request less in flight."""
        self.busy -= 1
        self.right += right
        self.changed.notify_all()

    def release(self) -> None:
        """Let every request that `Hold` keeps now have its answer."""
        self.loop.call_soon_threadsafe(self.let_go)

    def let_go(self) -> None:
        """Play on what is held (in the server's thread)."""
        held, self.held = self.held, []
        for line in held:
            line.step()

    def wait_for(self, count: int, timeout: float = 10) -> None:
        """Block until so many requests have arrived."""
        self.wait_until(lambda: self.arrived >= count, timeout)

    def settle(self, timeout: float = 10) -> None:
        """Block until no request is in flight."""
        self.wait_until(lambda: not self.busy, timeout)

    def wait_until(self, true: Callable[[], bool], timeout: float) -> None:
        with self.changed:
            if not self.changed.wait_for(true, timeout):
                raise TimeoutError(f"{self.arrived} requests, {self.busy} in flight")


def main() -> None:
    """Serve as a process of its own until stdin closes or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--capacity", type=float)
    parser.add_argument("--key", default="")
    parser.add_argument("--for", type=float, default=600.0, dest="seconds")
    options = vars(parser.parse_args())
    end = time.monotonic() + options.pop("seconds")
    with Server(keep=False, **options) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        while select.select([0], [], [], max(0.0, end - time.monotonic()))[0]:
            if not os.read(0, 4096):
                break
    sys.stdout.write(json.dumps({"requests": server.arrived, "peak": server.peak}) + "\n")


if __name__ == "__main__":
    main()
