"""A scripted model provider on 127.0.0.1: right answers, or the exact misbehaviour asked for."""

import argparse
import asyncio
import heapq
import json
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import uvloop
from connection import Connection, Step
from faults import (
    BadChunk,
    Big,
    CloseBeforeReply,
    Delay,
    Drip,
    Fault,
    Garbage,
    Gzip,
    Hang,
    Headers,
    Hold,
    NoLength,
    RateLimit,
    Redirect,
    Reply,
    Reset,
    ShortBody,
    Status,
)
from wires import Recorded, expected_answer, interpret

__all__ = [
    "BadChunk",
    "Big",
    "CloseBeforeReply",
    "Delay",
    "Drip",
    "Fault",
    "Garbage",
    "Gzip",
    "Hang",
    "Headers",
    "Hold",
    "NoLength",
    "RateLimit",
    "Recorded",
    "Redirect",
    "Reply",
    "Reset",
    "Server",
    "ShortBody",
    "Status",
    "expected_answer",
]


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
    places: int = 0  # requests served at once, `latency` each, the others wait; 0: any number
    capacity: float | None = None  # requests a second before 429; as many at once after a rest
    keep: bool = True  # False: requests are counted, not kept
    port: int = 0
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.plan, self.kept, self.errors = iter(self.script), [], []
        self.lines: set[Connection] = set()
        self.held: list[Connection] = []
        self.arrived = self.connections = self.peak = self.busy = self.right = 0
        self.tokens, self.filled = 0.0, float("-inf")
        self.free = [0.0] * self.places  # when each place is free again

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
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
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
        server = await self.loop.create_server(
            lambda: Connection(self), sock=listener, ssl=self.tls
        )
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
            yield self.served(request.at) - request.at
        yield from fault.steps(line)

    def served(self, at: float) -> float:
        """Tell when a request that arrives at a moment has been served."""
        if not self.places:
            return at + self.latency
        end = max(at, heapq.heappop(self.free)) + self.latency
        heapq.heappush(self.free, end)
        return end

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
    ends = "It prints its address first, and ends at once when its stdin is closed (</dev/null)."
    parser = argparse.ArgumentParser(description=__doc__, epilog=ends)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before a reply [0]")
    parser.add_argument("--port", type=int, default=0, help="where it listens [any free one]")
    parser.add_argument("--places", type=int, default=0, help="requests served at once [any]")
    parser.add_argument("--capacity", type=float, help="requests a second before 429 [any]")
    parser.add_argument("--key", default="", help="the key that is asked for [none]")
    parser.add_argument("--for", type=float, default=600.0, dest="seconds", help="seconds [600]")
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
