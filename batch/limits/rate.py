"""Requests a minute."""

from __future__ import annotations

from .clock import Clock, Sleep


class Rate:
    """Requests a minute, evenly spaced: each arrival books the next free moment.

    Weakness: a moment that was booked and not used, because the lane paused before it came, stays
    booked, so that a gap is left.
    """

    def __init__(self, per_minute: float, clock: Clock, sleep: Sleep) -> None:
        self._interval = 60.0 / per_minute
        self._clock = clock
        self._sleep = sleep
        self._next = clock()

    def __repr__(self) -> str:
        return f"Rate(interval={self._interval:g})"

    async def acquire(self) -> None:
        """Wait for the moment that is booked for this request."""
        now = self._clock()
        moment = max(now, self._next)
        self._next = moment + self._interval
        if moment > now:
            await self._sleep(moment - now)
