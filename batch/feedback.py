"""What comes instead of an answer: the lane feels it, and the job learns what to make of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from .errors import Away, JobError, Outage, RateLimited, Retryable
from .events import Event, Paused
from .limits.lane import Lane
from .outcomes import Flight

ABSENCE = frozenset({"connection", "timeout", "server_error"})
"""Failures that may mean that the provider is away."""


class Feedback:
    """The only thing that runs backwards: from the wire to the lane.

    `max_outage` is how long (seconds) the run waits for a provider that is away; `tell` is told
    of each pause.
    """

    def __init__(self, lane: Lane, max_outage: float, tell: Callable[[Event], None]) -> None:
        self._lane = lane
        self._max_outage = max_outage
        self._tell = tell

    def felt(self, flight: Flight, error: JobError) -> JobError:
        """Let the lane feel what came instead of an answer; what the job is to make of it.

        Raises `Away` when the provider stays away longer than the run is willing to wait.
        """
        if not isinstance(error, Retryable):
            self._lane.answered()
            return error
        pause = 0.0
        if isinstance(error, RateLimited):
            pause = self._lane.limited(error.retry_after)
        elif error.code in ABSENCE:
            pause = self._lane.troubled(self._max_outage)
        else:
            self._lane.answered()
        self._wait_or_leave(error)
        if pause:
            self._tell(Paused(pause, str(error)))
        if self._was_away(flight):
            return Outage(str(error), error.code, error.http_status)
        return error

    def _wait_or_leave(self, error: Retryable) -> None:
        """Raise `Away` when the wait that lies ahead is longer than the run may wait."""
        asked = error.retry_after or 0.0
        silent = self._lane.unanswered_for()
        away = self._lane.breaker.is_open or error.code == "connection"
        waits = away or asked or isinstance(error, RateLimited)
        if waits and silent + asked >= self._max_outage:
            raise Away(away_words(error, asked, silent)) from error

    def _was_away(self, flight: Flight) -> bool:
        """Whether the provider is away or was so since the job's last error.

        Then the job's attempts start anew: those that were spent are given back.
        """
        breaker = self._lane.breaker
        met, flight.outages = flight.outages, breaker.openings
        return breaker.is_open or (flight.attempts > 1 and met != flight.outages)


def away_words(error: JobError, asked: float, silent: float) -> str:
    """Why the run waits no longer, and when to try again if the provider said so."""
    words = f"no answer for {silent / 60:.0f} min" if silent >= 60 else "the provider is away"
    if asked:
        at = datetime.now().astimezone() + timedelta(seconds=asked)
        words = f"the provider asks to wait until {at:%Y-%m-%d %H:%M}"
    return f"{words}: {error}"
