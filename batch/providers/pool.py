"""The pool of connections: which of them is trusted with a request, and how much it may say.

aiohttp gives a request any idle connection that is still open, and takes the next reply on it for
the answer, also one that came before the question. It reads as many heads, chunk extensions and
empty lines as a server sends. And it does not repeat a POST whose connection had been closed by
the server in the same moment, as idle ones often are.
"""

from __future__ import annotations

import functools
import select
import time
from contextvars import ContextVar
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

HEADS = 100
"""Heads of replies that may wait to be read: a request has one, and few before it (1xx)."""
OVERHEAD = 2
"""Bytes on the wire for each byte of a body that is within its cap; chunked ones need more."""
HEAD_BYTES = 1 << 20
"""Bytes on the wire beside those of the body."""
HANG_UP = 2.0
"""Seconds; a server that takes longer to close a connection has read the request."""


class Garbled(aiohttp.ClientPayloadError):
    """A body that breaks the rules of HTTP in its middle."""


class Socket(ResponseHandler):
    """A connection that counts what it hears, and ends when that is too much."""

    requests = 0
    """Requests that it was taken for."""
    heard = 0
    """Bytes since the last of them."""
    most = HEAD_BYTES
    """Bytes that it may hear for one; before the first, what a proxy says to a tunnel."""
    is_flooded = False
    """Whether it heard more and was closed for it."""

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is too much."""
        self.heard += len(data)
        if self.heard <= self.most and len(self) <= HEADS:
            super().data_received(data)
            return
        self.is_flooded = True
        if self.transport is not None:
            self.transport.abort()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """End the reply with an error, a body that is being read too: aiohttp forgets that one."""
        super().set_exception(exc, *([exc_cause] if exc_cause else ()))
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(Garbled(getattr(exc, "message", exc)))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came, not even the end, since the last reply was read."""
        if self.should_close or self.transport is None:
            return False
        readable = select.poll()
        readable.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not readable.poll(0)


class Use:
    """What is known of the connection that one request takes."""

    __slots__ = ("is_new", "since", "socket")

    def __init__(self, *, is_new: bool = False) -> None:
        self.is_new = is_new
        """Whether it has to be a new one."""
        self.socket: Socket | None = None
        self.since = 0.0

    @property
    def is_flooded(self) -> bool:
        """Whether the reply was too much."""
        return self.socket is not None and self.socket.is_flooded

    @property
    def came_too_late(self) -> bool:
        """Whether the server had closed the connection before the request came, by all signs.

        It had served another request, no byte of a reply came, and it ended at once.
        """
        return (
            self.socket is not None
            and self.socket.requests > 1
            and not self.socket.heard
            and time.monotonic() - self.since < HANG_UP
        )


USE: ContextVar[Use] = ContextVar("use")
"""The use that the request of this task makes of a connection."""


class Pool(aiohttp.TCPConnector):
    """Connections that are used again only when they are quiet; `most` bounds a reply's body."""

    def __init__(self, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._most = OVERHEAD * most + HEAD_BYTES
        makes = functools.partial(Socket, loop=self._loop)
        self._factory = cast("functools.partial[ResponseHandler]", makes)

    async def connect(self, *request: Any, **more: Any) -> Connection:
        """A connection for the request of this task."""
        use = USE.get()
        while True:
            connection = await super().connect(*request, **more)
            socket = connection.protocol
            if not isinstance(socket, Socket):  # an aiohttp that makes its own kind all the same
                return connection
            if not socket.requests or (socket.is_quiet and not use.is_new):
                break
            connection.close()
        socket.requests += 1
        socket.heard, socket.most = 0, self._most
        use.socket, use.since = socket, time.monotonic()
        return connection
