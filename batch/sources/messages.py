"""The messages of a job, from its fields: `vars` filled in, system text and images in place."""

from __future__ import annotations

from msgspec import UNSET

from ..models import ImageRef, JobMessage, JobPart, Text
from .decode import BadLine
from .fields import ImageFields, JobFields, MessageFields, TextFields
from .template import TooLong, UnknownName, fill

ADDRESSES = ("data:", "http://", "https://")
"""What the image parts of messages may hold beside paths; `image` and `images` hold paths only."""


def messages_of(fields: JobFields) -> tuple[JobMessage, ...]:
    """The messages of a job, `vars` filled in and `system` first; raises `BadLine`."""
    system = "" if fields.system is UNSET else filled(fields.system, fields)
    if fields.messages is UNSET:
        prompt = "" if fields.prompt is UNSET else filled(fields.prompt, fields)
        if not prompt.strip():
            raise BadLine("no prompt: give `prompt` or `messages` here, in `defaults` or with -p")
        messages: tuple[JobMessage, ...] = (JobMessage("user", prompt),)
    else:
        messages = tuple(JobMessage(each.role, content_of(each)) for each in fields.messages)
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
    except (TooLong, UnknownName) as error:
        raise BadLine(str(error)) from error


def content_of(message: MessageFields) -> str | tuple[JobPart, ...]:
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
