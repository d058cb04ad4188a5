"""The lines of the results and failed files as items of a page, in the order of the source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ...errors import JobError
from ...media.confine import check_words
from ...models import Failure, Job, Result, Text
from ...results.index import file_lines
from ...results.records import decoded
from ...settings import Settings
from ...sources.ids import Ids
from ...survey import open_sources
from .alike import words_of

MOST_ITEMS = 50_000
"""Lines that a page holds: some 30 MB of it. The numbers at its head count all."""

LONGEST_TEXT = 20_000
"""Characters of an answer on the page; the results file has all of them."""

LONGEST_PROMPT = 2_000


class Item(Struct, omit_defaults=True):
    """One job on the page; the script of the page reads these names."""

    id: str
    text: str
    """The answer; of a failed job what went wrong."""
    code: str = ""
    """The failure code; empty when it is answered."""
    prompt: str = ""
    src: str = ""
    """Its image, relative to the page."""
    thumb: str = ""
    """Its image made small, as a `data:` address."""
    latency: float | None = None
    words: int = 0
    characters: int = 0
    tokens: int | None = None
    """Of the answer, as the provider counted them."""
    cut: bool = False
    """Whether the model stopped because it had no tokens left."""
    group: int = 0
    """The group of answers that say nearly the same; 0 for none."""


class Asked(NamedTuple):
    """What a page wants to know of a job of the source."""

    place: int
    """Where the job stands in the source, from 0."""
    prompt: str
    root: str
    image: str
    """The first image that is a file under the root; empty when there is none."""


class FailedLine(Struct, frozen=True):
    """What of a line of the failed file is shown."""

    id: str
    failure: Failure


RESULT = msgspec.json.Decoder(Result)
FAILED = msgspec.json.Decoder(FailedLine)


async def asked_jobs(settings: Settings) -> dict[str, Asked]:
    """The jobs of the sources by id, the first `MOST_ITEMS` or a few more.

    Raises `UsageError` for a source that cannot be read.
    """
    found: dict[str, Asked] = {}
    async with AsyncExitStack() as stack:
        ids = Ids()
        for source in await open_sources(settings, stack):
            async for entries in source.entries(ids):
                for entry in entries:
                    if entry.job is not None:
                        found[entry.job.id] = asked(entry.job, len(found))
                if len(found) >= MOST_ITEMS:
                    return found
    return found


def asked(job: Job, place: int) -> Asked:
    """What was asked: the text of the last user message, and the first image that is a file."""
    texts = [message_text(message.content) for message in job.messages if message.role == "user"]
    texts = texts or body_texts(job.body)
    prompt = texts[-1].strip() if texts else ""
    images = (each.source for each in job.images if not each.is_address)
    return Asked(place, cut(prompt, LONGEST_PROMPT), job.root, next(filter(allowed, images), ""))


def message_text(content: str | tuple[Any, ...]) -> str:
    """The text of a message of a job."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, Text))


def body_texts(body: dict[str, Any] | None) -> list[str]:
    """The plain texts that users say in the messages of an OpenAI batch line."""
    messages = (body or {}).get("messages")
    told = (
        (each for each in messages if isinstance(each, dict)) if isinstance(messages, list) else ()
    )
    return [
        content
        for each in told
        if each.get("role") == "user" and isinstance(content := each.get("content"), str)
    ]


def allowed(reference: str) -> bool:
    """Whether an image's path says nothing that would lead out of its folder."""
    try:
        check_words(reference)
    except JobError:
        return False
    return True


def results_of(path: Path) -> Iterator[Result]:
    """The sound lines of a results file, in the order of the file."""
    for line in file_lines(path):
        if (result := decoded(RESULT, line)) is not None:
            yield result


def failures_of(path: Path) -> Iterator[FailedLine]:
    """The sound lines of a failed file, in the order of the file."""
    for line in file_lines(path):
        if (failed := decoded(FAILED, line)) is not None:
            yield failed


def answered_item(result: Result) -> Item:
    """The item of an answer."""
    return Item(
        result.id,
        cut(result.output, LONGEST_TEXT),
        latency=round(result.latency_s, 3),
        words=len(words_of(result.output)),
        characters=len(result.output),
        tokens=result.output_tokens,
        cut=result.finish_reason == "length",
    )


def failed_item(line: FailedLine) -> Item:
    """The item of a failed job."""
    return Item(line.id, cut(line.failure.message, LONGEST_TEXT), code=line.failure.code)


def cut(text: str, longest: int) -> str:
    """The text, or its beginning and how much of it is not here."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def address(root: str, reference: str, folder: Path) -> str:
    """The address of an image, relative to the folder of the page.

    Always relative and without a scheme, whatever the name of the file: never another host.
    """
    file = Path(root, reference)
    path = os.path.relpath(file, os.path.realpath(folder))
    if path.startswith(os.pardir):  # a browser goes up by the names in its address bar
        path = os.path.relpath(file, folder)
    return quote(os.fsencode(path))
