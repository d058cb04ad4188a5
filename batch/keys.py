"""The key of a job: SHA-256 of everything that decides its answer, and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from .models import Job, JobMessage, Text


def job_key(job: Job, provider: str, model: str, digests: Sequence[str]) -> str:
    """The key of `job` as `provider` would answer it with `model` (its name on the wire).

    `digests` stand for the images in order: SHA-256 of the file's bytes, or what came instead.
    Decides: messages, image bytes, provider, model, params, schema; of an OpenAI batch line its
    url and body. Does not: paths, meta, limits.
    Equal jobs have equal keys on every machine, because the JSON under the hash has sorted keys.
    """
    images = iter(digests)
    deciding = (
        provider,
        model,
        [(message.role, deciding_content(message, images)) for message in job.messages],
        job.params,
        job.schema,
        job.url,
        job.body,
    )
    return hashlib.sha256(msgspec.json.encode(deciding, order="sorted")).hexdigest()


def deciding_content(
    message: JobMessage, images: Iterator[str]
) -> str | list[str | tuple[str, str, str]]:
    """A message's content with each image replaced by its digest."""
    if isinstance(message.content, str):
        return message.content
    return [
        part.text if isinstance(part, Text) else ("image", next(images), part.detail)
        for part in message.content
    ]
