"""The run: jobs in, recorded answers out, with a bound on everything."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from .errors import Halt, JobError, Left, OutputError, Rejected, Retryable, RunError
from .events import Event, Observer, Retrying, Stopping
from .feedback import Feedback
from .keys import job_key
from .limits.concurrency import Concurrency, Held
from .limits.lane import Lane
from .media.request import Loaded, body_images, load
from .models import Failed, Job, Reply, Request, Result
from .outcomes import Flight, RunRules, failed_of, not_empty, result_of
from .refusals import Refusals
from .retry import with_retries
from .tally import Tally

log = logging.getLogger(__name__)

LOAD_THREADS = min(4, (os.cpu_count() or 1) + 1)


class Answers(Protocol):
    """What the runner needs of a completer."""

    async def complete(self, request: Request) -> Reply:
        """Answer one request, once."""


class Records(Protocol):
    """What the runner needs of a journal."""

    def append(self, result: Result) -> None:
        """Save an answer; raises `OutputError`."""

    def append_failed(self, failed: Failed) -> None:
        """Save a failure; raises `OutputError`."""

    async def settled(self) -> None:
        """Wait until what was saved may be counted."""


class Runner:
    """Does jobs through one provider and records every outcome.

    ::

        jobs                    read in slabs, only those that are not done
        | xargs -P window       load images          (threads, ahead of the network, bytes capped)
        | xargs -P limit        attempt              (lane: pause, concurrency, rate; retried)
        | append                one writer           (the line is in the file, then it counts)

    Only feedback runs backwards: a rate limit pauses the lane, the window stops the reader, and
    `stop` ends admission. A job's own errors end as values; a `RunError` stops the run in order.
    """

    def __init__(
        self,
        rules: RunRules,
        completer: Answers,
        records: Records,
        lane: Lane,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self.lane = lane
        self.ended_by: RunError | None = None
        self.stopping = ""
        """Why no new job starts; empty while jobs start."""
        self.in_flight: dict[asyncio.Task[None], Flight] = {}
        self._rules = rules
        self._completer = completer
        self._records = records
        self._observer = observer
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._window = Concurrency(rules.window)
        self._loading = Concurrency(LOAD_THREADS)
        self.held = Held(rules.held_bytes)
        self._threads = ThreadPoolExecutor(LOAD_THREADS, "load")
        self._refusals = Refusals()
        self._feedback = Feedback(lane, rules.max_outage, self._tell)

    async def run(self, jobs: AsyncIterator[Job]) -> None:
        """Do every job, or those that start before `stop`. Raises only what is a bug of ours."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._admit(jobs, group)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            try:
                self._record_refusals()
            except OutputError as error:
                self.stop_for(error)

    async def _admit(self, jobs: AsyncIterator[Job], group: asyncio.TaskGroup) -> None:
        """Start the jobs, each when the window has room, until the last one or `stop`."""
        try:
            async for job in jobs:
                await self._window.acquire()
                if self.stopping:
                    break
                task = group.create_task(self._settle(job))
                self._tasks.add(task)
                task.add_done_callback(self._leave)
        except OSError as error:
            self.stop_for(RunError(f"the jobs cannot be read any further: {error}"))

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Free the place of a job that ended in any way."""
        self._tasks.discard(task)
        self._window.release()

    def stop(self, reason: str, error: RunError | None = None) -> None:
        """Start no new job and let those in flight finish; `error` decides the exit code."""
        if self.stopping:
            return
        self.stopping = reason
        self.ended_by = error
        current = asyncio.current_task()
        self._tell(Stopping(reason, len(self.in_flight.keys() - {current})))
        for task in self._tasks - {*self.in_flight, current}:
            task.cancel()

    def abandon(self) -> None:
        """Drop what is in flight: the requests may have been paid, their jobs are left.

        An answer that came is still saved.
        """
        self.stop("abandoned")
        for task in list(self._tasks):
            flight = self.in_flight.get(task)
            if flight is None or not flight.answered:
                task.cancel()

    def stop_for(self, error: RunError) -> None:
        """Stop because of an error that is not of one job.

        That answers cannot be saved is told in any case, also when the run is stopping already.
        """
        if self.stopping and isinstance(error, OutputError):
            self.ended_by = error
            if str(error) not in self.stopping:
                self.stopping += f"; {error}"
        elif isinstance(error, Halt):
            self._refusals.take()  # no job is failed while nothing shows that it is at fault
        self.stop(str(error), error)

    def _tell(self, event: Event) -> None:
        """Tell the observer in a moment: how it fares with an event is nothing to the jobs."""
        asyncio.get_running_loop().call_soon(self._observer, event)

    async def _settle(self, job: Job) -> None:
        """Do one job and record what came of it; an answered one is in flight until it is saved."""
        task = running_task()
        try:
            outcome = await self.process(Flight(job))
            if isinstance(outcome, Result):
                self._records.append(outcome)
                await self._records.settled()
                self.tally.count(outcome)
                if self._refusals:
                    self._record_refusals()
            elif outcome.failure.retryable or not self._withholds(outcome):
                self.record_failed(outcome)
        except Left:
            return
        except RunError as error:
            self.stop_for(error)
        finally:
            self.in_flight.pop(task, None)

    async def process(self, flight: Flight) -> Result | Failed:
        """Load, ask, wrap up. Never raises an error of the job."""
        job = flight.job
        model = self._rules.model_of(job.model)
        key = ""
        loaded: Loaded | None = None
        try:
            loaded = await self._load(job, model)
            key = job_key(job, self._rules.provider, model, loaded.digests)
            reply = await self.call(flight, loaded.ready())
            return result_of(self._rules, flight, key, loaded, reply)
        except JobError as error:
            return failed_of(self._rules, flight, key, error)
        except (RunError, Left):
            raise
        except Exception as error:
            log.exception("a bug of ours in job %s", job.id)
            words = f"{type(error).__name__}: {error}"
            return failed_of(self._rules, flight, key, Rejected(words[:500], "internal"))
        finally:
            if loaded is not None and loaded.digests:
                self.held.add(-loaded.size)

    async def call(self, flight: Flight, request: Request) -> Reply:
        """The answer to a request, tried again as the policy says."""

        def notice(wait: float, error: Retryable) -> None:
            self._go_on()
            self.tally.retries += 1
            self._tell(Retrying(flight.job.id, flight.attempts, wait, str(error)))

        return await with_retries(
            lambda: self.attempt(flight, request),
            self._rules.retry,
            notice,
            asyncio.sleep,
            self._clock,
        )

    async def attempt(self, flight: Flight, request: Request) -> Reply:
        """One request through the lane."""
        await self.lane.acquire()
        task = running_task()
        try:
            self._go_on()
            flight.attempts += 1
            flight.since = self._clock()
            self.in_flight[task] = flight
            reply = not_empty(await self._completer.complete(request))
        except JobError as error:
            felt = self._feedback.felt(flight, error)
            if felt is error:
                raise
            raise felt from error
        else:
            flight.answered = True
            self.lane.succeeded()
            return reply
        finally:
            if not flight.answered:
                self.in_flight.pop(task, None)
            flight.latency = self._clock() - flight.since
            self.lane.release()

    def _go_on(self) -> None:
        """Raise `Left` when the run is stopping."""
        if self.stopping:
            raise Left

    async def _load(self, job: Job, model: str) -> Loaded:
        """Load a job: its images in a thread, and no image while too many bytes are held.

        A place among those that load is taken before the bytes are looked at: else all jobs of
        the window would find room at once, while nothing is loaded yet.
        """
        if not has_images(job):
            return load(job, model, self._rules.load)
        await self._loading.acquire()
        try:
            await self.held.room()
            loop = asyncio.get_running_loop()
            loaded = await loop.run_in_executor(self._threads, load, job, model, self._rules.load)
            self.held.add(loaded.size)
            return loaded
        finally:
            self._loading.release()

    def _withholds(self, failed: Failed) -> bool:
        """Whether a refusal is kept back, because no job was answered yet."""
        if self._rules.in_process or self.tally.answered or not failed.failure.attempts:
            return False
        end = self._refusals.keep(failed)
        if end is not None:
            self.stop_for(end)
        return True

    def _record_refusals(self) -> None:
        """Record the refusals that were kept back: they were the jobs' own."""
        for failed in self._refusals.take():
            self.record_failed(failed)

    def record_failed(self, failed: Failed) -> None:
        """Save a failure, then count it."""
        self._records.append_failed(failed)
        self.tally.count_failed(failed.failure.code)


def running_task() -> asyncio.Task[None]:
    """The task of the job that is being done."""
    task = asyncio.current_task()
    assert task is not None
    return task


def has_images(job: Job) -> bool:
    """Whether loading the job reads files or decodes pictures."""
    return bool(job.images) or (job.body is not None and any(body_images(job.body)))
