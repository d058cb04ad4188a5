"""The contract of the provider core: the two bases that every provider builds on.

A provider is configured data plus two pure functions, `encode` and `decode`: no I/O and no state,
so that the same codec can be tested with golden JSON and can write batch files as well. One that
needs no HTTP (offline, fake) overrides `connect` and answers by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from ..errors import Rejected
from ..image_limits import ImageLimits
from ..models import Image, ImageLink, Job, Request
from ..printable import shortened
from .codec import Codec
from .connection import Completer, Connection
from .image_tokens import Formulas
from .seed import MediaPair, seed_messages


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


class AsyncGeneratorProvider(Codec, ProviderModelMixin):
    """Base of every provider: facts as class attributes, the wire as `encode` and `decode`."""

    summary: ClassVar[str] = ""
    """One line for `overnight providers`."""
    url: ClassVar[str] = ""
    login_url: ClassVar[str | None] = None
    api_endpoint: ClassVar[str] = ""
    """The full address of a single call; a run uses a base URL instead."""
    working: ClassVar[bool] = True
    needs_auth: ClassVar[bool] = False
    """Whether a run to the default base URL without a key is refused before it starts."""
    needs_model: ClassVar[bool] = False
    """Whether a job must name a model."""
    in_process: ClassVar[bool] = False
    """Answers on this machine, without a socket, a key or a price."""
    can_break: ClassVar[bool] = False
    """Whether one in process can itself be at fault when every job is refused the same way."""
    takes_originals: ClassVar[bool] = False
    """Whether images come as the file's own bytes, metadata and all (nothing goes out)."""
    use_nodriver: ClassVar[bool] = False
    supports_stream: ClassVar[bool] = False
    supports_system_message: ClassVar[bool] = True
    supports_message_history: ClassVar[bool] = True
    supports_schema: ClassVar[bool] = False
    max_images: ClassVar[int | None] = 0
    """Images that one request can carry; None when the provider sets no number.

    None of them unless a provider says so: one that forgets it must not drop them in silence.
    """
    image_limits: ClassVar[ImageLimits] = ImageLimits()
    """What its own server takes of each picture; others are converted before they are sent."""
    paths: ClassVar[frozenset[str]] = frozenset()
    """The wire's own paths that an OpenAI batch line may name."""

    def reason_unsupported(self, job: Job) -> str:
        """Why this provider cannot do the job, told before anything is sent; empty when it can."""
        if too_many := self.reason_too_many(len(job.images)):
            return too_many
        if job.schema is not None and not self.supports_schema:
            return f"{self.name} cannot follow a schema"
        if job.body is not None and job.url not in self.paths:
            return f"{self.name} has no path {shortened(job.url)!r}"
        if self.needs_model and job.body is None and not (job.model or self.default_model):
            return f"{self.name} needs a model: add -m MODEL"
        return ""

    def limits_at(self, base_urls: Sequence[str]) -> ImageLimits:
        """What the servers at these addresses take of pictures; no address is its own server."""
        return self.image_limits

    def image_formulas(self, model: str, base_urls: Sequence[str]) -> Formulas:
        """How the servers at these addresses count an image's tokens; none when unknown."""
        return ()

    @classmethod
    def reason_too_many(cls, images: int) -> str:
        """Why a job with so many images is none for this provider; empty when it is one."""
        if cls.max_images is None or images <= cls.max_images:
            return ""
        count = "one image" if cls.max_images == 1 else f"{cls.max_images or 'no'} images"
        return f"{cls.name} takes {count} a job, this one has {images}"

    @classmethod
    def images_of(cls, request: Request) -> list[Image]:
        """The images of a request, for a provider that takes them as files.

        Raises `Rejected` for too many and for the address of one: none is dropped in silence.
        """
        if any(isinstance(part, ImageLink) for part in request.parts()):
            raise Rejected(f"{cls.name} fetches no images: give a file, no address", "unsupported")
        images = list(request.images())
        if too_many := cls.reason_too_many(len(images)):
            raise Rejected(too_many, "unsupported")
        return images

    def check_usable(self) -> None:
        """Raise `UsageError` when it cannot work on this machine; asked before a run begins."""

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
