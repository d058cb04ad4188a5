"""What the scripted server can do with a request: the right answer, or one exact misbehaviour."""

import functools
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from connection import Connection, Step, Values
from wires import error_body

SPACES = b" " * (1 << 20)
CHUNKED = {"transfer-encoding": "chunked", "content-length": ()}


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
    """FIN instead of a reply, at once or after so many seconds."""

    seconds: float = 0.0

    def steps(self, line: Connection) -> Iterator[Step]:
        if self.seconds:
            yield self.seconds
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


ENDS = {"close": Connection.close, "reset": Connection.reset, "hang": None}


@dataclass(frozen=True)
class Raw(Fault):
    """Bytes as they are, then FIN, RST, silence or ("keep") the next request of the connection.

    `cut` bytes go out at a time, `pause` seconds apart; 0: all at once.
    """

    data: bytes
    then: str = "close"
    cut: int = 0
    pause: float = 0.0

    def steps(self, line: Connection) -> Iterator[Step]:
        size = self.cut or len(self.data) or 1
        for at in range(0, len(self.data), size):
            if at:
                yield self.pause
            yield self.data[at : at + size]
        if self.then != "keep":
            end = ENDS[self.then]
            yield end and functools.partial(end, line)


@dataclass(frozen=True)
class Endless(Fault):
    """Some bytes, and then others again and again for as long as the client listens."""

    start: bytes
    again: bytes
    times: int = 1 << 40

    def steps(self, line: Connection) -> Iterator[Step]:
        yield self.start
        many = self.again * max(1, len(SPACES) // len(self.again) // 4)
        yield from itertools.repeat(many, self.times)


@dataclass(frozen=True)
class Sliced(Fault):
    """The right answer in two segments, cut after so many bytes."""

    at: int
    pause: float = 0.002

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        whole = line.head(body) + body
        yield whole[: self.at]
        yield self.pause
        yield whole[self.at :]


@dataclass(frozen=True)
class Cut(Fault):
    """The first bytes of the right answer, a share of it from 0 to 1, then FIN or RST."""

    share: float
    then: str = "close"

    def steps(self, line: Connection) -> Iterator[Step]:
        body = line.answer()
        whole = line.head(body) + body
        line.right = False
        return Raw(whole[: int(len(whole) * self.share)], self.then).steps(line)


@dataclass(frozen=True)
class Then(Fault):
    """Some bytes, then others so many seconds later (0: in the same segment), then as in `Raw`."""

    first: bytes
    seconds: float
    second: bytes
    then: str = "keep"

    def steps(self, line: Connection) -> Iterator[Step]:
        if self.seconds:
            yield self.first
            yield self.seconds
        yield from Raw((b"" if self.seconds else self.first) + self.second, self.then).steps(line)
