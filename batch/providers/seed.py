"""What a single call takes, as the seed takes it: dictionaries, and pairs of name and image."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..models import Image, Message, Picture, Text, image_type

MediaPair = tuple[Any, Any]
"""(name, value) or (value, name); the value is bytes, a path or a Pillow image."""


def seed_messages(
    messages: Sequence[Mapping[str, Any]], media: Sequence[MediaPair]
) -> tuple[Message, ...]:
    """Messages of the seed's form, with `media` attached to the last message of the user."""
    if not messages:
        raise UsageError("there are no messages")
    pictures = tuple(Picture(image_from_pair(*pair)) for pair in media)
    roles = [str(message.get("role", "user")) for message in messages]
    last = max((at for at, role in enumerate(roles) if role == "user"), default=len(roles) - 1)
    built = []
    for at, (role, message) in enumerate(zip(roles, messages, strict=True)):
        text = seed_text(message.get("content"))
        with_media = pictures and at == last
        built.append(Message(role, (*pictures, Text(text)) if with_media else text))
    return tuple(built)


def seed_text(content: Any) -> str:
    """The text of a message's content: a string, or OpenAI-style parts that are texts.

    Raises `UsageError` for any other part, because leaving it out would change the question.
    """
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, (list, tuple)) else [content]
    for part in parts:
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            raise UsageError("a message's content must be text; pictures go into `media`")
    return "".join(part["text"] for part in parts)


def image_from_pair(first: Any, second: Any) -> Image:
    """The image of a (name, value) or (value, name) pair; raises `UsageError` for other bytes."""
    name, value = (first, second) if is_name(first, second) else (second, first)
    data = image_bytes(value)
    kind = image_type(data)
    if not kind:
        raise UsageError("media must be JPEG, PNG, GIF or WebP bytes")
    return Image(data, kind, str(name or "image"))


def image_bytes(value: Any) -> bytes:
    """The bytes of a path, of a buffer, or of a Pillow image (as PNG)."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        if isinstance(value, (str, os.PathLike)):
            return Path(value).read_bytes()
        buffer = io.BytesIO()
        value.save(buffer, format="PNG")
    except (OSError, AttributeError) as error:
        raise UsageError(f"media cannot be read: {error}") from error
    return buffer.getvalue()


def is_name(first: Any, second: Any) -> bool:
    """Whether the name comes first: text beside bytes, a path or a picture."""
    if not isinstance(first, str):
        return first is None
    return not isinstance(second, str) or not Path(first).is_file()
