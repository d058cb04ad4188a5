"""From a Job to a Request: every image reference loaded, or the reason why one cannot be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ..errors import JobError, Rejected
from ..image_limits import ImageLimits
from ..models import (
    Image,
    ImageLink,
    ImageRef,
    Job,
    JobMessage,
    Media,
    Message,
    Picture,
    Request,
    RequestPart,
    Text,
)
from ..printable import shortened
from .load import ImageRules, decode_data_uri, read_file, stat_media
from .prepare import prepare

REMOTE = ("http://", "https://")


class LoadRules(Struct, frozen=True):
    """How the images of a run are loaded."""

    images: ImageRules = ImageRules()
    originals: bool = False
    """The provider works on this machine and takes the files as they are."""
    allow_remote: bool = False
    """http addresses in `messages` are passed on to the provider; we fetch none."""
    limits: ImageLimits = ImageLimits()
    """What the provider takes of pictures."""


class Loaded(Struct, frozen=True):
    """A request ready to send, or the error of the first image that could not be loaded."""

    request: Request | None
    digests: tuple[str, ...]
    """What stands for each image in the job's key: a hash, or the failure code after a `!`."""
    media: tuple[Media, ...]
    error: JobError | None = None

    def ready(self) -> Request:
        """The request; raises the error of the image that could not be loaded."""
        if self.request is None:
            assert self.error is not None
            raise self.error
        return self.request

    @property
    def size(self) -> int:
        """Bytes of the images that are held."""
        return sum(len(image.data) for image in self.request.images()) if self.request else 0


def load(job: Job, model: str, rules: LoadRules) -> Loaded:
    """Load every image of `job`; blocks when it has some. `model` is the name on the wire."""
    loader = Loader(job, rules)
    messages = tuple([loader.message(each) for each in job.messages])
    if job.body is not None:
        loader.check_body(job.body)
    if loader.error is not None:
        return Loaded(None, tuple(loader.digests), (), loader.error)
    request = Request(model, messages, job.params, job.schema, job.url, job.body, job.id)
    return Loaded(request, tuple(loader.digests), tuple(loader.media))


class Loader:
    """Collects what is met while the messages of one job are walked."""

    def __init__(self, job: Job, rules: LoadRules) -> None:
        self.digests: list[str] = []
        self.media: list[Media] = []
        self.error: JobError | None = None
        self._job = job
        self._rules = rules
        self._limits = rules.limits.share(len(job.images))

    def message(self, message: JobMessage) -> Message:
        """The message with its images loaded."""
        if isinstance(message.content, str):
            return Message(message.role, message.content)
        return Message(message.role, tuple(self._part(part) for part in message.content))

    def _part(self, part: Text | ImageRef) -> RequestPart:
        """A text as it is; an image loaded, or an empty text after the first error."""
        if isinstance(part, Text):
            return part
        try:
            if is_remote(part):
                return self._link(part)
            data = self._bytes(part)
            if self.error is None:
                return Picture(self._image(data, part.source), part.detail)
        except JobError as error:
            self.error = self.error or error
        return Text("")

    def _bytes(self, part: ImageRef) -> bytes:
        """The bytes behind a reference; its digest is kept, also when it cannot be read."""
        try:
            data, digest, media = read_reference(self._job.root, part, self._rules.images)
        except JobError as error:
            self.digests.append(f"!{error.code}")
            raise
        self.digests.append(digest)
        self.media += media
        return data

    def _image(self, data: bytes, source: str) -> Image:
        """The image as the provider takes it; errors name the file."""
        rules = self._rules.images
        if self._rules.originals:
            rules = msgspec.structs.replace(rules, original_bytes=True)
        try:
            return prepare(data, rules, self._limits)
        except Rejected as error:
            raise Rejected(f"{shortened(source)}: {error}", error.code) from error

    def _link(self, part: ImageRef) -> ImageLink:
        """A remote image, passed on when that is allowed."""
        self.digests.append(part.source)
        if not self._rules.allow_remote:
            raise not_fetched(part.source)
        return ImageLink(part.source, part.detail)

    def check_body(self, body: dict[str, Any]) -> None:
        """Hold the images of a verbatim body to the same rules; they go out as they are.

        So do its other addresses: what a server would fetch for it, we let pass when allowed.
        """
        rules = msgspec.structs.replace(self._rules.images, original_bytes=True)
        for url in body_images(body):
            if url.startswith("data:"):
                try:
                    prepare(decode_data_uri(url, rules), rules, self._rules.limits)
                except JobError as error:
                    self.error = self.error or error
        for url in addresses(body.get("messages")):
            if not (url.startswith(REMOTE) and self._rules.allow_remote):
                self.error = self.error or not_fetched(url)


def read_reference(
    root: str, part: ImageRef, rules: ImageRules
) -> tuple[bytes, str, tuple[Media, ...]]:
    """The bytes behind a reference, their SHA-256, and the file that they came from, if one."""
    if part.is_address:
        data = decode_data_uri(part.source, rules)
        return data, hashlib.sha256(data).hexdigest(), ()
    data, media = read_file(root, part.source, rules)
    return data, media.sha256, (media,)


def is_remote(part: ImageRef) -> bool:
    """Whether an image is an address that only a provider could fetch."""
    return part.is_address and part.source.startswith(REMOTE)


def not_fetched(url: str) -> Rejected:
    """The refusal of an image address."""
    words = f"the image {url[:80]!r} is an address: --allow-remote-images passes it on"
    return Rejected(words, "not_allowed")


def body_images(body: dict[str, Any]) -> Iterator[str]:
    """The image addresses in the messages of a verbatim body."""
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        parts = message.get("content") if isinstance(message, dict) else None
        for part in parts if isinstance(parts, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            url = image.get("url") if isinstance(image, dict) else image
            if isinstance(url, str):
                yield url


def addresses(value: Any) -> Iterator[str]:
    """Every address but `data:` in messages: what is called `url`, `video_url`, `file_uri`."""
    if isinstance(value, list):
        for each in value:
            yield from addresses(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(each, str):
                yield from addresses(each)
            elif name.lower().endswith(("url", "uri")) and not each.startswith("data:"):
                yield each


def current_digests(job: Job, recorded: tuple[Media, ...], rules: ImageRules) -> tuple[str, ...]:
    """What stands for each image now, reading only files whose size or mtime changed; blocks."""
    known = {media.path: media for media in recorded}
    digests = []
    for part in job.images:
        media = known.get(part.source)
        try:
            if is_remote(part):
                digests.append(part.source)
            elif media and stat_media(job.root, part.source) == (media.bytes, media.mtime_ns):
                digests.append(media.sha256)
            else:
                digests.append(read_reference(job.root, part, rules)[1])
        except JobError as error:
            digests.append(f"!{error.code}")
    return tuple(digests)
