"""The one HTTP client: encode → POST → classify → decode. It never retries and follows nothing.

It owns the only aiohttp session: no cookies, no redirects, no netrc, a cap on every body, explicit
timeouts, one prebuilt URL a path.
"""

from __future__ import annotations

import asyncio
import math
import os
import ssl
from collections.abc import Mapping, Sequence
from urllib.request import getproxies, proxy_bypass

import aiohttp
import pybase64
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import ContentEncodingError
from msgspec.structs import replace
from multidict import CIMultiDict
from yarl import URL

from .. import __version__
from ..errors import SHORTAGES, BatchError, Crowded, Halt, Rejected, Retryable, Unreachable
from ..models import Allowance, Base64, Call, Reply, Request
from .allowance import allowance_of
from .classify import error_words, plain
from .codec import Codec
from .connection import Connection
from .pool import USE, Garbled, Pool, Use
from .redact import redacted, secret_forms

CONNECT_TIMEOUT = 10.0
SECRET_LENGTH = 16
"""Characters from which on a key is looked for in answers."""
MESSAGE_LENGTH = 500
"""Characters of an error's text, cut when no key is in it any more."""
DROPPED = -math.inf
"""The bound in time of a request that is given up: always past, and no other one's."""
CHUNK = 48 * 1024
"""Bytes of an image encoded at a time: a multiple of 3, so that the pieces join without padding."""

NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST"})
"""What the TLS library says of a server that speaks plain HTTP, or anything else."""

TROUBLES: dict[type[Exception], tuple[str, str]] = {
    aiohttp.ClientConnectorCertificateError: ("", "the certificate is not trusted: {error}"),
    aiohttp.InvalidURL: ("", "no address that can be used: {error}"),
    aiohttp.NonHttpUrlClientError: ("", "no address that can be used: {error}"),
    aiohttp.ClientHttpProxyError: ("", "the proxy refuses: {error.status} {error.message}"),
    TimeoutError: ("timeout", "no whole reply within {timeout:g} s"),
    Garbled: ("bad_response", "the reply is no valid HTTP: {error}"),
    aiohttp.ClientPayloadError: ("connection", "the connection broke in the middle of the reply"),
    aiohttp.ClientResponseError: ("bad_response", "the reply is no valid HTTP: {error.message}"),
    Exception: ("connection", "{error}"),
}
"""Errors below HTTP: the failure's code (none: the run stops) and the words; first match wins."""


class Pieces(aiohttp.Payload):
    """A body in pieces of known length; base64 is made while it is sent."""

    def __init__(self, pieces: Sequence[bytes | Base64]) -> None:
        super().__init__(pieces)
        self._pieces = pieces
        self._size = sum(len(piece) for piece in pieces)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The whole body as text, for those who log it; nobody does here."""
        return b"".join(map(encoded, self._pieces)).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the pieces, images in chunks."""
        for piece in self._pieces:
            if isinstance(piece, bytes):
                await writer.write(piece)
                continue
            view = memoryview(piece.data)
            for start in range(0, len(view), CHUNK):
                await writer.write(pybase64.b64encode(view[start : start + CHUNK]))


def encoded(piece: bytes | Base64) -> bytes:
    """A piece as it stands on the wire."""
    return piece if isinstance(piece, bytes) else pybase64.b64encode(piece.data)


class Client:
    """Answers requests over HTTP with the help of a codec."""

    def __init__(self, codec: Codec, connection: Connection) -> None:
        self._codec = codec
        self._connection = connection
        self._base = codec.address(connection.base_url)
        self._routes: dict[str, tuple[URL, str | None]] = {}
        self._headers = {
            "User-Agent": f"overnight/{__version__}",
            "Accept": "application/json",
            # A compressed answer saves nothing here and can hide a bomb.
            "Accept-Encoding": "identity",
            **codec.headers(connection.key),
        }
        self._secrets = secret_forms(connection.key)
        long = len(connection.key) >= SECRET_LENGTH
        self._echoes = tuple(form.encode() for form in self._secrets) if long else ()
        """The key as replies may say it; none of a short one, whose letters are in many a word."""
        self._session: aiohttp.ClientSession | None = None
        self._flights: dict[asyncio.Timeout, asyncio.Future[None]] = {}
        """The bound in time of each request that is in flight, and what tells that it ended."""

    async def complete(self, request: Request) -> Reply:
        """Send one request and read its answer.

        Raises `Rejected`, `Retryable`, `RateLimited` or `Halt`; texts in them hold no key.
        """
        call = self._codec.encode(request)
        bound = asyncio.timeout(self._connection.timeout)
        ended = self._flights[bound] = asyncio.get_running_loop().create_future()
        try:
            async with bound:
                body, allowance = await self._post(call)
            reply = self._without_key(self._codec.decode(body))
            return reply if allowance is None else replace(reply, allowance=allowance)
        except BatchError as error:
            error.args = (self._told(str(error)),)
            raise
        except (aiohttp.ClientError, OSError) as error:
            if bound.when() == DROPPED:
                raise Retryable("all connections were closed to begin anew", "connection") from None
            told = transport_error(error, self._connection.timeout)
            told.args = (self._told(str(told)),)
            raise told from error
        finally:
            del self._flights[bound]
            ended.set_result(None)

    async def _post(self, call: Call) -> tuple[bytes, Allowance | None]:
        """POST the call, once more on a new connection when it came too late for an old one."""
        use = Use()
        try:
            return await self._send(call, use)
        except aiohttp.ClientConnectionError:
            if not use.came_too_late:
                raise
        return await self._send(call, Use(is_new=True))

    async def _send(self, call: Call, use: Use) -> tuple[bytes, Allowance | None]:
        """Send it once; the body of a 2xx and what it leaves, or the error that the codec tells.

        The response's own headers are handed on: they find a name however it is written.
        """
        USE.set(use)
        try:
            answer = await self._exchange(call)
        except aiohttp.ClientError:
            if use.is_flooded:
                raise self._too_large() from None
            raise
        if use.is_flooded:
            raise self._too_large()
        return answer

    async def _exchange(self, call: Call) -> tuple[bytes, Allowance | None]:
        """One request and its reply."""
        session = self._session or self._open()
        url, proxy = self._route(call.path)
        headers = {"Content-Type": call.content_type, **call.headers}
        async with session.post(
            url, data=Pieces(call.pieces), headers=headers, proxy=proxy, allow_redirects=False
        ) as response:
            body = self._without_echo(await self._read(response))
            if 200 <= response.status < 300:
                return body, allowance_of(response.headers)
            if response.status == 401 and not self._connection.key:
                raise no_key(body, self._connection.key_variable)
            raise self._codec.classify(response.status, self._headers_of(response), body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body; one over the cap is left, and leaving it closes the connection."""
        cap = self._connection.max_response_bytes
        chunks: list[bytes] = []
        size = response.content_length or 0
        if size <= cap:
            size = 0
            while not response.content.at_eof() and size <= cap:
                chunks.append(await response.content.readany())
                size += len(chunks[-1])
        if size > cap:
            raise self._too_large(response.status)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self, status: int | None = None) -> Rejected:
        """A reply over the cap."""
        cap = self._connection.max_response_bytes
        words = f"the reply is larger than {cap} bytes (--max-response-bytes)"
        return Rejected(words, "response_too_large", status)

    def _route(self, path: str) -> tuple[URL, str | None]:
        """The address of a path of the wire and the proxy on the way, both looked up once."""
        route = self._routes.get(path)
        if route is None:
            address = self._connection.endpoint or self._base + path
            try:
                url = URL(address)
            except ValueError as error:
                raise Halt(f"{address!r} is no address: {error}") from error
            proxy = self._connection.proxy
            route = self._routes[path] = url, proxy_for(url) if proxy is None else proxy or None
        return route

    def _open(self) -> aiohttp.ClientSession:
        """The session, made with the first request because it needs the running loop."""
        self._session = aiohttp.ClientSession(
            connector=Pool(
                self._connection.max_response_bytes,
                limit=self._connection.concurrency,
                limit_per_host=0,
                ttl_dns_cache=300,
            ),
            timeout=aiohttp.ClientTimeout(
                total=None,  # `complete` bounds the whole, so that `drop` can end it too
                sock_connect=min(CONNECT_TIMEOUT, self._connection.timeout),
            ),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            # With it aiohttp would look for a proxy at each request, and send what ~/.netrc holds
            # for the host (or refuse our own key because of it).
            trust_env=False,
        )
        return self._session

    def _told(self, text: str) -> str:
        """An error's text as it may be kept: without the key in any of its forms, and cut."""
        return redacted(text, self._secrets)[:MESSAGE_LENGTH]

    def _without_echo(self, body: bytes) -> bytes:
        """A body without our key, before anybody reads it, who may fail and quote it.

        A short key ("EMPTY", "x") is no secret, and its letters are words of many an answer.
        """
        for echo in self._echoes:
            if echo in body:
                body = body.replace(echo, b"[key]")
        return body

    def _headers_of(self, response: aiohttp.ClientResponse) -> Mapping[str, str]:
        """The headers of an error, which may say our key too (`Location`, a request repeated)."""
        held = response.headers
        if not any(secret in value for secret in self._secrets for value in held.values()):
            return held
        return CIMultiDict((name, redacted(value, self._secrets)) for name, value in held.items())

    def _without_key(self, reply: Reply) -> Reply:
        """The reply as it may be kept, should escapes in its body have spelt our key."""
        if not self._echoes:
            return reply
        told = reply.text + reply.model + reply.finish_reason
        if not any(secret in told for secret in self._secrets):
            return reply
        return replace(
            reply,
            text=redacted(reply.text, self._secrets),
            model=redacted(reply.model, self._secrets),
            finish_reason=redacted(reply.finish_reason, self._secrets),
        )

    async def drop(self) -> None:
        """Close every connection: requests in flight fail with `connection`, the next open anew.

        Their time is over at once, wherever they are, and only then the session is closed: that
        alone would leave a body that is being read waiting, and would cancel the very task of a
        request that looks for its host or waits for a connection (aiohttp 3.14).
        """
        session, self._session = self._session, None
        for bound in self._flights:
            if not bound.expired():
                bound.reschedule(DROPPED)
        if self._flights:
            await asyncio.wait(list(self._flights.values()))
        if session is not None:
            await session.close()

    async def close(self) -> None:
        """Close the session and its sockets."""
        if self._session is not None:
            await self._session.close()


def no_key(body: bytes, variable: str) -> Halt:
    """What a 401 means when no key was sent; `variable` may hold one for a run."""
    how = f"give --key-file FILE or set {variable}" if variable else "give api_key"
    return Halt(f"the server wants a key, none was given: {how} (HTTP 401: {error_words(body)[0]})")


def no_connection(place: str, cause: OSError) -> Halt | Retryable:
    """What it means that no connection comes about."""
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "handshake failed").lower().replace("_", " ")
        if cause.reason in NO_TLS:
            return Halt(f"{place} does not speak TLS ({reason}): is the base URL one of http://?")
        return Unreachable(f"no TLS with {place} ({reason})", "connection")
    number = cause.errno or 0
    why = os.strerror(number) if number > 0 else cause.strerror or "it hung up"
    if number in SHORTAGES:
        return Crowded(f"no connection to {place}: {why}", "connection")
    return Unreachable(f"nothing answers at {place} ({why})", "connection")


def transport_error(error: Exception, timeout: float) -> Halt | Retryable:
    """What an error below HTTP means; `timeout` is the bound of an attempt in seconds."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
        error, aiohttp.ClientConnectorCertificateError
    ):
        return no_connection(f"{error.host}:{error.port}", error.os_error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unreachable(f"no connection: {error}", "connection")
    if isinstance(error.__cause__, ContentEncodingError):
        error = Garbled(error.__cause__.message)
    code, words = next(told for kind, told in TROUBLES.items() if isinstance(error, kind))
    words = plain(words.format(error=error, timeout=timeout)) or type(error).__name__
    return Retryable(words, code) if code else Halt(words)


def proxy_for(url: URL) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for an address."""
    if not url.host or proxy_bypass(url.host):
        return None
    proxy = getproxies().get(url.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
