"""What the codecs share: bodies built in pieces, and replies read with care.

Images never enter a dictionary that a JSON encoder walks: a random marker stands for them, and
the encoded text is cut there, so that the base64 is made in small pieces while it is sent.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from ..errors import BatchError, RateLimited, Rejected, Retryable
from ..models import Base64, Call, Image
from .classify import REFUSAL_CODES, THROTTLED, classify, error_words, is_html, plain

ReplyType = TypeVar("ReplyType")

MARKER = secrets.token_hex(16)
"""Stands for an image while JSON is encoded; random, so that no user's text can hold it."""


def data_url(image: Image) -> str:
    """The `data:` address of an image, with `MARKER` where `json_call` puts the base64."""
    return f"data:{image.media_type};base64,{MARKER}"


def json_call(path: str, body: Mapping[str, Any], images: Sequence[Image] = ()) -> Call:
    """A call with a JSON body; each `MARKER` in it is replaced by the base64 of the next image."""
    encoded = msgspec.json.encode(body)
    if not images:
        return Call(path, "application/json", (encoded,))
    texts = iter(encoded.split(MARKER.encode()))
    pieces: list[bytes | Base64] = [next(texts)]
    for image, text in zip(images, texts, strict=True):
        pieces += (Base64(image.data), text)
    return Call(path, "application/json", tuple(pieces))


def form_call(path: str, fields: Mapping[str, str], file: tuple[str, Image] | None = None) -> Call:
    """A call with a form: urlencoded, or multipart when a (field name, image) comes along.

    Multipart as browsers and aiohttp write it: text parts are UTF-8 and say so, the file's name
    is percent-encoded (RFC 7578).
    """
    if file is None:
        encoded = urlencode(fields).encode()
        return Call(path, "application/x-www-form-urlencoded", (encoded,))
    boundary = secrets.token_hex(16)
    text = "".join(
        f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f'Content-Disposition: form-data; name="{quote(name)}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    field, image = file
    text += (
        f"--{boundary}\r\nContent-Type: {image.media_type}\r\n"
        f'Content-Disposition: form-data; name="{field}"; filename="{quote(image.name)}"\r\n\r\n'
    )
    head = text.encode("utf-8", "backslashreplace")
    tail = f"\r\n--{boundary}--\r\n".encode()
    return Call(path, f"multipart/form-data; boundary={boundary}", (head, image.data, tail))


def read_json(body: bytes, shape: type[ReplyType]) -> ReplyType:
    """The JSON of a 2xx body as `shape`, whatever content type it came with.

    Raises `RateLimited` for a page or text that speaks of a limit, as free hosts send with status
    200, and `Retryable` (`bad_response`) for everything else that is no such JSON.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # The strict parser refuses lone surrogates, which some models do produce.
        return msgspec.convert(json.loads(body), type=shape)
    except (ValueError, RecursionError):
        words = error_words(body)[0]
    if not body.strip():
        raise Retryable("the reply was empty", "bad_response", 200)
    if THROTTLED.search(words) and not body.lstrip().startswith(b"{"):
        raise RateLimited(f"HTTP 200: {words}", "rate_limited", 200)
    kind = "a web page" if is_html(body) else "no JSON of the expected form"
    raise Retryable(f"the reply was {kind}: {plain(words, 200)}", "bad_response", 200)


def error_in_reply(error: Any) -> BatchError:
    """The error that stands in the body of a 200: OpenRouter and hobby hosts do this.

    A numeric `code` counts as the HTTP status; without one the words decide.
    """
    body = msgspec.json.encode({"error": error})
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code <= 599:
        return classify(code, {}, body)
    words, codes = error_words(body)
    if THROTTLED.search(words):
        return classify(429, {}, body)
    if codes & REFUSAL_CODES:
        return Rejected(words, "refused", 200)
    return Retryable(f"the reply held an error: {words}", "bad_response", 200)


def tokens(value: Any) -> int | None:
    """A token count when it is one: servers were seen to send strings and negative numbers."""
    return value if isinstance(value, int) and value >= 0 else None
