"""The run: jobs in, recorded answers out, with a bound on everything."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from .checks import accepted
from .errors import (
    Away,
    Halt,
    JobError,
    Left,
    Outage,
    OutputError,
    RateLimited,
    Rejected,
    RunError,
    Unreadable,
)
from .events import Event, FellBack, Observer, Retrying, Stopping
from .feedback import Feedback
from .keys import job_key
from .limits.waking import Waking
from .limits.window import Window
from .loader import Loader
from .media.request import Loaded
from .models import Failed, Job, Reply, Request, Result
from .outcomes import Flight, Records, RunRules, failed_of, judge, not_empty, result_of
from .refusals import Refusals, is_suspect
from .retry import with_retries
from .routes import Route
from .suspects import Suspects
from .tally import Tally
from .threads import running_task
from .twins import Alone, Twins

log = logging.getLogger(__name__)


class Runner:
    """Does jobs through a provider and records every outcome.

    ::

        jobs                    read in slabs, only those that are not done
        | xargs -P window       load images          (threads, ahead of the network, bytes capped)
        | xargs -P limit        attempt              (lane: pause, concurrency, rate; retried)
        | append                one writer           (the line is in the file, then it counts)

    Only feedback runs backwards: a rate limit pauses the lane, the window stops the reader, and
    `stop` ends admission. A job's own errors end as values; a `RunError` stops the run in order,
    unless `routes` holds another provider to go on with.
    """

    def __init__(
        self,
        rules: RunRules,
        routes: Sequence[Route],
        records: Records,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
        waking: Waking | None = None,
        suspects: Suspects | None = None,
    ) -> None:
        self.tally = Tally()
        self.twins = Twins() if rules.dedupe else Alone()
        self.routes = routes
        self.route = routes[0]
        """The way that new attempts take."""
        self.ended_by: RunError | None = None
        self.stopping = ""
        """Why no new job starts; empty while jobs start."""
        self.given_up: RunError | None = None
        """Why the provider that was named is used no more, while another one goes on."""
        self.in_flight: dict[asyncio.Task[None], Flight] = {}
        self._rules = rules
        self._records = records
        self._observer = observer
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._window = Window(rules.window)
        self._suspects = suspects or Suspects()
        self.loader = Loader(rules.load, rules.held_bytes, self._suspects)
        self._refusals = Refusals()
        self._feedback = Feedback(rules.max_outage, self._tell, waking or Waking(clock), clock)

    async def run(self, jobs: AsyncIterator[Job]) -> None:
        """Do every job, or those that start before `stop`. Raises only what is a bug of ours."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._admit(jobs, group)
        finally:
            self.loader.close()
            try:
                self._record_refusals()
            except OutputError as error:
                self.stop_for(error)

    async def _admit(self, jobs: AsyncIterator[Job], group: asyncio.TaskGroup) -> None:
        """Start the jobs, each when the window has room, until the last one or `stop`."""
        try:
            async for job in jobs:
                await self._suspects.turn(job, self._tasks)
                await self._window.enter()
                if self.stopping:
                    break
                task = group.create_task(self._settle(job))
                self._tasks.add(task)
                task.add_done_callback(self._leave)
        except OSError as error:
            self.stop_for(Unreadable(f"the jobs cannot be read any further: {error}"))
        for route in self.routes:
            route.lane.retries.open()

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Free the place of a job that ended in any way."""
        self._tasks.discard(task)
        self._window.leave(task)

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
            flight = Flight(job, self.route)
            outcome = await self.process(flight)
            if isinstance(outcome, Result):
                self._records.append(outcome)
                await self._records.settled()
                self.tally.count(outcome)
                if self._refusals and flight.route is self.route:
                    self._record_refusals()
            elif outcome.failure.retryable or not self._withholds(flight, outcome):
                self.record_failed(outcome)
            self._suspects.settle(job)
        except Left:
            return
        except RunError as error:
            self.stop_for(error)
        finally:
            self._suspects.end(job)
            self.in_flight.pop(task, None)

    async def process(self, flight: Flight) -> Result | Failed:
        """Load, ask, wrap up. Never raises an error of the job."""
        job = flight.job
        model = self._rules.model_of(job.model)
        key = ""
        loaded: Loaded | None = None
        try:
            loaded = await self.loader.load(job, model)
            key = job_key(job, self._rules.provider, model, loaded.digests)
            request = loaded.ready()
            reply = await self.twins.once(key, flight, lambda: self.call(flight, request))
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
            if loaded is not None:
                self.loader.let_go(loaded)

    async def call(self, flight: Flight, request: Request) -> Reply:
        """The answer to a request, tried again as the policy and the checks say."""
        rules, clock = self._rules, self._clock

        def notice(wait: float, error: JobError) -> None:
            self._go_on()
            self.tally.retries += 1
            flight.worked += wait
            flight.spends = not isinstance(error, RateLimited)
            self._tell(Retrying(flight.job.id, flight.attempts, wait, str(error)))

        async def pause(seconds: float) -> None:
            await asyncio.sleep(seconds)
            if flight.spends and not flight.route.lane.retries.take():
                await self._stand_aside(flight, request)

        def ask(asked: Request) -> Awaitable[Reply]:
            attempt = functools.partial(self.attempt, flight, asked)
            return with_retries(attempt, rules.retry, notice, pause, clock, lambda: flight.worked)

        again, late = functools.partial(notice, 0.0), rules.retry.job_timeout
        return await accepted(ask, request, rules.checks, again, lambda: flight.worked >= late)

    async def _stand_aside(self, flight: Flight, request: Request) -> None:
        """Wait until the retry budget allows one more; other jobs take the place in the window.

        A job with pictures does not wait at all while half of the bytes that may be held are.
        """
        if not (self.loader.held.is_half_full and any(request.images())):
            await self._window.stand_aside(running_task(), flight.route.lane.retries.wait())

    async def attempt(self, flight: Flight, request: Request) -> Reply:
        """One request through the lane."""
        route = await self._enter_lane(flight, request)
        try:
            self._begin(flight)
            reply = not_empty(await route.completer.complete(route.fitted(request)))
        except (JobError, Halt) as error:
            raise self._felt(flight, error) from error.__cause__
        else:
            route.answered += 1
            self._feedback.answered(flight, request, reply)
            judge(self._rules.checks, flight, reply, self.tally)
            flight.answered = True
            return reply
        finally:
            self._end(flight)
            route.lane.release()

    async def _enter_lane(self, flight: Flight, request: Request) -> Route:
        """Wait until an attempt may go out, and the way that it takes.

        Raises `Left` when there is no way for the job, which the first one can do.
        """
        while True:
            if flight.route is not self.route:
                flight.denials = 0
            route = flight.route = self.route
            if route is not self.routes[0] and (reason := route.reason_unsupported(flight.job)):
                log.info("%s is left: %s", flight.job.id, reason)
                raise Left
            flight.tokens = route.tokens_of(request)
            await route.lane.acquire(flight.tokens)
            if route is self.route:
                return route
            route.lane.release()

    def _begin(self, flight: Flight) -> None:
        """An attempt goes out."""
        flight.begin(self._clock())
        self._go_on()
        self._suspects.begin(flight.job)
        self.in_flight[running_task()] = flight

    def _end(self, flight: Flight) -> None:
        """An attempt came to its end; an answer is in flight until it is saved."""
        flight.end(self._clock())
        if not flight.answered:
            self._suspects.end(flight.job)
            self.in_flight.pop(running_task(), None)

    def _felt(self, flight: Flight, error: JobError | Halt) -> JobError | RunError:
        """What an attempt ends in, after the lane felt it."""
        try:
            felt = self._feedback.felt(flight, error)
        except Away as away:
            return self._fall_back(flight, away)
        return self._fall_back(flight, felt) if isinstance(felt, Halt) else felt

    def _fall_back(self, flight: Flight, end: RunError) -> JobError | RunError:
        """Go on with the next provider when there is one; else the error that ends the run."""
        if self.stopping:
            return end
        if flight.route is self.route:
            at = self.routes.index(self.route) + 1
            if at == len(self.routes):
                return end
            self.given_up = self.given_up or end
            self.route = self.routes[at]
            self._refusals.take()  # as for a halt: they are left
            flight.route.lane.open()
            self._tell(FellBack(self.route.provider, self.route.model, str(end)))
        return Outage(str(end), "connection")

    async def tick(self) -> None:
        """Called every second or more often: after a sleep no old connection is trusted."""
        if self._feedback.tick():
            for route in self.routes:
                await route.completer.drop()

    def _go_on(self) -> None:
        """Raise `Left` when the run is stopping."""
        if self.stopping:
            raise Left

    def _withholds(self, flight: Flight, failed: Failed) -> bool:
        """Whether a refusal is not recorded, because nothing shows that the job is at fault.

        It is kept back while its provider has answered no job; what a fallback refuses is left.
        """
        route = flight.route
        settled = route is self.routes[0] and route.answered
        if self._rules.in_process or settled or not is_suspect(failed.failure):
            return False
        if route is self.route and not route.answered:
            end = self._refusals.keep(failed)
            if isinstance(end, Halt) and self._fall_back(flight, end) is not end:
                return True
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
