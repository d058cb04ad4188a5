"""What holds a run back: concurrency that can be resized, requests a minute, the lane's pause.

All are first come, first served. Times are seconds of the clock that is given, so that tests set
them as numbers.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Seconds of a lane whose server asks for patience without saying how much: doubling."""

TROUBLES = 8
"""Transport errors, timeouts or 5xx in a row that say: not this job, the provider is away."""

FIRST_PROBE = 5.0
LONGEST_PROBE = 120.0
"""Seconds between two looks at a provider that is away: doubling from the first to the longest."""

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Concurrency:
    """A semaphore whose limit may change while it is held.

    Holders are compared with the limit, never the new limit with the old one, so that lowering
    and raising it in any order loses no waiter.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        waiting = sum(not turn.done() for turn in self._waiting)
        return f"Concurrency(limit={self._limit}, held={self.held}, waiting={waiting})"

    @property
    def limit(self) -> int:
        """How many may hold it at once; at least 1."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._admit()

    async def acquire(self) -> None:
        """Wait for a place."""
        if self.held < self._limit:  # then nobody waits: whoever could come in was let in
            self.held += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # admitted and cancelled in the same turn of the loop
            raise

    def release(self) -> None:
        """Give the place back."""
        self.held -= 1
        if self._waiting:
            self._admit()

    def _admit(self) -> None:
        """Let in who waits longest, while there is room."""
        while self._waiting and self.held < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.held += 1
                turn.set_result(None)


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


def doubled(first: float, times: int, longest: float) -> float:
    """`first` · 2^(`times` − 1), at most `longest`: also after a week of doubling."""
    return min(longest, first * 2.0 ** min(times - 1, 60))


class Breaker:
    """Notices that the provider is away, and says when to look again."""

    def __init__(self) -> None:
        self.openings = 0
        """How often it opened."""
        self._troubles = 0
        self._probes = 0

    def __repr__(self) -> str:
        return f"Breaker(troubles={self._troubles}, probes={self._probes})"

    @property
    def is_open(self) -> bool:
        """Whether the provider counts as away."""
        return self._troubles >= TROUBLES

    def answered(self) -> None:
        """The provider is there."""
        self._troubles = self._probes = 0

    def troubled(self) -> None:
        """One more error in a row."""
        self._troubles += 1
        self.openings += self._troubles == TROUBLES

    def next_probe(self) -> float:
        """Seconds until the provider is looked at again."""
        self._probes += 1
        return doubled(FIRST_PROBE, self._probes, LONGEST_PROBE)


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


class Held:
    """Bytes held in memory, with a cap that stops new loads while it is reached."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self.bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def __repr__(self) -> str:
        return f"Held(bytes={self.bytes}, cap={self._cap})"

    async def room(self) -> None:
        """Wait until less than the cap is held."""
        while self.bytes >= self._cap:
            await self._room.wait()

    def add(self, count: int) -> None:
        """Count bytes in (or out, when negative)."""
        self.bytes += count
        if self.bytes < self._cap:
            self._room.set()
        else:
            self._room.clear()
