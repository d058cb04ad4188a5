"""The words of the pipe: Job → Request → Reply → Result. Frozen data and what it tells of itself.

Times are seconds. What is read from or written to files is a msgspec struct whose field order is
the order of the keys on disk, which readers of the files rely on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

AnswerSource = Literal["model", "measured", "extracted", "command"]


class Image(Struct, frozen=True):
    """A picture that is ready to send."""

    data: bytes
    """The file's bytes, exactly as they go to the wire (before any base64)."""
    media_type: str
    """`image/jpeg`, `image/png` …, told from the bytes."""
    name: str = "image"
    """The file name told to the provider; never the user's path."""


IMAGE_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def image_type(data: bytes) -> str:
    """The media type that the first bytes tell; empty when they are no image that goes out."""
    for magic, kind in IMAGE_MAGIC:
        if data.startswith(magic):
            return kind
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


class Text(Struct, frozen=True, tag="text"):
    """A piece of text inside a message."""

    text: str


class ImageRef(Struct, frozen=True, tag="image"):
    """An image of a job, not loaded yet: a path under the root, a `data:` or an http address."""

    source: str
    detail: str = ""
    """OpenAI's `detail` of an image part; empty when the job gave none."""
    is_address: bool = False
    """Whether `source` is the address of a message's part; a path that looks like one is not."""


class Picture(Struct, frozen=True, tag="picture"):
    """An image inside a message of a request, loaded and checked."""

    image: Image
    detail: str = ""


class ImageLink(Struct, frozen=True, tag="link"):
    """A remote image that the user allowed to pass on; we never fetch it."""

    url: str
    detail: str = ""


JobPart = Text | ImageRef
RequestPart = Text | Picture | ImageLink


class JobMessage(Struct, frozen=True):
    """One message of a job: a role and text, or parts of text and image references."""

    role: str
    content: str | tuple[JobPart, ...]


class Message(Struct, frozen=True):
    """One message of a request: a role and text, or parts of text and loaded pictures."""

    role: str
    content: str | tuple[RequestPart, ...]

    @property
    def text(self) -> str:
        """All text of the message, parts joined without a separator."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))


class Job(Struct, frozen=True):
    """One line of a job file with everything that it inherits filled in."""

    id: str
    messages: tuple[JobMessage, ...]
    model: str
    """The model asked for; empty when the job leaves it to the provider."""
    params: dict[str, Any]
    """Sampling parameters, passed to the wire verbatim."""
    schema: dict[str, Any] | None
    """JSON Schema that the answer shall follow."""
    meta: dict[str, Any] | UnsetType
    """Copied to the result untouched; decides nothing."""
    root: str
    """The folder that image paths are relative to and may not leave."""
    fields: dict[str, Any]
    """The job as written plus what it inherits: what a failed line repeats."""
    url: str = ""
    """The wire's path of an OpenAI batch line, else empty."""
    body: dict[str, Any] | None = None
    """The body of an OpenAI batch line, sent verbatim."""

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """The job's image references in the order in which they are sent."""
        found: tuple[ImageRef, ...] = ()
        for message in self.messages:
            if message.content.__class__ is not str:  # asked four times a job, mostly of text
                found += tuple(part for part in message.content if isinstance(part, ImageRef))
        return found


class Request(Struct, frozen=True):
    """What a provider is asked, with every picture loaded."""

    model: str
    messages: tuple[Message, ...]
    params: dict[str, Any] = {}
    schema: dict[str, Any] | None = None
    url: str = ""
    body: dict[str, Any] | None = None
    id: str = ""
    """The job's; it goes to no wire."""

    def parts(self) -> Iterator[RequestPart]:
        """The parts of all messages that are more than text, in order."""
        for message in self.messages:
            if not isinstance(message.content, str):
                yield from message.content

    def images(self) -> Iterator[Image]:
        """The pictures of all messages, in order."""
        return (part.image for part in self.parts() if isinstance(part, Picture))


class Base64(Struct, frozen=True):
    """Bytes that go to the wire as base64; encoded in small pieces while they are sent."""

    data: bytes

    def __len__(self) -> int:
        return (len(self.data) + 2) // 3 * 4


class Call(Struct, frozen=True):
    """One HTTP POST, not yet sent."""

    path: str
    """Appended to the base URL as it is."""
    content_type: str
    pieces: tuple[bytes | Base64, ...]
    """The body in the order of the wire."""
    headers: dict[str, str] = {}


class Usage(Struct, frozen=True):
    """Tokens as the provider counted them; None where it said nothing usable."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class Bucket(Struct, frozen=True):
    """What is left of one of the provider's limits, as it told with a reply."""

    left: float
    """Requests or tokens; 0 or more."""
    reset: float
    """Seconds until all of it is there again; more than 0."""
    refill: float = 0.0
    """What comes back each second until then; 0 when everything comes at once at the end."""

    def until(self, need: float) -> float:
        """Seconds until `need` of it are there, at most `reset`: more than all never is."""
        if need <= self.left:
            return 0.0
        return min(self.reset, (need - self.left) / self.refill) if self.refill else self.reset


class Allowance(Struct, frozen=True):
    """What a provider still allows; None for what it said nothing about."""

    requests: Bucket | None = None
    tokens: Bucket | None = None
    """Input and output together."""
    input_tokens: Bucket | None = None
    output_tokens: Bucket | None = None

    def until(self, requests: float, usage: Usage) -> float:
        """Seconds until so many requests may go out, each of which takes `usage` tokens."""
        taken, given = usage.input_tokens or 0, usage.output_tokens or 0
        needs = (
            (self.requests, 1),
            (self.tokens, taken + given),
            (self.input_tokens, taken),
            (self.output_tokens, given),
        )
        return max(bucket.until(requests * each) if bucket else 0.0 for bucket, each in needs)


class Reply(Struct, frozen=True):
    """What a provider answered."""

    text: str
    model: str = ""
    """The model that answered, as the provider names it; empty when it does not say."""
    usage: Usage = Usage()
    finish_reason: str = ""
    source: AnswerSource = "model"
    allowance: Allowance | None = None
    """What the provider still allows, when the reply told."""


class Price(Struct, frozen=True):
    """US dollars for a million tokens."""

    input: float = 0.0
    output: float = 0.0


class Media(Struct, frozen=True):
    """An image file as it was when its job was answered."""

    path: str
    bytes: int
    mtime_ns: int
    sha256: str


class Result(Struct, frozen=True):
    """A line of the results file."""

    id: str
    status: Literal["ok"]
    output: str
    provider: str
    model: str
    source: AnswerSource
    finish_reason: str
    attempts: int
    latency_s: float
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    media: tuple[Media, ...]
    key: str
    started_at: str
    finished_at: str
    run_id: str
    meta: dict[str, Any] | UnsetType = UNSET
    json: Any = UNSET


class Failure(Struct, frozen=True):
    """The `failure` object of a line of the failed file."""

    code: str
    message: str
    http_status: int | None
    attempts: int
    retryable: bool
    key: str
    run_id: str
    finished_at: str


class Failed(Struct, frozen=True):
    """A job that ended without an answer: the job's own fields and why."""

    id: str
    fields: dict[str, Any]
    failure: Failure

    def line(self) -> dict[str, Any]:
        """The failed file's line: a valid job (id first) with a `failure` at its end."""
        fields = {k: v for k, v in self.fields.items() if k not in ("id", "custom_id", "failure")}
        return {"id": self.id, **fields, "failure": msgspec.structs.asdict(self.failure)}
