"""The embedded default: facts measured from an image, pieces taken word for word from a text.

It needs no model, no key and no network, and it never makes an answer up: what it can neither
measure nor extract ends as `unsupported`.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, cast

from ...image_limits import AVIF, BMP, HEIC, TIFF, WEB_TYPES, ImageLimits
from ...models import Reply, Request
from ..base import AsyncGeneratorProvider, ProviderModelMixin
from ..connection import Completer, Connection
from ..triage import Signs, Triage
from .extract import extract

MEASURING = "facts-1"
"""Names the wording and the thresholds; changes when either does, so that results can tell."""

THREADS = 2

ASKS_FOR_TAGS = re.compile(
    r"(?i)\b(?:list|give|name|write|return|generate|suggest)\b[^.\n]{0,40}\b(?:tags|keywords)\b"
)
"""A prompt about an image whose answer is a list: pieces of a sentence would pass for tags."""


class Offline(AsyncGeneratorProvider, ProviderModelMixin):
    """Measures images and extracts from texts, on this machine."""

    name = "offline"
    summary = "measures images and extracts from texts on this machine; no model, key or network"
    in_process = True
    default_model = MEASURING
    models: ClassVar[list[str]] = [MEASURING]
    max_images = 1
    takes_originals: ClassVar[bool] = True
    """The file's bytes as they are: the date, the camera and the caption stand in its metadata."""
    image_limits: ClassVar[ImageLimits] = ImageLimits(types=(*WEB_TYPES, BMP, TIFF, AVIF, HEIC))

    def connect(self, connection: Connection) -> Completer:
        """The client that does the work; the connection says nothing that it needs."""
        return OfflineClient()


class OfflineClient:
    """Answers requests in threads of its own, so that the loop is never kept waiting.

    `triage` knows the pictures that somebody should look at.
    """

    def __init__(self) -> None:
        self.triage = Triage()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="offline")

    async def complete(self, request: Request) -> Reply:
        """The facts of the request's image or the pieces of its text; raises `Rejected`."""
        loop = asyncio.get_running_loop()
        reply, signs = await loop.run_in_executor(self._threads, answer, request)
        if signs is not None:
            self.triage.add(request.id, signs)
        return reply

    async def drop(self) -> None:
        """There is no connection."""

    async def close(self) -> None:
        """Let the threads end; work that has not begun is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def answer(request: Request) -> tuple[Reply, Signs | None]:
    """The reply to `request` and the signs of its picture, worked out in the calling thread.

    Raises `Rejected`.
    """
    images = Offline.images_of(request)
    if images:
        asked = ASKS_FOR_TAGS.search("\n".join(message.text for message in request.messages))
        text, signs = measurer()(images[0].data, as_tags=asked is not None)
        return Reply(text, model=MEASURING, finish_reason="stop", source="measured"), signs
    text = extract([message.text for message in request.messages])
    return Reply(text, model=MEASURING, finish_reason="stop", source="extracted"), None


def measurer() -> Callable[..., tuple[str, Signs]]:
    """The function that measures an image."""
    # By name, because Pillow takes long to import and a run over texts never needs it.
    picture = importlib.import_module(".picture", __package__)
    return cast(Callable[..., tuple[str, Signs]], picture.measure)
