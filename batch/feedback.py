"""What comes back from the wire: the lane feels it, and the job learns what to make of it."""

from __future__ import annotations

import math
from collections.abc import Callable

from .errors import Away, Denied, Halt, JobError, Outage, RateLimited, Rejected, Retryable
from .events import Event, Paused, Woke
from .limits.clock import Clock
from .limits.lane import DENIED_PAUSE
from .limits.waking import Waking
from .models import Allowance, Reply, Request, Usage
from .outcomes import Flight
from .providers.retry_after import clock_time

ABSENCE = frozenset({"connection", "timeout", "server_error"})
"""Failures that may mean that the provider is away."""

DENIALS = 3
"""Times that a key is refused for a job, while others are answered: then it is the job's own."""

OVERLOAD_STATUSES = frozenset({503, 529})
QUOTA = "the provider says that its quota is used up for now"


class Feedback:
    """The only thing that runs backwards: from the wire to the lane.

    `max_outage` is how long (seconds) the run waits for a provider that is away; `tell` is told
    of pauses.
    """

    def __init__(
        self, max_outage: float, tell: Callable[[Event], None], waking: Waking, clock: Clock
    ) -> None:
        self._max_outage = max_outage
        self._tell = tell
        self._waking = waking
        self._clock = clock
        self._woke_at = -math.inf
        self._connections_are_old = False

    def answered(self, flight: Flight, request: Request, reply: Reply) -> None:
        """An answer came."""
        lane = flight.route.lane
        lane.succeeded(flight.since, flight.ahead)
        flight.route.correct(request, reply, flight.tokens)
        if reply.allowance is not None and (pause := heeded(flight, reply.allowance, reply.usage)):
            self._tell(Paused(pause, QUOTA))

    def felt(self, flight: Flight, error: JobError | Halt) -> JobError | Halt:
        """Let the lane feel what came instead of an answer; what the job is to make of it.

        Raises `Away` when the provider stays away longer than the run is willing to wait.
        """
        if isinstance(error, Denied):
            return self._denied(flight, error)
        if isinstance(error, Halt):
            return error
        if not isinstance(error, Retryable):
            flight.route.lane.answered()
            return error
        self.notice_sleep()
        if error.code in ABSENCE and flight.since <= self._woke_at:
            return outage(error)
        return self._waited(flight, error)

    def _waited(self, flight: Flight, error: Retryable) -> Retryable:
        """Let the lane wait as the error asks for."""
        lane = flight.route.lane
        pause = 0.0
        if isinstance(error, RateLimited):
            pause = lane.limited(error.retry_after, flight.since, flight.ahead)
        elif error.code in ABSENCE:
            overload = error.code == "timeout" or error.http_status in OVERLOAD_STATUSES
            pause = lane.troubled(self._max_outage, flight.since, overload=overload)
        else:
            lane.answered()
        self._wait_or_leave(flight, error)
        if pause:
            self._tell(Paused(pause, str(error)))
        return outage(error) if was_away(flight) else error

    def _denied(self, flight: Flight, error: Denied) -> JobError | Halt:
        """Believe that the key is refused when one request more, sent alone, meets it again."""
        if flight.route.lane.denied(flight.since):
            return error
        flight.denials += 1
        if flight.denials >= DENIALS:  # others were answered between: it is about this job
            return Rejected(str(error), "rejected", error.http_status)
        self._tell(Paused(DENIED_PAUSE, f"{error}: one request looks again"))
        return Outage(str(error), "connection", error.http_status)

    def _wait_or_leave(self, flight: Flight, error: Retryable) -> None:
        """Raise `Away` when the wait that lies ahead is longer than the run may wait."""
        lane = flight.route.lane
        asked = error.retry_after or 0.0
        silent = lane.unanswered_for()
        away = lane.breaker.is_open or error.code == "connection"
        waits = away or asked or isinstance(error, RateLimited)
        if waits and silent + asked >= self._max_outage:
            raise Away(away_words(error, asked, silent)) from error

    def tick(self) -> bool:
        """Called every second or more often: whether every connection is to be dropped."""
        self._noticed(self._waking.tick())
        old, self._connections_are_old = self._connections_are_old, False
        if old:  # what went out since, went out on them
            self._woke_at = self._clock()
        return old

    def notice_sleep(self) -> None:
        """Notice a sleep before its consequences: what was sent before it has been lost in it."""
        self._noticed(self._waking.slept())

    def _noticed(self, slept: float) -> None:
        """Forgive errors of what was sent before a sleep."""
        if slept:
            self._woke_at = self._clock()
            self._connections_are_old = True
            self._tell(Woke(slept))


def heeded(flight: Flight, allowance: Allowance, usage: Usage) -> float:
    """Let the lane heed what the provider still allows; the seconds that its pause grew by."""
    lane = flight.route.lane
    ahead = lane.concurrency.limit
    return lane.allowed(allowance.until(1, usage), allowance.until(ahead, usage) / ahead)


def outage(error: Retryable) -> Outage:
    """The error as one that gives the job's attempts back."""
    return Outage(str(error), error.code, error.http_status)


def was_away(flight: Flight) -> bool:
    """Whether the provider is away or was so since the job's last error.

    Then the job's attempts start anew: those that were spent are given back.
    """
    breaker = flight.route.lane.breaker
    met, flight.outages = flight.outages, breaker.openings
    return breaker.is_open or (flight.attempts > 1 and met != flight.outages)


def away_words(error: JobError, asked: float, silent: float) -> str:
    """Why the run waits no longer, and when to try again if the provider said so."""
    words = f"no answer for {silent / 60:.0f} min" if silent >= 60 else "the provider is away"
    if asked:
        words = f"the provider asks to wait until {clock_time(asked)}"
    return f"{words}: {error}"
