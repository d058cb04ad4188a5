"""Pictures that were renamed, moved or copied: their answers go over to the new name for free."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import JobError
from .media.load import ImageRules, stat_media
from .media.request import is_remote, read_reference
from .models import Job, Media
from .plan import Plan
from .results.index import file_lines
from .results.records import DATED_ROW, decoded
from .sources.entries import Source
from .sources.ids import Ids

KeyOf = Callable[[Job, Sequence[str]], str]
"""The key of a job whose images have these digests."""


class Carried(NamedTuple):
    """An answer that belongs to another id by now."""

    offset: int
    """Where it stands in the results."""
    id: str
    media: tuple[Media, ...]
    """The image file as it is now."""


class Recorded:
    """Recorded answers about pictures, by key."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self.sizes: set[int] = set()
        """Bytes of their pictures: other files need not be read."""

    @classmethod
    def scan(cls, results: Path, *, but: Ids | None = None, since: str = "") -> Recorded:
        """The answers of a results file, less those whose id is among `but`; blocks.

        Answers from before the moment `since` are left out.
        """
        recorded = cls()
        for line in file_lines(results):
            row = decoded(DATED_ROW, line)
            if row is None or not row.media or row.finished_at < since:
                continue
            if but is None or not but.holds(row.id):
                recorded.offsets[row.key] = line.offset
                recorded.sizes.update(media.bytes for media in row.media)
        return recorded

    def find(self, job: Job, key_of: KeyOf, rules: ImageRules) -> Carried | None:
        """The answer to exactly this job under another id; blocks."""
        try:
            if any(is_remote(each) or self._differs(job, each.source) for each in job.images):
                return None
            read = [read_reference(job.root, image, rules) for image in job.images]
        except JobError:
            return None
        offset = self.offsets.get(key_of(job, [digest for _, digest, _ in read]))
        if offset is None:
            return None
        return Carried(offset, job.id, tuple(each for _, _, media in read for each in media))

    def _differs(self, job: Job, path: str) -> bool:
        """Whether a file cannot be one of the pictures; raises a `JobError`."""
        return stat_media(job.root, path)[0] not in self.sizes


async def carry_over(
    sources: Sequence[Source],
    plan: Plan,
    is_new: Callable[[str], bool],
    find: Callable[[Job], Carried | None],
) -> list[Carried]:
    """Take out of the plan what is answered under another id; one more walk over the sources.

    Only ids that no earlier run met: an edited job's own answer leaves the results first, and
    never do two lines have one id. Files are looked at in a thread, a hop a group.
    """
    carried: list[Carried] = []
    for at, source in enumerate(sources):
        todo = set(plan.todo[at])
        done: set[int] = set()
        async for entries in source.entries(Ids()):
            jobs = [
                (entry.address, entry.job)
                for entry in entries
                if entry.job is not None
                and entry.job.images
                and entry.address in todo
                and is_new(entry.job.id)
            ]
            if not jobs:
                continue
            found = await asyncio.to_thread(list, map(find, (job for _, job in jobs)))
            for (address, job), answer in zip(jobs, found, strict=True):
                if answer is not None:
                    carried.append(answer)
                    done.add(address)
                    plan.measure(job, -1)
        plan.todo[at] = array("Q", (each for each in plan.todo[at] if each not in done))
    plan.new -= len(carried)
    plan.done += len(carried)
    plan.carried = len(carried)
    return carried
