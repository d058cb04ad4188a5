"""Loads jobs ahead of the network: images in threads, their bytes in memory bounded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TypeVar

from .errors import Crowded, Retryable, Unreadable
from .limits.concurrency import Concurrency, Held
from .media.request import Loaded, LoadRules, body_images, current_digests, load
from .models import Job
from .suspects import Suspects
from .threads import Threads

Work = TypeVar("Work")

THREADS = max(2, min(4, os.cpu_count() or 1))
"""One more than there are cores prepares no more a second, and the event loop waits longer."""

STALLED = 60.0
"""Seconds after which the images of a job are given up: their disk does not answer."""

MOST_STALLED = 8
"""Jobs given up like that at which the run ends: each holds a thread for ever."""

CROWDED = 0.1
LONGEST_CROWDED = 5.0
"""Seconds until images are opened again when too much is open on this machine: doubling."""

CROWDED_TIMES = 120
"""Times in a row, about ten minutes, after which the run ends: it will not be better tonight."""


class Loader:
    """Makes requests of jobs; `cap` bounds the bytes of images that are held at once, about."""

    def __init__(self, rules: LoadRules, cap: int, suspects: Suspects) -> None:
        self.held = Held(cap)
        self._suspects = suspects
        self._rules = rules
        self._loading = Concurrency(THREADS)
        self._threads = Threads(THREADS, "load")
        self._stalled = 0

    async def load(self, job: Job, model: str) -> Loaded:
        """Load a job: its images in a thread, and no image while too many bytes are held.

        A place among those that load is taken before the bytes are looked at: else all jobs of
        the window would find room at once, while nothing is loaded yet. Raises a `JobError`, and
        `Unreadable` when no image can be read any more.
        """
        if error := self._suspects.reason_given_up(job):
            # Its picture may be what kills, so it is hashed but not decoded.
            digests = await self._read(lambda: current_digests(job, (), self._rules.images))
            return Loaded(None, digests, (), error)
        if not has_images(job):
            return load(job, model, self._rules)
        await self._loading.acquire()
        try:
            await self.held.room()
            self._suspects.begin(job)
            loaded = await self._loaded(job, model)
            self.held.add(loaded.size)
            return loaded
        finally:
            self._suspects.end(job)
            self._loading.release()

    async def _loaded(self, job: Job, model: str) -> Loaded:
        """The job loaded; while too much is open on this machine, later and fewer at once."""
        for times in range(CROWDED_TIMES):
            loaded = await self._read(lambda: load(job, model, self._rules))
            if not isinstance(loaded.error, Crowded):
                self._loading.limit = min(THREADS, self._loading.limit + 1)
                return loaded
            self._loading.limit -= 1
            await asyncio.sleep(min(LONGEST_CROWDED, CROWDED * 2 ** min(times, 10)))
        raise Unreadable(f"too much is open on this machine (ulimit -n): {loaded.error}")

    async def _read(self, work: Callable[[], Work]) -> Work:
        """What some reading brings, done in a thread; raises as `load` does."""
        try:
            return await self._threads.run(work, STALLED)
        except TimeoutError:
            self._stalled += 1
            words = f"the disk has not answered for {STALLED:g} s"
            if self._stalled >= MOST_STALLED:
                raise Unreadable(f"the images cannot be read any further: {words}") from None
            raise Retryable(f"the image cannot be read: {words}", "image_unreadable") from None

    def let_go(self, loaded: Loaded) -> None:
        """The job is done: its bytes are held no more."""
        if loaded.digests:
            self.held.add(-loaded.size)

    def close(self) -> None:
        """End the threads without waiting for them."""
        self._threads.close()


def has_images(job: Job) -> bool:
    """Whether loading the job reads files or decodes pictures."""
    return bool(job.images) or (job.body is not None and any(body_images(job.body)))
