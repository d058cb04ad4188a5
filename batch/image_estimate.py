"""What the images of the jobs to do take: bytes, pixels, tokens; told from their headers."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from msgspec import Struct, field

from .errors import JobError
from .image_limits import least
from .loader import THREADS, has_images
from .media.header import read_header
from .media.prepare import fitted
from .media.request import LoadRules, body_images, is_remote
from .models import ImageRef, Job
from .providers.image_tokens import Formulas, image_tokens
from .sources.entries import Source

GROUP = 64 * THREADS
"""Jobs that are held at once."""


class ImageEstimate(Struct):
    """Sums over images; tokens are the least and the most that they may be."""

    images: int = 0
    """Whose header was read."""
    unreadable: int = 0
    addresses: int = 0
    """That the provider would fetch, and nobody looked at."""
    bytes: int = 0
    """Of the files, before preparation."""
    pixels: int = 0
    """After preparation."""
    low: int = 0
    high: int = 0
    unknown: set[str] = field(default_factory=set)
    """Models whose way to count is not known."""

    def add(self, other: ImageEstimate) -> None:
        """Add another sum."""
        for name in ("images", "unreadable", "addresses", "bytes", "pixels", "low", "high"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unknown |= other.unknown


class EstimateRules(Struct, frozen=True):
    """How the images of a run are measured."""

    load: LoadRules
    model_of: Callable[[str], str]
    """A job's model → its name on the wire."""
    formulas_of: Callable[[str], Formulas]
    """That name → how its server counts; none when that is unknown."""


async def estimate_images(
    sources: Sequence[Source], todo: Sequence[array[int]], rules: EstimateRules
) -> ImageEstimate:
    """The sum over the images of the jobs at the addresses `todo`, a list a source."""
    total = ImageEstimate()
    async for jobs in groups(sources, todo):
        shares = [jobs[at::THREADS] for at in range(THREADS)]
        sums = await asyncio.gather(
            *(asyncio.to_thread(estimate_jobs, share, rules) for share in shares if share)
        )
        for each in sums:
            total.add(each)
    return total


async def groups(sources: Sequence[Source], todo: Sequence[array[int]]) -> AsyncIterator[list[Job]]:
    """The jobs with images, in groups that bound memory."""
    group: list[Job] = []
    for source, addresses in zip(sources, todo, strict=True):
        async for job in source.jobs(addresses):
            if has_images(job):
                group.append(job)
            if len(group) == GROUP:
                yield group
                group = []
    if group:
        yield group


def estimate_jobs(jobs: Sequence[Job], rules: EstimateRules) -> ImageEstimate:
    """The sum over the images of some jobs; blocks."""
    total = ImageEstimate()
    for job in jobs:
        body_model = job.body.get("model") if job.body is not None else None
        model = str(body_model) if body_model else rules.model_of(job.model)
        for part in images_of(job):
            add_image(total, job, part, model, rules)
    return total


def images_of(job: Job) -> Iterator[ImageRef]:
    """The images of a job, those in a verbatim body too."""
    yield from job.images
    for url in body_images(job.body or {}):
        yield ImageRef(url, is_address=True)


def add_image(
    total: ImageEstimate, job: Job, part: ImageRef, model: str, rules: EstimateRules
) -> None:
    """Add one image to a sum."""
    if is_remote(part):
        total.addresses += 1
        return
    images, limits = rules.load.images, rules.load.limits
    try:
        header = read_header(job.root, part, images)
    except JobError:
        total.unreadable += 1
        return
    size = (header.width, header.height)
    if not (images.original_bytes or rules.load.originals or job.body is not None):
        size = fitted(size, least(images.max_side, limits.max_side))
    formulas = rules.formulas_of(model)
    low, high = image_tokens(formulas, *size, part.detail)
    total.images += 1
    total.bytes += header.bytes
    total.pixels += size[0] * size[1]
    total.low += low
    total.high += high
    if not formulas:
        total.unknown.add(model)
