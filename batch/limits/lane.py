"""What shares one quota: its concurrency, its rate, its pause and its breaker."""

from __future__ import annotations

import asyncio
import math
import random

from .breaker import Breaker, doubled
from .clock import Clock, Sleep
from .concurrency import Concurrency
from .rate import Rate

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Seconds of a lane whose server asks for patience without saying how much: doubling."""


class Lane:
    """What shares one quota (provider, base URL, key): its concurrency, its rate and its pause.

    It begins with one request in flight and grows by one with each answer (so it doubles a round
    trip) up to `ceiling`; a rate limit halves it once an episode, after which it grows by one a
    round trip from there.
    """

    def __init__(self, ceiling: int, rpm: float | None, clock: Clock, sleep: Sleep) -> None:
        self.concurrency = Concurrency(1)
        self.breaker = Breaker()
        self._ceiling = ceiling
        self._rate = Rate(rpm, clock, sleep) if rpm else None
        self._clock = clock
        self._sleep = sleep
        self._resume_at = clock()
        self._pauses = 0.0
        self._careful_from = ceiling
        self._answers = 0
        self._episodes = 0
        self._unanswered_since: float | None = None

    def __repr__(self) -> str:
        paused = max(0.0, self._resume_at - self._clock())
        return f"Lane({self.concurrency!r}, ceiling={self._ceiling}, paused={paused:g})"

    @property
    def paused_seconds(self) -> float:
        """Seconds lost to pauses so far; what is left of one under way does not count yet."""
        return self._pauses - max(0.0, self._resume_at - self._clock())

    async def acquire(self) -> None:
        """Wait until a request may go out: a free place, the rate's moment, no pause.

        The pause is looked at last, because it may begin during the other waits; nobody keeps a
        place while it lasts.
        """
        while True:
            await self.concurrency.acquire()
            if self._rate and self._resume_at <= self._clock():
                await self._moment(self._rate)
            if self._resume_at <= self._clock():
                return
            self.concurrency.release()
            await self._pause()

    async def _moment(self, rate: Rate) -> None:
        """Wait for the rate's moment; the place is given back when that is cancelled."""
        try:
            await rate.acquire()
        except asyncio.CancelledError:
            self.concurrency.release()
            raise

    def release(self) -> None:
        """Give the place back."""
        self.concurrency.release()

    def answered(self) -> None:
        """The provider is there, whatever it said."""
        self.breaker.answered()
        self._unanswered_since = None

    def unanswered_for(self) -> float:
        """Seconds since the first of the waits and errors after the last answer."""
        if self._unanswered_since is None:
            return 0.0
        return self._clock() - self._unanswered_since

    def succeeded(self) -> None:
        """An answer came: allow more, fast at first and carefully after a rate limit."""
        self._episodes = 0
        self.answered()
        limit = self.concurrency.limit
        if limit >= self._ceiling:
            return
        self._answers += 1
        if limit < self._careful_from or self._answers >= limit:
            self._answers = 0
            self.concurrency.limit = limit + 1

    def limited(self, wait: float | None) -> float:
        """The server asked for patience: pause for `wait` seconds or a growing time of our own.

        Positive jitter is added, so that waiting clients do not return in one instant. The
        seconds that the pause grew by; 0 when a longer pause is under way.
        """
        self._unanswered()
        if self._resume_at <= self._clock():  # one cut an episode, not one a request in flight
            self.concurrency.limit = self.concurrency.limit // 2
            self._careful_from = self.concurrency.limit
            self._answers = 0
            self._episodes += 1
        if wait is None:
            wait = doubled(FIRST_PAUSE, self._episodes, LONGEST_PAUSE)
        self.breaker.answered()
        return self._pause_for(wait)

    def troubled(self, patience: float = math.inf) -> float:
        """No answer, or a 5xx: once the breaker is open, pause and go on with one request.

        `patience` is how long the run waits in all, so that the last look comes at its end. The
        seconds that the pause grew by.
        """
        self.breaker.troubled()
        self._unanswered()
        if not self.breaker.is_open or self._resume_at > self._clock():
            return 0.0
        self.concurrency.limit = 1
        self._careful_from = self._ceiling
        left = max(1.0, patience - self.unanswered_for())
        return self._pause_for(min(self.breaker.next_probe(), left))

    def _unanswered(self) -> None:
        """Something came instead of an answer; the first of those in a row is remembered."""
        if self._unanswered_since is None:
            self._unanswered_since = self._clock()

    def _pause_for(self, wait: float) -> float:
        """Pause for `wait` seconds and a little jitter; the seconds that the pause grew by."""
        now = self._clock()
        resume_at = now + wait + random.uniform(0.0, min(1.0 + wait / 10, 30.0))
        grown = max(0.0, resume_at - max(now, self._resume_at))
        self._resume_at = max(self._resume_at, resume_at)
        self._pauses += grown
        return grown

    async def _pause(self) -> None:
        """Wait until the lane's pause is over, and a little more each for a staggered return."""
        while (wait := self._resume_at - self._clock()) > 0:
            await self._sleep(wait + random.uniform(0.0, min(1.0, wait / 4)))
