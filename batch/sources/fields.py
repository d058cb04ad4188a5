"""The fields of a job as a line writes them, and what is said of those that are wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..printable import shortened
from .decode import BadLine

RIVALS = (("prompt", "messages"), ("image", "images"), ("id", "custom_id"))
"""Two ways to say one thing."""

UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")
PLACE = re.compile(r" - at `\$\.?([^`]*)`$")


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


def refuse_rivals(written: Mapping[str, Any]) -> None:
    """Raise `BadLine` when a line says one thing in two ways."""
    for first, second in RIVALS:
        if first in written and second in written:
            raise BadLine(f"`{first}` and `{second}` together: give one of them")


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
    else:
        words = shortened(words)  # it may hold what the line gave for a `type`
    if where.endswith(".type"):
        words += " (a part is text or image_url)"
    raise BadLine(f"`{where}`: {words}" if where else words)


def unknown(name: str, known: Collection[str], words: str = "unknown field") -> str:
    """What to say of an unknown name: the nearest known one when there is one."""
    name = shortened(name)
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{words} `{name}`" + (f", did you mean `{near[0]}`?" if near else "")
