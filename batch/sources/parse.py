"""From a line to a Job: every rule of docs/jobs.md is held here.

The order of precedence is line > flag > `defaults` line > environment and configuration file.
"""

from __future__ import annotations

import difflib
import hashlib
import posixpath
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..models import ImageRef, Job, JobMessage, JobPart, Text
from .decode import BadLine, decoded
from .template import UnknownName, fill

LONGEST_ID = 512
"""Bytes in UTF-8."""

INHERITED = frozenset(
    {"prompt", "messages", "image", "images", "system", "model", "params", "schema", "vars", "meta"}
)
"""What a `defaults` line may give."""

RIVALS = {"prompt": "messages", "messages": "prompt", "image": "images", "images": "image"}
"""Two ways to say one thing: giving one displaces the inherited other."""

TOGETHER = (("prompt", "messages"), ("image", "images"), ("id", "custom_id"))

MERGED = frozenset({"params", "vars"})
"""Objects that are merged key by key; every other value is replaced whole."""

CONTESTED = MERGED.union(RIVALS)
"""Inherited fields that a line cannot simply be laid upon."""

BATCH_FIELDS = frozenset({"id", "custom_id", "method", "url", "body", "meta", "failure"})
ADDRESSES = ("data:", "http://", "https://")
"""What the image parts of messages may hold beside paths; `image` and `images` hold paths only."""

DEFAULT_URL = "/v1/chat/completions"
UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
PLACE = re.compile(r" - at `\$\.?([^`]*)`$")


class PassedOver(Exception):
    """A line that stands for no job: a bad line that an earlier run recorded as failed."""


class ImageAddress(Struct, forbid_unknown_fields=True):
    """An image of a message as OpenAI writes it."""

    url: str
    detail: str | None = None


class TextFields(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """A text part of a message as written."""

    text: str


class ImageFields(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """An image part of a message as written."""

    image_url: str | ImageAddress


class MessageFields(Struct, forbid_unknown_fields=True):
    """A message as written: `content` is text or OpenAI-style parts."""

    role: str
    content: str | list[TextFields | ImageFields]


IN_MESSAGES = ("role", "content", "type", "text", "image_url", "url", "detail")


class JobFields(Struct, forbid_unknown_fields=True):
    """A line of a job file as written (docs/jobs.md)."""

    id: str | UnsetType = UNSET
    custom_id: str | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    messages: list[MessageFields] | UnsetType = UNSET
    image: str | UnsetType = UNSET
    images: list[str] | UnsetType = UNSET
    system: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    params: dict[str, Any] = {}
    schema: dict[str, Any] | None = None
    vars: dict[str, Any] | UnsetType = UNSET
    meta: dict[str, Any] | UnsetType = UNSET
    failure: dict[str, Any] | UnsetType = UNSET
    method: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    body: dict[str, Any] | UnsetType = UNSET
    defaults: dict[str, Any] | UnsetType = UNSET


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid upon `base`: rivals displaced, params and vars merged key by key."""
    if CONTESTED.isdisjoint(base):
        return {**base, **over}
    out = {name: value for name, value in base.items() if RIVALS.get(name) not in over}
    for name, value in over.items():
        inner = out.get(name)
        if name in MERGED and isinstance(inner, dict) and isinstance(value, dict):
            out[name] = {**inner, **value}
        else:
            out[name] = value
    return out


class LineParser:
    """Turns lines into jobs; remembers what a `defaults` line gave.

    `flags` and `ambient` are job fields given on the command line and by environment or
    configuration file; `root` is the folder that image paths are relative to.
    """

    def __init__(self, root: str, flags: Mapping[str, Any], ambient: Mapping[str, Any]) -> None:
        self.root = root
        self._flags = dict(flags)
        self._ambient = dict(ambient)
        self._inherited = merged(ambient, flags)

    def take_defaults(self, data: bytes) -> bool:
        """Keep the values of a `defaults` line; whether it was one. Raises `BadLine`."""
        if b'"defaults"' not in data:
            return False
        fields = decoded(data)
        if "defaults" not in fields:
            return False
        values = fields["defaults"]
        if set(fields) != {"defaults"} or not isinstance(values, dict):
            raise BadLine("`defaults` is an object and stands alone on its line")
        for name in values:
            if name not in INHERITED:
                raise BadLine(unknown(name, INHERITED, "`defaults` cannot give"))
        refuse_rivals(values)
        converted(values)
        self._inherited = merged(merged(self._ambient, values), self._flags)
        return True

    def parse(self, data: bytes) -> Job:
        """The job of a line; raises `BadLine`, or `PassedOver` for a recorded bad line."""
        written = decoded(data)
        if "body" in written:
            return self._batch_job(written)
        if "failure" in written and records_bad_line(written):
            raise PassedOver
        return self.job(written)

    def job(self, written: dict[str, Any]) -> Job:
        """The job of the fields of a line, with all that it inherits."""
        refuse_rivals(written)
        whole = merged(self._inherited, written) if self._inherited else written
        fields = converted(whole)
        if fields.defaults is not UNSET:
            raise BadLine("`defaults` stands alone on the first line of the file")
        if fields.method is not UNSET or fields.url is not UNSET:
            raise BadLine("`method` and `url` belong to a line with a `body`")
        messages = with_images(messages_of(fields), image_references(fields))
        return Job(
            id=own_id(fields) or derived_id(written, fields, self.root),
            messages=messages,
            model="" if fields.model is UNSET else fields.model,
            params=fields.params,
            schema=fields.schema,
            meta=fields.meta,
            root=self.root,
            fields=whole,
        )

    def _batch_job(self, written: dict[str, Any]) -> Job:
        """The job of an OpenAI batch line, whose body goes out verbatim; raises `BadLine`."""
        for name in written:
            if name not in BATCH_FIELDS:
                raise BadLine(f"`{name}` cannot stand beside `body`, which goes out as it is")
        refuse_rivals(written)
        if "meta" in self._inherited:
            written = {"meta": self._inherited["meta"], **written}
        fields = converted(written)
        assert fields.body is not UNSET
        if fields.method not in (UNSET, "POST"):
            raise BadLine("`method` must be POST")
        return Job(
            id=own_id(fields) or hashed_id(written),
            messages=(),
            model=str(fields.body.get("model") or ""),
            params={},
            schema=None,
            meta=fields.meta,
            root=self.root,
            fields=written,
            url=DEFAULT_URL if fields.url is UNSET else fields.url,
            body=fields.body,
        )


def refuse_rivals(written: Mapping[str, Any]) -> None:
    """Raise `BadLine` when a line says one thing in two ways."""
    for first, second in TOGETHER:
        if first in written and second in written:
            raise BadLine(f"`{first}` and `{second}` together: give one of them")


def records_bad_line(written: Mapping[str, Any]) -> bool:
    """Whether a line of a failed file only tells of a line that was no job."""
    failure = written.get("failure")
    is_bad = isinstance(failure, dict) and failure.get("code") == "bad_job"
    return is_bad and set(written) == {"id", "failure"}


def converted(fields: dict[str, Any]) -> JobFields:
    """The fields with their types checked; raises `BadLine` with the nearest known name."""
    try:
        return msgspec.convert(fields, JobFields)
    except msgspec.ValidationError as error:
        words = str(error)
    place = PLACE.search(words)
    where = place[1] if place else ""
    words = PLACE.sub("", words).replace("Expected", "expected").replace("Invalid", "invalid")
    if found := UNKNOWN_FIELD.search(words):
        words = unknown(found[1], IN_MESSAGES if where else JobFields.__struct_fields__)
    if where.endswith(".type"):
        words += " (a part is text or image_url)"
    raise BadLine(f"`{where}`: {words}" if where else words)


def unknown(name: str, known: Collection[str], words: str = "unknown field") -> str:
    """What to say of an unknown name: the nearest known one when there is one."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{words} `{name}`" + (f", did you mean `{near[0]}`?" if near else "")


def own_id(fields: JobFields) -> str:
    """The id that the line gives; empty when it gives none. Raises `BadLine` for a bad one."""
    given = fields.id if fields.id is not UNSET else fields.custom_id
    if given is UNSET:
        return ""
    if not given or not given.isprintable():
        raise BadLine("an id is printable text, not empty")
    if len(given) * 4 > LONGEST_ID and len(given.encode()) > LONGEST_ID:
        raise BadLine(f"an id has at most {LONGEST_ID} bytes")
    return given


def derived_id(written: Mapping[str, Any], fields: JobFields, root: str) -> str:
    """The id of a line that gives none: its `image` relative to the root, else a hash."""
    if "image" in written and fields.image is not UNSET and not ADDRESS.match(fields.image):
        path = fields.image.removeprefix(root.rstrip("/") + "/")
        if ".." not in path.split("/"):
            path = posixpath.normpath(path)
        if path != "." and path.isprintable() and len(path.encode()) <= LONGEST_ID:
            return path
    return hashed_id(written)


def hashed_id(written: Mapping[str, Any]) -> str:
    """`r-` and 12 hexadecimal digits of the line's content.

    `meta` is no part of it, so that editing it renews nothing.
    """
    content = {k: v for k, v in written.items() if k not in ("meta", "failure", "id", "custom_id")}
    return "r-" + hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:12]


def messages_of(fields: JobFields) -> tuple[JobMessage, ...]:
    """The messages of a job, `vars` filled in and `system` first; raises `BadLine`."""
    system = "" if fields.system is UNSET else filled(fields.system, fields)
    if fields.messages is UNSET:
        prompt = "" if fields.prompt is UNSET else filled(fields.prompt, fields)
        if not prompt.strip():
            raise BadLine("no prompt: give `prompt` or `messages` here, in `defaults` or with -p")
        messages: tuple[JobMessage, ...] = (JobMessage("user", prompt),)
    else:
        messages = tuple(JobMessage(each.role, content(each)) for each in fields.messages)
        if not messages:
            raise BadLine("`messages` is empty")
    if not system:
        return messages
    if any(message.role == "system" for message in messages):
        raise BadLine("`system` is given, and `messages` hold a system message of their own")
    return (JobMessage("system", system), *messages)


def filled(text: str, fields: JobFields) -> str:
    """The text with `vars` filled in; a job without `vars` keeps its braces."""
    if fields.vars is UNSET:
        return text
    try:
        return fill(text, fields.vars)
    except UnknownName as error:
        raise BadLine(str(error)) from error


def content(message: MessageFields) -> str | tuple[JobPart, ...]:
    """A message's content as text or parts."""
    if isinstance(message.content, str):
        return message.content
    return tuple(part_of(part) for part in message.content)


def part_of(part: TextFields | ImageFields) -> JobPart:
    """A part of a message."""
    if isinstance(part, TextFields):
        return Text(part.text)
    if isinstance(part.image_url, str):
        return image_part(part.image_url, "")
    return image_part(part.image_url.url, part.image_url.detail or "")


def image_part(url: str, detail: str) -> ImageRef:
    """The reference of a message's image: an address, or a path as in `image`."""
    return ImageRef(url, detail, is_address=url.startswith(ADDRESSES))


def image_references(fields: JobFields) -> tuple[ImageRef, ...]:
    """The references of `image` or `images`."""
    if fields.image is not UNSET:
        return (ImageRef(fields.image),)
    return () if fields.images is UNSET else tuple(ImageRef(path) for path in fields.images)


def with_images(
    messages: tuple[JobMessage, ...], images: tuple[ImageRef, ...]
) -> tuple[JobMessage, ...]:
    """The messages with `images` before the text of the user's last one."""
    if not images:
        return messages
    users = [at for at, message in enumerate(messages) if message.role == "user"]
    if not users:
        raise BadLine("an image needs a message of the user")
    last = messages[users[-1]]
    text = (Text(last.content),) if isinstance(last.content, str) else last.content
    joined = JobMessage(last.role, (*images, *text))
    return (*messages[: users[-1]], joined, *messages[users[-1] + 1 :])
