"""One connection of the scripted server: HTTP read and written byte by byte, without a library."""

import asyncio
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from wires import Recorded, expected_answer, right_body

Values = Mapping[str, str | Sequence[str]]  # several values: sent several times; (): not sent
Step = bytes | float | Callable[[], None] | None  # send, pause, end by this, wait for release()


class Owner(Protocol):
    """The server that a connection belongs to."""

    changed: threading.Condition
    loop: asyncio.AbstractEventLoop
    lines: set["Connection"]
    connections: int
    answer: Callable[[Recorded], str] | None

    def receive(self, line: "Connection") -> Iterator[Step]: ...

    def leave(self, *, right: bool = False) -> None: ...


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

    def __init__(self, server: Owner) -> None:
        self.server, self.buffer, self.body = server, bytearray(), bytearray()
        self.heading: tuple[str, str, dict[str, str]] | None = None
        self.request: Recorded | None = None  # the one being replied to
        self.steps: Iterator[Step] = iter(())
        self.paused = self.last = self.right = False
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        if not transport.get_extra_info("sslcontext"):  # over TLS it would resume while it writes
            transport.set_write_buffer_limits(high=0)  # not paused: the socket took every byte
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
        """Take a request's head from the buffer if it is whole."""
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
