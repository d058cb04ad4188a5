"""The one HTTP client: encode → POST → classify → decode. It never retries and follows nothing.

It owns the only aiohttp session: no cookies, no redirects, a cap on every body, explicit
timeouts, one prebuilt URL a path.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from urllib.parse import quote

import aiohttp
import pybase64
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from .. import __version__
from ..errors import BatchError, Halt, Rejected, Retryable
from ..models import Base64, Call, Reply, Request
from .connection import Codec, Connection

CONNECT_TIMEOUT = 10.0
CHUNK = 48 * 1024
"""Bytes of an image encoded at a time: a multiple of 3, so that the pieces join without padding."""


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
        self._urls: dict[str, URL] = {}
        self._headers = {
            "User-Agent": f"overnight/{__version__}",
            "Accept": "application/json",
            # A compressed answer saves nothing here and can hide a bomb.
            "Accept-Encoding": "identity",
            **codec.headers(connection.key),
        }
        self._secrets = secret_forms(connection.key)
        self._session: aiohttp.ClientSession | None = None

    async def complete(self, request: Request) -> Reply:
        """Send one request and read its answer.

        Raises `Rejected`, `Retryable`, `RateLimited` or `Halt`; texts in them hold no key.
        """
        call = self._codec.encode(request)
        try:
            body = await self._post(call)
            return self._codec.decode(body)
        except BatchError as error:
            error.args = (self._redacted(str(error)),)
            raise
        except TimeoutError as error:
            words = f"no whole reply within {self._connection.timeout:g} s"
            raise Retryable(words, "timeout") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Halt(f"the server's certificate is not trusted: {error}") from error
        except aiohttp.ClientPayloadError as error:
            words = "the connection broke in the middle of the reply"
            raise Retryable(words, "connection") from error
        except (aiohttp.ClientError, OSError) as error:
            words = self._redacted(str(error) or type(error).__name__)
            raise Retryable(words, "connection") from error

    async def _post(self, call: Call) -> bytes:
        """POST the call; the body of a 2xx, or the error that the codec tells."""
        session = self._session or self._open()
        data = call.pieces[0] if len(call.pieces) == 1 else Pieces(call.pieces)
        headers = {"Content-Type": call.content_type, **call.headers}
        async with session.post(
            self._url(call.path),
            data=data,
            headers=headers,
            proxy=self._connection.proxy,
            allow_redirects=False,
        ) as response:
            body = await self._read(response)
            if 200 <= response.status < 300:
                return body
            lower = {name.lower(): value for name, value in response.headers.items()}
            raise self._codec.classify(response.status, lower, body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The whole body; one that is over the cap closes the connection."""
        cap = self._connection.max_response_bytes
        content = response.content
        body = await content.readany()
        if content.at_eof() and len(body) <= cap:
            return body
        chunks = [body]
        size = len(body)
        while not content.at_eof():
            if size > cap or (response.content_length or 0) > cap:
                response.close()
                break
            chunks.append(await content.readany())
            size += len(chunks[-1])
        if size > cap or (response.content_length or 0) > cap:
            words = f"the reply is larger than {cap} bytes (--max-response-bytes)"
            raise Rejected(words, "response_too_large", response.status)
        return b"".join(chunks)

    def _url(self, path: str) -> URL:
        """The prebuilt address of a path of the wire."""
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(self._connection.endpoint or self._base + path)
        return url

    def _open(self) -> aiohttp.ClientSession:
        """The session, made with the first request because it needs the running loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connection.concurrency, limit_per_host=0, ttl_dns_cache=300
            ),
            timeout=aiohttp.ClientTimeout(
                total=self._connection.timeout,
                sock_connect=min(CONNECT_TIMEOUT, self._connection.timeout),
            ),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,
        )
        return self._session

    def _redacted(self, text: str) -> str:
        """The text without the key in any of its forms."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text

    async def close(self) -> None:
        """Close the session and its sockets."""
        if self._session is not None:
            await self._session.close()


def secret_forms(key: str) -> tuple[str, ...]:
    """A key as servers echo it: plain, percent-encoded, base64."""
    if not key:
        return ()
    plain = base64.b64encode(key.encode()).decode()
    return tuple(dict.fromkeys((key, quote(key, safe=""), plain, plain.rstrip("="))))
