"""What a hostile server can send: the cases of `test_hostile.py`, each with what has to come of it.

The first column of a case is what it does, the second how, the third what comes of it: the code of
the failed line, "answer", "stop" (the run ends with 4) or "away" (with 3). Then options of the run.
"""

import gzip
import json
import zlib
from dataclasses import dataclass

from faults import (
    BadChunk,
    Big,
    CloseBeforeReply,
    Cut,
    Delay,
    Drip,
    Endless,
    Fault,
    Garbage,
    Gzip,
    Hang,
    Headers,
    NoLength,
    RateLimit,
    Raw,
    Redirect,
    Reply,
    Reset,
    ShortBody,
    Status,
)
from oracle import answer_to

PROMPT = "the prompt that is answered with malice"
RIGHT = json.dumps({"response": answer_to(PROMPT)}).encode()
STOLEN = "an answer that nobody asked for"
STEERING = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\x9b31m\u202e\r\b"
LONG = {"content-type": "application/json"}
MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """One way to be hostile."""

    name: str
    fault: Fault
    comes: str
    options: tuple[str, ...] = ()
    text: str = answer_to(PROMPT)

    def __str__(self):
        return self.name.replace(" ", "-")


def head(*lines, status="200 OK", version="HTTP/1.1"):
    """A head of any lines."""
    return "\r\n".join([f"{version} {status}", *lines, "\r\n"]).encode("latin-1")


def whole(body=RIGHT, *lines, **more):
    """A response with the length that it has."""
    return head(*lines, f"Content-Length: {len(body)}", **more) + body


def chunked(*chunks, end=b"0\r\n\r\n", sizes=None):
    """A chunked response; `sizes` stand in place of the true ones."""
    told = sizes or [b"%x" % len(chunk) for chunk in chunks]
    pieces = [b"%b\r\n%b\r\n" % pair for pair in zip(told, chunks, strict=True)]
    return head("Transfer-Encoding: chunked") + b"".join(pieces) + end


def answered_as(text):
    """The body of a reply in the form of the wire."""
    return json.dumps({"response": text}).encode()


def answered(value):
    """A reply in the form of the wire with any value as the answer."""
    return Reply(json.dumps({"response": value}).encode())


SHORT = ("--timeout", "1.5")
IMPATIENT = ("--max-outage", "0.3")
AT_ONCE = Raw(whole(), "keep")

TIMES = [
    Case("latency", Delay(0.2), "answer"),
    Case("no answer ever", Hang(), "timeout", SHORT),
    Case("a drip of one byte", Drip(1, 0.05), "timeout", SHORT),
    Case("a head byte by byte, too slow", Raw(whole(), "hang", 1, 0.05), "timeout", SHORT),
    Case("half of a head and silence", Raw(whole()[:30], "hang"), "timeout", SHORT),
    Case("a whole head and silence", Raw(head("Content-Length: 9"), "hang"), "timeout", SHORT),
    Case("a body without its end", Raw(head() + RIGHT, "hang"), "timeout", SHORT),
    Case(
        "100 Continue and silence",
        Raw(head(status="100 Continue"), "hang"),
        "timeout",
        SHORT,
    ),
    Case(
        "a drip of 100 Continue",
        Raw(head(status="100 Continue") * 99, "hang", 25, 0.03),
        "timeout",
        SHORT,
    ),
    Case(
        "a drip of empty gzip members",
        Raw(head("Content-Encoding: gzip") + gzip.compress(b"") * 99, "hang", 20, 0.03),
        "timeout",
        SHORT,
    ),
]

BROKEN = [
    Case("reset at once", Reset(), "connection"),
    *(
        Case(f"reset at {share:.0%} of the reply", Cut(share, "reset"), "connection")
        for share in (0.01, 0.2, 0.5, 0.75, 0.9, 0.999)
    ),
    *(
        Case(f"FIN at {share:.0%} of the reply", Cut(share), "connection")
        for share in (0.01, 0.2, 0.5, 0.75, 0.9, 0.999)
    ),
    Case("FIN instead of a reply", CloseBeforeReply(), "connection"),
    Case("a length larger than the body", ShortBody(), "connection"),
    Case(
        "a length smaller than the body",
        Raw(head("Content-Length: 9") + RIGHT, "keep"),
        "bad_response",
    ),
    Case(
        "a length of 0 before a body",
        Raw(head("Content-Length: 0") + RIGHT, "keep"),
        "bad_response",
    ),
    Case("a negative length", Raw(head("Content-Length: -1") + RIGHT), "bad_response"),
    Case(
        "two different lengths",
        Raw(head("Content-Length: 9", f"Content-Length: {len(RIGHT)}") + RIGHT),
        "bad_response",
    ),
    Case("a length of words", Raw(head("Content-Length: many") + RIGHT), "bad_response"),
    Case(
        "a length of 30 digits", Raw(head("Content-Length: 1" + "0" * 29) + RIGHT), "bad_response"
    ),
    Case(
        "a length of 10 GB", Raw(head("Content-Length: 10000000000") + RIGHT), "response_too_large"
    ),
    Case(
        "a length and chunks",
        Raw(
            head("Content-Length: 9", "Transfer-Encoding: chunked")
            + b"%x\r\n%b\r\n0\r\n\r\n" % (len(RIGHT), RIGHT),
            "keep",
        ),
        "bad_response",
    ),
    Case("a chunk without a size", BadChunk(), "bad_response"),
    Case("a chunk of negative size", Raw(chunked(RIGHT, sizes=[b"-1"])), "bad_response"),
    Case("a chunk of huge size", Raw(chunked(RIGHT, sizes=[b"f" * 40])), "bad_response"),
    Case("a chunk of 4 EiB", Raw(chunked(RIGHT, sizes=[b"3fffffffffffffff"])), "connection"),
    Case(
        "a chunk larger than it is",
        Raw(chunked(RIGHT, sizes=[b"%x" % (len(RIGHT) + 9)], end=b"")),
        "connection",
    ),
    Case(
        "a chunk size of no hexadecimal digits", Raw(chunked(RIGHT, sizes=[b"xyz"])), "bad_response"
    ),
    Case(
        "an endless chunk size",
        Endless(head("Transfer-Encoding: chunked"), b"0"),
        "response_too_large",
    ),
    Case("chunks without the last one", Raw(chunked(RIGHT, end=b"")), "connection"),
    Case(
        "one byte a chunk",
        Raw(chunked(*(RIGHT[n : n + 1] for n in range(len(RIGHT)))), "keep"),
        "answer",
    ),
    Case(
        "an extension on every chunk",
        Raw(
            chunked(
                *(RIGHT[n : n + 1] for n in range(len(RIGHT))),
                sizes=[b"1;" + b"x" * 500] * len(RIGHT),
            ),
            "keep",
        ),
        "answer",
    ),
    Case(
        "an endless chunk extension",
        Endless(head("Transfer-Encoding: chunked") + b"1;", b"x"),
        "response_too_large",
    ),
    Case("trailers", Raw(chunked(RIGHT, end=b"0\r\nA: b\r\n\r\n"), "keep"), "answer"),
    Case("endless trailers", Endless(chunked(RIGHT, end=b"0\r\n"), b"A: b\r\n"), "bad_response"),
    Case("an endless trailer", Endless(chunked(RIGHT, end=b"0\r\nA: "), b"b"), "bad_response"),
    Case("no HTTP but TLS", Garbage(), "bad_response"),
    Case("no HTTP but HTTP/2", Raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)), "bad_response"),
    Case("no HTTP but a body (HTTP/0.9)", Raw(RIGHT), "bad_response"),
    Case("no HTTP but SSH", Raw(b"SSH-2.0-OpenSSH_10.0\r\n"), "bad_response"),
    Case("no HTTP but zeros", Endless(b"", bytes(1)), "bad_response"),
    Case("no HTTP but empty lines", Endless(b"", b"\r\n"), "response_too_large"),
    Case("HTTP/1.0 without a length", NoLength(), "answer"),
    Case("HTTP/1.1 without a length", Raw(head() + RIGHT), "answer"),
    Case("HTTP/9.9", Raw(whole(version="HTTP/9.9")), "bad_response"),
    Case("HTTP/1.1 without a reason", Raw(whole(status="200"), "keep"), "answer"),
    Case("an endless reason", Endless(b"HTTP/1.1 200 ", b"x"), "bad_response"),
    Case("bare line feeds", Raw(whole().replace(b"\r\n", b"\n"), "keep"), "answer"),
    Case(
        "bytes above 127 in the head", Raw(whole(RIGHT, "X-Name: \xff\xfe\xe4"), "keep"), "answer"
    ),
    Case("NUL in a header", Raw(whole(RIGHT, "X-Name: a\0b"), "keep"), "bad_response"),
    Case("a header without a colon", Raw(whole(RIGHT, "nonsense"), "keep"), "bad_response"),
    Case(
        "a header with blanks before its colon",
        Raw(whole(RIGHT, "Content-Length : 9"), "keep"),
        "bad_response",
    ),
    Case("a folded header", Raw(whole(RIGHT, "X-Name: a", " b"), "keep"), "answer"),
    Case(
        "1xx before the answer",
        Raw(head(status="100 Continue") + head(status="103 Early Hints") + whole(), "keep"),
        "answer",
    ),
    Case(
        "101 Switching Protocols",
        Raw(
            head("Upgrade: websocket", "Connection: upgrade", status="101 Switching Protocols")
            + RIGHT
        ),
        "bad_response",
    ),
]

FLOODS = [
    Case("a gzip bomb", Gzip(100), "response_too_large"),
    Case(
        "a gzip bomb in a gzip bomb's shape and a length",
        Raw(whole(gzip.compress(bytes(64 * MIB), 9), "Content-Encoding: gzip"), "keep"),
        "response_too_large",
    ),
    Case(
        "a deflate bomb",
        Raw(whole(zlib.compress(bytes(64 * MIB), 9), "Content-Encoding: deflate"), "keep"),
        "response_too_large",
    ),
    Case(
        "a million gzip members",
        Endless(head("Content-Encoding: gzip"), gzip.compress(b""), 90),
        "bad_response",
    ),
    Case(
        "endless gzip members",
        Endless(head("Content-Encoding: gzip"), gzip.compress(b"")),
        "bad_response",
    ),
    Case(
        "gzip announced and not sent",
        Raw(whole(RIGHT, "Content-Encoding: gzip"), "keep"),
        "bad_response",
    ),
    Case(
        "deflate announced and not sent",
        Raw(whole(RIGHT, "Content-Encoding: deflate"), "keep"),
        "bad_response",
    ),
    Case(
        "br announced and not sent",
        Raw(whole(RIGHT, "Content-Encoding: br"), "keep"),
        "bad_response",
    ),
    Case(
        "zstd announced and not sent",
        Raw(whole(RIGHT, "Content-Encoding: zstd"), "keep"),
        "bad_response",
    ),
    Case(
        "a coding that does not exist",
        Raw(whole(RIGHT, "Content-Encoding: rot13"), "keep"),
        "answer",
    ),
    Case(
        "gzip that nobody asked for",
        Raw(whole(gzip.compress(RIGHT), "Content-Encoding: gzip"), "keep"),
        "answer",
    ),
    Case(
        "gzip cut short",
        Raw(whole(gzip.compress(RIGHT)[:-12], "Content-Encoding: gzip"), "keep"),
        "bad_response",
    ),
    Case("50 MB", Big(50), "response_too_large"),
    Case(
        "endless chunks",
        Endless(head("Transfer-Encoding: chunked"), b"10\r\n0123456789abcdef\r\n"),
        "response_too_large",
    ),
    Case("an endless body", Endless(head(), b"x"), "response_too_large"),
    Case(
        "an endless body in HTTP/1.0", Endless(head(version="HTTP/1.0"), b"x"), "response_too_large"
    ),
    Case("an endless error page", Endless(head(status="500 Oops"), b"<p>"), "response_too_large"),
    Case(
        "8 MiB of open tags",
        Raw(whole(b"<" * (8 * MIB), status="500 Oops"), "keep"),
        "server_error",
    ),
    Case("100,000 headers", Headers(100_000), "bad_response"),
    Case("endless headers", Endless(head()[:-2], b"X-Name: value\r\n"), "bad_response"),
    Case("a header of 1 MB", Raw(whole(RIGHT, "X-Name: " + "x" * MIB), "keep"), "bad_response"),
    Case("a name of 1 MB", Raw(whole(RIGHT, "x" * MIB + ": x"), "keep"), "bad_response"),
    Case("an endless header", Endless(b"HTTP/1.1 200 OK\r\nX-Name: ", b"x"), "bad_response"),
    Case(
        "a flood of cookies",
        Raw(whole(RIGHT, *(f"Set-Cookie: c{n}={'x' * 4000}" for n in range(100))), "keep"),
        "answer",
    ),
    Case(
        "a million of 100 Continue", Endless(b"", head(status="100 Continue")), "response_too_large"
    ),
    Case(
        "a flood of 103 Early Hints",
        Endless(b"", head("Link: </x>; rel=preload" + "x" * 999, status="103 Early Hints")),
        "response_too_large",
    ),
]

DEEP = b"[" * 100_000
NODES = (b"0,", b'"",', b"{},", b'{"a":0},', b"[[]],")

SAID = {
    "a key twice": (b'{"response": "first", "response": "second"}', "second"),
    "lone surrogates": (b'{"response": "a\\ud800b\\udc00"}', "a\ufffdb\ufffd"),
    "NUL": (b'{"response": "a\\u0000b"}', "a\0b"),
    "escapes for terminals": (answered_as(STEERING), STEERING),
    "ends of lines": (answered_as("a\u2028b\u2029c\x85d\re\nf"), "a\u2028b\u2029c\x85d\re\nf"),
}
"""Bodies that are answers, and what they answer."""


def millions_of(node):
    """As many nodes as a reply can hold."""
    return b"[" + node * (7 * MIB // len(node)) + b"0]"


def places_of(node):
    """Millions of one node in each place of a reply."""
    name, many = f"millions of {node.decode()}", millions_of(node)
    beside = RIGHT[:-1] + b', "more": ' + many + b"}"
    half = b'{"response": "\\ud800", "more": ' + many + b"}"
    error = b'{"error": ' + many + b"}"
    return (
        Case(f"{name} beside the answer", Reply(beside), "answer"),
        Case(f"{name} beside half a character", Reply(half), "response_too_large"),
        Case(f"{name} as the answer", Reply(b'{"response": ' + many + b"}"), "response_too_large"),
        Case(f"{name} as the error", Reply(error), "response_too_large"),
        Case(f"{name} as a 500", Status(500, error), "server_error"),
    )


NODE_BODIES = [case for node in NODES for case in places_of(node)]

BODIES = [
    Case("an empty body", Reply(b""), "bad_response"),
    Case("a body of blanks", Reply(b" \r\n\t"), "bad_response"),
    Case("200 and HTML", Reply(b"<!DOCTYPE html><h1>Waking up</h1>"), "bad_response"),
    Case("200 and HTML that speaks JSON", Reply(b"<html>" + RIGHT), "bad_response"),
    Case("200 and an error", Reply(b'{"error": "out of cheese", "response": "x"}'), "bad_response"),
    Case("100,000 brackets", Reply(DEEP), "bad_response"),
    Case(
        "100,000 brackets in a reply", Reply(b'{"response": "x", "more": ' + DEEP), "bad_response"
    ),
    Case(
        "100,000 brackets as the answer",
        Reply(b'{"response": ' + DEEP + b"]" * 100_000 + b"}"),
        "bad_response",
    ),
    Case(
        "100,000 brackets as the error",
        Reply(b'{"error": ' + DEEP + b"]" * 100_000 + b"}"),
        "bad_response",
    ),
    Case(
        "100,000 brackets as a 500",
        Status(500, b'{"error": ' + DEEP + b"]" * 100_000 + b"}"),
        "server_error",
    ),
    Case(
        "a number of a million digits", Reply(b'{"response": ' + b"9" * MIB + b"}"), "bad_response"
    ),
    Case(
        "a number of a million digits beside the answer",
        Reply(RIGHT[:-1] + b', "n": ' + b"9" * MIB + b"}"),
        "answer",
    ),
    Case("1e999", Reply(b'{"response": 1e999}'), "bad_response"),
    Case("NaN", Reply(b'{"response": NaN}'), "bad_response"),
    Case("a raw NUL in the answer", Reply(b'{"response": "a\0b"}'), "bad_response"),
    Case("bytes that are no UTF-8", Reply(b'{"response": "\xff\xfe"}'), "bad_response"),
    Case("UTF-16", Reply(RIGHT.decode().encode("utf-16")), "answer"),
    Case("two values", Reply(RIGHT + RIGHT), "bad_response"),
    Case("an answer and garbage", Reply(RIGHT + b"\n<garbage>"), "bad_response"),
    Case("half an answer with its right length", Reply(RIGHT[:-20]), "bad_response"),
    Case("an empty answer", answered(""), "empty_output"),
    Case("an answer of blanks", answered(" \n\t\u3000"), "empty_output"),
    *(
        Case(f"{json.dumps(value)[:30]} as the answer", answered(value), "bad_response")
        for value in (None, True, 0, -1.5, [], ["x"], {}, {"text": "x"})
    ),
    *(
        Case(f"{body} for a body", Reply(body.encode()), "bad_response")
        for body in ("null", "true", "7", '"x"', "[]", '[{"response": "x"}]', "{}")
    ),
    Case("an answer as text/html", Reply(RIGHT, {"content-type": "text/html"}), "answer"),
    Case("an answer as an image", Reply(RIGHT, {"content-type": "image/png"}), "answer"),
    Case(
        "an answer of no known charset",
        Reply(RIGHT, {"content-type": "application/json; charset=nonsense"}),
        "answer",
    ),
    Case(
        "an answer with a broken content type",
        Reply(RIGHT, {"content-type": ";;==\xff,,"}),
        "answer",
    ),
    Case("an answer as 201", Reply(RIGHT, code=201), "answer"),
    Case("an answer as 204", Reply(RIGHT, code=204), "bad_response"),
    Case("an answer as 206", Reply(RIGHT, code=206), "answer"),
    Case("an answer as 304", Reply(RIGHT, code=304), "bad_response"),
    Case("an answer as 300", Reply(RIGHT, code=300), "stop"),
    Case("an answer as 999", Reply(RIGHT, code=999), "server_error"),
    Case("an answer as 000", Raw(whole(status="000 None"), "keep"), "bad_response"),
    Case("an answer as 1000", Raw(whole(status="1000 Many"), "keep"), "bad_response"),
    Case("an answer as 99", Raw(whole(status="99 Few"), "keep"), "bad_response"),
    *(
        Case(f"{code} for ever", Status(code), "server_error")
        for code in (408, 409, 425, 500, 502, 503, 504, 520, 529, 599)
    ),
    *(Case(f"{code} for one", Status(code), "rejected") for code in (400, 410, 413, 415, 418, 422)),
    Case("429 for ever", RateLimit(None), "away", IMPATIENT),
    Case("403 and HTML", Status(403, b"<html>Just a moment"), "away", IMPATIENT),
    *(Case(f"{code} is no address", Status(code), "stop") for code in (402, 404, 405)),
    *(
        Case(f"{code} denies the key", Status(code, b'{"error": "no"}'), "stop")
        for code in (401, 403)
    ),
    *(
        Case(f"redirect by {code}", Redirect("http://127.0.0.1:1/stolen", code), "stop")
        for code in (301, 302, 303, 307, 308)
    ),
    Case("a redirect to nowhere", Status(302), "stop"),
    Case("a redirect that steers", Redirect("http://x/\x1b]0;owned\x07\x9b31m", 302), "stop"),
    Case("a redirect to no address", Redirect("http://[::1", 302), "stop"),
    Case("a redirect to a file", Redirect("file:///etc/passwd", 302), "stop"),
    Case("500 that steers", Status(500, STEERING.encode("utf-8")), "server_error"),
    Case("400 that steers", Status(400, json.dumps({"error": STEERING}).encode()), "rejected"),
]
