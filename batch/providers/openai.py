"""OpenAI chat completions, the wire that every compatible server speaks.

Wire facts: POST `{base}/chat/completions` with a bearer key; images are parts with a base64
`data:` address, before the text. The body is what the user wrote plus model and messages. Errors
may come with status 200 (OpenRouter), inside `choices[0]` too; `content` may be null (refusal).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from msgspec import Struct

from ..errors import Rejected, Retryable
from ..image_limits import JPEG, PNG, ImageLimits
from ..models import Call, Image, ImageLink, Job, Message, Picture, Reply, Request, Usage
from .base import AsyncGeneratorProvider, ProviderModelMixin
from .classify import plain
from .image_tokens import Formulas, find_formulas
from .wire import data_url, error_in_reply, json_call, read_json, tokens

VERSIONED = re.compile(r"/v\d[^/]*(?=/|$)")
SCHEMA_NAME = re.compile(r"[^A-Za-z0-9_-]+")

OWN_LIMITS = ImageLimits(animations=False, max_total_bytes=50_000_000)
"""PNG, JPEG, WebP and still GIF; 400 above about 50 MB in all (measured September 2026)."""
OTHERS_LIMITS = ImageLimits(types=(JPEG, PNG), animations=False)
"""What every server takes that copies the wire.

Ollama refuses GIF; llama.cpp decodes no WebP, and some builds answer as if there were no picture.
"""

OWN_FIELDS = frozenset({"model", "messages"})
"""What the body takes from the job itself, so that `params` would be dropped in silence."""


class ChatMessage(Struct):
    """The model's message; some servers send parts, some null."""

    content: Any = None
    refusal: Any = None


class Choice(Struct):
    """One answer, or an error in its place."""

    message: ChatMessage | None = None
    finish_reason: str | None = None
    error: Any = None


class Choices(Struct, array_like=True):
    """The first choice; others are passed over, however many they are."""

    first: Choice | None = None


class ChatReply(Struct):
    """What of a chat completion is read; anything may be missing."""

    choices: Choices | None = None
    model: Any = None
    usage: Any = None
    error: Any = None


class OpenAI(AsyncGeneratorProvider, ProviderModelMixin):
    """Chat completions of OpenAI and of every server that copies them."""

    name = "openai"
    summary = "chat completions of OpenAI and every compatible server (vLLM, Ollama, LM Studio …)"
    url = "https://openai.com"
    default_base_url = "https://api.openai.com/v1"
    api_endpoint = default_base_url + "/chat/completions"
    needs_auth = True
    needs_model = True
    supports_schema = True
    max_images = 1500
    image_limits: ClassVar[ImageLimits] = OWN_LIMITS
    paths: ClassVar[frozenset[str]] = frozenset({"/v1/chat/completions"})

    def address(self, base_url: str) -> str:
        """The base URL with its version: `/v1` is added unless one stands there already."""
        base_url = super().address(base_url)
        return base_url if VERSIONED.search(urlsplit(base_url).path) else base_url + "/v1"

    def limits_at(self, base_urls: Sequence[str]) -> ImageLimits:
        """OpenAI's own limits for its own server, the narrower ones of its copies for others."""
        return OWN_LIMITS if self.is_own(base_urls) else OTHERS_LIMITS

    def image_formulas(self, model: str, base_urls: Sequence[str]) -> Formulas:
        """OpenAI's own; another server may give its model any name."""
        return find_formulas(model) if self.is_own(base_urls) else ()

    def is_own(self, base_urls: Sequence[str]) -> bool:
        """Whether these addresses, or none, are OpenAI's own server."""
        own = urlsplit(self.default_base_url).hostname
        return {urlsplit(url).hostname for url in base_urls} <= {own}

    def reason_unsupported(self, job: Job) -> str:
        """As every provider; no streamed replies, and nothing in `params` that is a field."""
        if (job.body or job.params).get("stream"):
            return "`stream` must not be set: a batch waits for the whole answer"
        if taken := sorted(OWN_FIELDS & job.params.keys()):
            return f"`{taken[0]}` stands in `params`: it is a field of the line"
        return super().reason_unsupported(job)

    def encode(self, request: Request) -> Call:
        """The JSON body; an OpenAI batch line's body goes out verbatim."""
        if request.body is not None:
            return json_call("/chat/completions", request.body)
        images: list[Image] = []
        body: dict[str, Any] = dict(request.params)
        if request.schema is not None and "response_format" not in body:
            body["response_format"] = response_format(request.schema)
        body["model"] = request.model
        body["messages"] = [
            {"role": message.role, "content": wire_content(message, images)}
            for message in request.messages
        ]
        return json_call("/chat/completions", body, images)

    def decode(self, body: bytes) -> Reply:
        """The first choice; raises a `JobError` for an error, a refusal or no answer at all."""
        reply = read_json(body, ChatReply)
        choice = reply.choices.first if reply.choices else None
        error = reply.error or (choice and choice.error)
        if error:
            raise error_in_reply(error, self.rules)
        if choice is None or choice.message is None:
            raise Retryable("the reply has no choices", "bad_response", 200)
        text = content_text(choice.message.content)
        finish_reason = choice.finish_reason or ""
        if not text.strip():
            refusal = choice.message.refusal
            if refusal or finish_reason == "content_filter":
                words = (
                    plain(refusal) if isinstance(refusal, str) else "stopped by the content filter"
                )
                raise Rejected(words, "refused", 200)
            if finish_reason == "length":
                words = "all tokens were spent before the answer began: raise the token limit"
                raise Retryable(words, "empty_output", 200)
        model = reply.model if isinstance(reply.model, str) else ""
        return Reply(text, model, usage(reply.usage), finish_reason)


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """The structured-output request for a JSON Schema; the name is the schema's title."""
    name = SCHEMA_NAME.sub("_", str(schema.get("title") or "answer"))[:64]
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": schema, "strict": True},
    }


def wire_content(message: Message, images: list[Image]) -> str | list[dict[str, Any]]:
    """The content on the wire; loaded pictures are added to `images` in order."""
    if isinstance(message.content, str):
        return message.content
    parts: list[dict[str, Any]] = []
    for part in message.content:
        if isinstance(part, Picture):
            images.append(part.image)
            parts.append(image_part(data_url(part.image), part.detail))
        elif isinstance(part, ImageLink):
            parts.append(image_part(part.url, part.detail))
        else:
            parts.append({"type": "text", "text": part.text})
    return parts


def image_part(url: str, detail: str) -> dict[str, Any]:
    """An image part; `detail` only when the job gave one."""
    return {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}


def content_text(content: Any) -> str:
    """The text of a reply's content: a string, parts of text, or nothing."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def usage(value: Any) -> Usage:
    """Token counts, validated."""
    if not isinstance(value, dict):
        return Usage()
    return Usage(tokens(value.get("prompt_tokens")), tokens(value.get("completion_tokens")))
