"""Dynaspark, the seed: a form with a prompt and at most one image, answered with JSON text.

Wire facts: POST `/generate_response` with `user_input`, `ai_model` and an optional `file`; the
reply is JSON text with `response`, sometimes served as `text/html`. The public host was a hobby
service that asked bulk callers to stay away, so a run must name its server with `--base-url`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import Struct

from ..errors import Retryable
from ..image_limits import JPEG, PNG, WEBP, ImageLimits
from ..models import Call, Message, Reply, Request
from .base import AsyncGeneratorProvider, ProviderModelMixin
from .wire import encode_json, error_in_reply, form_call, read_json


class DynasparkReply(Struct):
    """What of the reply is read; anything may be missing."""

    response: Any = None
    error: Any = None


class Dynaspark(AsyncGeneratorProvider, ProviderModelMixin):
    """One prompt, one picture, one answer, by form upload."""

    name = "dynaspark"
    summary = "form upload of a prompt and one image; name your server with --base-url"
    url = "https://dynaspark.onrender.com"
    login_url = None
    api_endpoint = url + "/generate_response"
    working = True
    needs_auth = False
    use_nodriver = True
    supports_stream = True
    supports_system_message = False
    supports_message_history = False
    max_images = 1
    image_limits: ClassVar[ImageLimits] = ImageLimits(types=(JPEG, PNG, WEBP), animations=False)
    """What the Gemini models behind it take (they read HEIC too, the form in between may not)."""
    default_model = "gemini-1.5-flash"
    default_vision_model = default_model
    models: ClassVar[list[str]] = [
        "gemini-1.5-flash",
        "gemini-1.5-flash-8b",
        "gemini-2.0-flash",
        "gemini-2.0-flash-lite",
    ]
    vision_models = models
    model_aliases: ClassVar[dict[str, str]] = {
        "gemini-1.5-flash": "gemini-1.5-flash-8b",
        "gemini-2.0-flash": "gemini-2.0-flash-lite",
    }

    def encode(self, request: Request) -> Call:
        """The form; parameters become fields of their own.

        Raises `Rejected` for two images and for the address of one.
        """
        images = self.images_of(request)
        fields = {name: field_text(value) for name, value in request.params.items()}
        fields |= {"user_input": flatten(request.messages), "ai_model": request.model}
        return form_call("/generate_response", fields, ("file", images[0]) if images else None)

    def decode(self, body: bytes) -> Reply:
        """The `response` text; raises a `JobError` when there is none."""
        reply = read_json(body, DynasparkReply)
        if reply.error:
            raise error_in_reply(reply.error, self.rules)
        if not isinstance(reply.response, str):
            raise Retryable("the reply has no text in `response`", "bad_response", 200)
        return Reply(reply.response)


def flatten(messages: Sequence[Message]) -> str:
    """The messages as one text: a single one as it is, several as `Role: text` lines.

    Several end with `Assistant:`, so that the model knows whose turn it is.
    """
    if len(messages) == 1:
        return messages[0].text
    lines = [f"{m.role.capitalize()}: {m.text}" for m in messages if m.text]
    return "\n".join([*lines, "Assistant:"])


def field_text(value: Any) -> str:
    """A parameter as the text of a form field: strings as they are, the rest as JSON."""
    return value if isinstance(value, str) else encode_json(value).decode()
