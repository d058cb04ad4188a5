"""Loads jobs ahead of the network: images in threads, their bytes in memory bounded."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from .limits.concurrency import Concurrency, Held
from .media.request import Loaded, LoadRules, body_images, load
from .models import Job

THREADS = max(2, min(4, os.cpu_count() or 1))
"""One more than there are cores prepares no more a second, and the event loop waits longer."""


class Loader:
    """Makes requests of jobs; `cap` bounds the bytes of images that are held at once, about."""

    def __init__(self, rules: LoadRules, cap: int) -> None:
        self.held = Held(cap)
        self._rules = rules
        self._loading = Concurrency(THREADS)
        self._threads = ThreadPoolExecutor(THREADS, "load")

    async def load(self, job: Job, model: str) -> Loaded:
        """Load a job: its images in a thread, and no image while too many bytes are held.

        A place among those that load is taken before the bytes are looked at: else all jobs of
        the window would find room at once, while nothing is loaded yet. Raises a `JobError`.
        """
        if not has_images(job):
            return load(job, model, self._rules)
        await self._loading.acquire()
        try:
            await self.held.room()
            loop = asyncio.get_running_loop()
            loaded = await loop.run_in_executor(self._threads, load, job, model, self._rules)
            self.held.add(loaded.size)
            return loaded
        finally:
            self._loading.release()

    def let_go(self, loaded: Loaded) -> None:
        """The job is done: its bytes are held no more."""
        if loaded.digests:
            self.held.add(-loaded.size)

    def close(self) -> None:
        """End the threads without waiting for them."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def has_images(job: Job) -> bool:
    """Whether loading the job reads files or decodes pictures."""
    return bool(job.images) or (job.body is not None and any(body_images(job.body)))
