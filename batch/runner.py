"""The run: jobs in, recorded answers out, with a bound on everything."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol

from .errors import (
    Away,
    Halt,
    JobError,
    Left,
    Outage,
    OutputError,
    RateLimited,
    Rejected,
    Retryable,
    RunError,
)
from .events import Observer, Paused, Retrying, Stopping
from .keys import job_key
from .limits import Concurrency, Held, Lane
from .media.request import Loaded, load
from .models import Failed, Job, Reply, Request, Result
from .outcomes import Flight, RunRules, failed_of, result_of
from .retry import with_retries
from .tally import Tally

log = logging.getLogger(__name__)

SAME_REFUSALS = 10
"""Refusals of one kind, with no answer yet, after which the run stops."""

ABSENCE = frozenset({"connection", "timeout", "server_error"})
"""Failures that may mean that the provider is away."""

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
        self._held = Held(rules.held_bytes)
        self._threads = ThreadPoolExecutor(LOAD_THREADS, "load")
        self._refusals: list[Failed] = []

    async def run(self, jobs: AsyncIterator[Job]) -> None:
        """Do every job, or those that start before `stop`. Raises only what is a bug of ours."""
        try:
            async with asyncio.TaskGroup() as group:
                async for job in jobs:
                    await self._window.acquire()
                    if self.stopping:
                        break
                    task = group.create_task(self._settle(job))
                    self._tasks.add(task)
                    task.add_done_callback(self._leave)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            try:
                self._record_refusals()
            except OutputError as error:
                self.stop_for(error)

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
        self._observer(Stopping(reason, len(self.in_flight)))
        spared = {*self.in_flight, asyncio.current_task()}
        for task in self._tasks - spared:
            task.cancel()

    def abandon(self) -> None:
        """Drop what is in flight: the requests may have been paid, their jobs are left."""
        for task in list(self._tasks):
            task.cancel()

    def stop_for(self, error: RunError) -> None:
        """Stop because of an error that is not of one job."""
        self.stop(str(error), error)

    async def _settle(self, job: Job) -> None:
        """Do one job and record what came of it; an answered one is in flight until it is saved."""
        task = running_task()
        try:
            outcome = await self.process(Flight(job))
            if isinstance(outcome, Result):
                self._records.append(outcome)
                await self._records.settled()
                self.tally.count(outcome)
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
        held = 0
        try:
            loaded = await self._load(job, model)
            key = job_key(job, self._rules.provider, model, loaded.digests)
            request = loaded.ready()
            held = loaded.size
            self._held.add(held)
            reply = await self.call(flight, request)
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
            self._held.add(-held)

    async def call(self, flight: Flight, request: Request) -> Reply:
        """The answer to a request, tried again as the policy says."""

        def notice(wait: float, error: Retryable) -> None:
            self.tally.retries += 1
            self._observer(Retrying(flight.job.id, flight.attempts, wait, str(error)))

        return await with_retries(
            lambda: self.attempt(flight, request),
            self._rules.retry,
            notice,
            self._pause,
            self._clock,
        )

    async def attempt(self, flight: Flight, request: Request) -> Reply:
        """One request through the lane."""
        await self.lane.acquire()
        task = running_task()
        answered = False
        try:
            self._go_on()
            flight.attempts += 1
            flight.since = self._clock()
            self.in_flight[task] = flight
            reply = not_empty(await self._completer.complete(request))
        except JobError as error:
            felt = self._feel(error)
            if felt is error:
                raise
            raise felt from error
        else:
            answered = True
            self.lane.succeeded()
            return reply
        finally:
            if not answered:
                self.in_flight.pop(task, None)
            flight.latency = self._clock() - flight.since
            self.lane.release()

    def _feel(self, error: JobError) -> JobError:
        """Let the lane feel what came instead of an answer; what the job is to make of it.

        Raises `Away` when the provider stays away longer than the run is willing to wait.
        """
        asked = 0.0
        if isinstance(error, RateLimited):
            asked = error.retry_after or 0.0
            pause = self.lane.limited(error.retry_after)
        elif isinstance(error, Retryable) and error.code in ABSENCE:
            pause = self.lane.troubled()
        else:
            self.lane.answered()
            return error
        is_away = self.lane.breaker.is_open
        waited = is_away or isinstance(error, RateLimited)
        if waited and self.lane.unanswered_for() + asked >= self._rules.max_outage:
            raise Away(away_words(error, asked)) from error
        if pause:
            self._observer(Paused(pause, str(error)))
        return Outage(str(error), error.code, error.http_status) if is_away else error

    def _go_on(self) -> None:
        """Raise `Left` when the run is stopping."""
        if self.stopping:
            raise Left

    async def _pause(self, seconds: float) -> None:
        """Wait before another attempt; a stopping run waits for nothing."""
        self._go_on()
        await asyncio.sleep(seconds)

    async def _load(self, job: Job, model: str) -> Loaded:
        """Load a job: its images in a thread, and no image while too many bytes are held."""
        if not job.images:
            return load(job, model, self._rules.load)
        await self._held.room()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, load, job, model, self._rules.load)

    def _withholds(self, failed: Failed) -> bool:
        """Whether a refusal is kept back, because no job was answered yet.

        Ten of one kind say that the fault is not in the jobs: then they are left, not failed.
        """
        if self._rules.in_process or self.tally.answered or not failed.failure.attempts:
            return False
        self._refusals.append(failed)
        kinds = Counter((each.failure.code, each.failure.http_status) for each in self._refusals)
        if max(kinds.values()) >= SAME_REFUSALS:
            self._refusals.clear()
            self.stop_for(Halt(f"every request is refused the same way: {failed.failure.message}"))
        return True

    def _record_refusals(self) -> None:
        """Record the refusals that were kept back: they were the jobs' own."""
        refusals, self._refusals = self._refusals, []
        for failed in refusals:
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


def away_words(error: JobError, asked: float) -> str:
    """Why the run waits no longer, and when to try again if the provider said so."""
    if not asked:
        return f"the provider is away: {error}"
    at = datetime.now().astimezone() + timedelta(seconds=asked)
    return f"the provider asks to wait until {at:%Y-%m-%d %H:%M} ({error})"


def not_empty(reply: Reply) -> Reply:
    """The reply; raises `Retryable` when it holds no text, because that is no answer."""
    if not reply.text.strip():
        raise Retryable("the answer was empty", "empty_output", 200)
    return reply
