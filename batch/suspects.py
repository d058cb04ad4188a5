"""Finds the job that kills every run, and sends it no more (`interrupted_often`).

An ordinary run keeps no account of it. After one that died, the jobs that may be at fault go last,
so that they stop no others. If a run dies of those too, the ones in flight go alone; one that is in
flight alone at two more deaths is given up. What is killed at random is hardly met so often in one
place. An answer or a failure clears a job; a run that ends before its turn does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from .errors import JobError, Rejected
from .models import Job
from .results.marks import Marks, deaths_told, mark_of
from .results.paths import Paths
from .results.state import read_state

log = logging.getLogger(__name__)

ALONE = 2
GIVEN_UP = 4
"""Deaths in a row at which a job was in flight, or may have been: of the first nothing is known."""


class Suspects:
    """The jobs that were in flight when runs died; `Suspects()` suspects nobody and notes nothing.

    `deaths` are told by the marks of earlier runs. Without them the first `unknown` jobs are those
    that the dead run may have had under way, because jobs start in the order of the source.
    """

    def __init__(
        self, path: Path | None = None, deaths: dict[str, int] | None = None, unknown: int = 0
    ) -> None:
        self._deaths = deaths or {}
        self._unknown = unknown
        self._marks: Marks | None = None
        if path is not None:
            try:
                self._marks = Marks(path, self._deaths)
            except OSError as error:
                log.warning("cannot write %s: %s", path, error.strerror)

    @classmethod
    def after(cls, paths: Paths, window: int) -> Suspects:
        """What the files of the last run tell, before they are cleaned up; blocks.

        `window` is how many jobs a run has under way at most.
        """
        if deaths := deaths_told(paths.marks):
            return cls(paths.marks, deaths)
        last = read_state(paths.state)
        if paths.reserve.exists() or (last is not None and last.state == "running"):
            return cls(paths.marks, unknown=window)
        return cls(paths.marks) if paths.marks.exists() else cls()

    def _times(self, job: Job) -> int:
        """At how many deaths in a row a job was in flight."""
        return self._deaths.get(mark_of(job.id), 0) if self._deaths else 0

    async def last(self, jobs: AsyncIterator[Job]) -> AsyncIterator[Job]:
        """The jobs, those who may have been at fault for a death after all others."""
        held: list[Job] = []
        async for job in jobs:
            if self._unknown:
                self._unknown -= 1
                self._suspect(job)
            if self._times(job):
                held.append(job)
            else:
                yield job
        if held:
            log.info("%d jobs that were in flight when a run died go last", len(held))
        for job in sorted(held, key=self._times):
            yield job

    def _suspect(self, job: Job) -> None:
        """Note that a job may have been in flight when the last run died."""
        mark = mark_of(job.id)
        self._deaths[mark] = 1
        if self._marks is not None:
            self._marks.tell(mark, 1)

    async def turn(self, job: Job, others: Collection[asyncio.Task[None]]) -> None:
        """Wait while others are under way, if a death shall tell whether it is of this job."""
        while others and self._times(job) >= ALONE:
            await asyncio.wait(others)

    def reason_given_up(self, job: Job) -> JobError | None:
        """The error of a job that is sent no more; None for all others."""
        if self._times(job) < GIVEN_UP:
            return None
        words = "in flight in three runs in a row that died, alone in the last two"
        return Rejected(words, "interrupted_often")

    def begin(self, job: Job) -> None:
        """The job is in flight: it is loaded, or a request of it is under way."""
        if self._marks is not None:
            mark = mark_of(job.id)
            self._marks.tell(mark, self._deaths.get(mark, 0), in_flight=True)

    def end(self, job: Job) -> None:
        """The job is in flight no more."""
        if self._marks is not None:
            mark = mark_of(job.id)
            if times := self._deaths.get(mark, 0):
                self._marks.tell(mark, times)
            else:
                self._marks.clear(mark)

    def settle(self, job: Job) -> None:
        """The job was answered or failed, so it is no suspect."""
        if self._marks is not None and self._deaths.pop(mark_of(job.id), 0):
            self._marks.clear(mark_of(job.id))

    def close(self, *, finished: bool) -> None:
        """End the account; who is still suspected when jobs are left is kept in mind."""
        if self._marks is not None:
            self._marks.close(keep=bool(self._deaths) and not finished)
            self._marks = None
