"""The contract of the provider core: the two bases that every provider builds on.

A provider is configured data plus two pure functions, `encode` and `decode`: no I/O and no state,
so that the same codec can be tested with golden JSON and can write batch files as well. One that
needs no HTTP (offline, fake) overrides `connect` and answers by itself.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from ..errors import BatchError, UsageError
from ..models import Call, Image, Job, Message, Picture, Reply, Request, Text, image_type
from .classify import RULES, Rule, classify
from .connection import Completer, Connection

MediaPair = tuple[Any, Any]
"""(name, value) or (value, name); the value is bytes, a path or a Pillow image."""


class ProviderModelMixin:
    """Model names: a default, a list, and aliases that are always applied."""

    default_model: ClassVar[str] = ""
    default_vision_model: ClassVar[str] = ""
    models: ClassVar[list[str]] = []
    vision_models: ClassVar[list[str]] = []
    model_aliases: ClassVar[dict[str, str]] = {}

    @classmethod
    def get_models(cls) -> list[str]:
        """The models that the provider names; empty when it takes any."""
        return list(cls.models)

    @classmethod
    def get_model(cls, model: str) -> str:
        """The model's name on the wire: empty → the default; an alias → its value."""
        model = model or cls.default_model
        return cls.model_aliases.get(model, model)


class AsyncGeneratorProvider(ProviderModelMixin):
    """Base of every provider: facts as class attributes, the wire as `encode` and `decode`."""

    name: ClassVar[str] = ""
    """What `--provider` takes and results say."""
    summary: ClassVar[str] = ""
    """One line for `overnight providers`."""
    url: ClassVar[str] = ""
    login_url: ClassVar[str | None] = None
    api_endpoint: ClassVar[str] = ""
    """The full address of a single call; a run uses a base URL instead."""
    default_base_url: ClassVar[str] = ""
    """Where a run goes without `--base-url`; empty when the user must name the server."""
    working: ClassVar[bool] = True
    needs_auth: ClassVar[bool] = False
    """Whether a run to the default base URL without a key is refused before it starts."""
    needs_model: ClassVar[bool] = False
    """Whether a job must name a model."""
    in_process: ClassVar[bool] = False
    """Answers on this machine, without a socket, a key or a price."""
    takes_originals: ClassVar[bool] = False
    """Whether images come as the file's own bytes, metadata and all (nothing goes out)."""
    use_nodriver: ClassVar[bool] = False
    supports_stream: ClassVar[bool] = False
    supports_system_message: ClassVar[bool] = True
    supports_message_history: ClassVar[bool] = True
    supports_schema: ClassVar[bool] = False
    max_images: ClassVar[int | None] = None
    """Images that one request can carry; None when the provider sets no number."""
    paths: ClassVar[frozenset[str]] = frozenset()
    """The wire's own paths that an OpenAI batch line may name."""
    rules: ClassVar[tuple[Rule, ...]] = RULES
    """What an error means; a provider puts lines of its own before the shared ones."""

    def address(self, base_url: str) -> str:
        """The base URL as the wire's paths are appended to it."""
        return (base_url or self.default_base_url).rstrip("/")

    def encode(self, request: Request) -> Call:
        """The call that asks `request`; raises `Rejected` for what the wire cannot say."""
        raise UsageError(f"{self.name} does not speak HTTP")

    def decode(self, body: bytes) -> Reply:
        """The reply in the body of a 2xx response; raises a `JobError` when there is none."""
        raise UsageError(f"{self.name} does not speak HTTP")

    def headers(self, key: str) -> dict[str, str]:
        """The headers that carry the key; none when `key` is empty."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> BatchError:
        """The error that a response other than 2xx means, by `rules`."""
        return classify(status, headers, body, self.rules)

    def reason_unsupported(self, job: Job) -> str:
        """Why this provider cannot do the job, told before anything is sent; empty when it can."""
        images = job.images
        if self.max_images is not None and len(images) > self.max_images:
            count = "one image" if self.max_images == 1 else f"{self.max_images or 'no'} images"
            return f"{self.name} takes {count} a job, this one has {len(images)}"
        if job.schema is not None and not self.supports_schema:
            return f"{self.name} cannot follow a schema"
        if job.body is not None and job.url not in self.paths:
            return f"{self.name} has no path {job.url!r}"
        if self.needs_model and job.body is None and not (job.model or self.default_model):
            return f"{self.name} needs a model: add -m MODEL"
        return ""

    def connect(self, connection: Connection) -> Completer:
        """What answers requests over `connection`."""
        # By name, because aiohttp takes 200 ms to import and the offline provider never needs it.
        client = importlib.import_module(".client", __package__)
        return cast(Completer, client.Client(self, connection))

    @classmethod
    async def create_async_generator(
        cls,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        proxy: str | None = None,
        media: Sequence[MediaPair] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """One call, as an async generator of answers.

        `messages` are `{"role", "content"}` dictionaries, `media` pairs of name and image in
        either order. `base_url`, `api_key` and `timeout` (seconds) say how to reach the server;
        every other keyword is a parameter of the request. Raises a `BatchError`.
        """
        base_url = kwargs.pop("base_url", "")
        connection = Connection(
            base_url=base_url,
            endpoint="" if base_url else cls.api_endpoint,
            key=kwargs.pop("api_key", "") or "",
            timeout=kwargs.pop("timeout", 120.0),
            proxy=proxy,
            concurrency=1,
        )
        provider = cls()
        completer = provider.connect(connection)
        try:
            reply = await completer.complete(
                Request(
                    model=provider.get_model(model or ""),
                    messages=seed_messages(messages, media or ()),
                    params=kwargs,
                )
            )
        finally:
            await completer.close()
        yield reply.text


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
