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
from .classify import RULES, THROTTLED, Rule, classify, error_words, is_html
from .weight import is_too_heavy

ReplyType = TypeVar("ReplyType")

ESCAPED = "backslashreplace"
"""What becomes of lone surrogates, which UTF-8 cannot carry."""
MOST_TOKENS = 10_000_000
"""Whoever counts more in one reply counts wrongly."""
MARKER = secrets.token_hex(16)
"""Stands for an image while JSON is encoded; random, so that no user's text can hold it."""


def data_url(image: Image) -> str:
    """The `data:` address of an image, with `MARKER` where `json_call` puts the base64."""
    return f"data:{image.media_type};base64,{MARKER}"


def json_call(path: str, body: Mapping[str, Any], images: Sequence[Image] = ()) -> Call:
    """A call with a JSON body; each `MARKER` in it is replaced by the base64 of the next image."""
    encoded = encode_json(body)
    if not images:
        return Call(path, "application/json", (encoded,))
    texts = iter(encoded.split(MARKER.encode()))
    pieces: list[bytes | Base64] = [next(texts)]
    for image, text in zip(images, texts, strict=True):
        pieces += (Base64(image.data), text)
    return Call(path, "application/json", tuple(pieces))


def encode_json(value: Any) -> bytes:
    """JSON of whatever a job may hold, lone surrogates as escapes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def form_call(path: str, fields: Mapping[str, str], file: tuple[str, Image] | None = None) -> Call:
    """A call with a form: urlencoded, or multipart when a (field name, image) comes along.

    Multipart as browsers and aiohttp write it: text parts are UTF-8 and say so, the file's name
    is percent-encoded (RFC 7578).
    """
    if file is None:
        encoded = urlencode(fields, errors=ESCAPED).encode()
        return Call(path, "application/x-www-form-urlencoded", (encoded,))
    boundary = secrets.token_hex(16)
    field, image = file
    text = "".join(
        part_head(boundary, "text/plain; charset=utf-8", name=name) + value + "\r\n"
        for name, value in fields.items()
    )
    text += part_head(boundary, image.media_type, name=field, filename=image.name)
    tail = f"\r\n--{boundary}--\r\n".encode()
    pieces = (text.encode("utf-8", ESCAPED), image.data, tail)
    return Call(path, f"multipart/form-data; boundary={boundary}", pieces)


def part_head(boundary: str, content_type: str, **names: str) -> str:
    """What stands before a part's value; names are percent-encoded."""
    disposition = "; ".join(
        f'{name}="{quote(text, errors=ESCAPED)}"' for name, text in names.items()
    )
    return (
        f"--{boundary}\r\nContent-Type: {content_type}\r\n"
        f"Content-Disposition: form-data; {disposition}\r\n\r\n"
    )


def read_json(body: bytes, shape: type[ReplyType]) -> ReplyType:
    """The JSON of a 2xx body as `shape`, whatever content type it came with.

    Raises `RateLimited` for a page or text that speaks of a limit, as free hosts send with status
    200, `Rejected` (`response_too_large`) for one of too many values, and `Retryable`
    (`bad_response`) for everything else that is no such JSON.
    """
    if is_too_heavy(body, shape):
        raise Rejected("the reply holds too many values", "response_too_large", 200)
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
    raise Retryable(f"the reply was {kind}: {words}", "bad_response", 200)


def error_in_reply(error: Any, rules: Sequence[Rule] = RULES) -> BatchError:
    """The error that stands in the body of a 200: OpenRouter and hobby hosts do this.

    A `code` that is a number counts as the HTTP status; without one its codes and words decide.
    """
    body = json.dumps({"error": error}).encode()
    code = str(error.get("code")) if isinstance(error, dict) else ""
    if code.isdecimal() and 400 <= int(code) <= 599:
        return classify(int(code), {}, body, rules)
    throttled = THROTTLED.search(error_words(body)[0])
    return classify(429 if throttled else 200, {}, body, rules)


def tokens(value: Any) -> int | None:
    """A token count when it is one: servers were seen to send strings and negative numbers."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if is_count else None
