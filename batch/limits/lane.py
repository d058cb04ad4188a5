"""What shares one quota: its concurrency, its rates, its pauses and its breaker."""

from __future__ import annotations

import math
import random
import sys

from .adaptive import Adaptive
from .breaker import Breaker, doubled
from .budget import Budget
from .clock import Clock, Sleep
from .concurrency import Gate
from .pace import Pace
from .rate import Moments, Tokens

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Seconds of a lane whose server asks for patience without saying how much: doubling."""

DENIED_PAUSE = 1.0
"""Seconds between a refused key and the one request that looks whether it was meant so."""

LONGEST_REFILL = 60.0
"""Seconds that a lane pauses at most because a reply said that its quota is used up."""

MOST_HEEDED = 5
"""Replies in a row that say so and are contradicted by the next answer: then it means nothing."""

OVERLOADED = 2
"""Timeouts or overload errors in a row that say: too many requests are in flight."""

MOMENT = 1e-6
"""Seconds that are not worth waiting for."""


class Lane:
    """What shares one quota (provider, base URL, key), and the best client of it.

    At most `ceiling` requests are in flight, adaptively; at most `rpm` requests and `tpm` tokens
    a minute go out; a server that says "slow down" gets a pause, fewer requests at once and, from
    what it answered until then, a pace. Everybody waits in one queue, first come first served.
    """

    def __init__(
        self,
        ceiling: int,
        rpm: float | None,
        clock: Clock,
        sleep: Sleep,
        *,
        tpm: float | None = None,
    ) -> None:
        self.concurrency = Gate(1, self._wait, self._take)
        self.breaker = Breaker()
        self.retries = Budget(clock, sleep)
        self._pauses: dict[str, float] = {}
        self._reason = ""
        self._paused_at = clock()
        self.pace = Pace(clock)
        self._adaptive = Adaptive(self.concurrency, ceiling, clock)
        self._rate = Moments(60.0 / rpm) if rpm else None
        self.tokens = Tokens(tpm) if tpm else None
        self._clock = clock
        self._is_open = False
        self._resume_at = clock()
        self._spread_until = clock()
        self._gap = 0.0
        self._next = clock()
        self._cut_at = -math.inf
        self._denied_at: float | None = None
        self._heeded = 0
        """Replies in a row that said that the quota is used up, and no refusal among them."""
        self._episodes = 0
        self._unanswered_since: float | None = None

    def __repr__(self) -> str:
        return f"Lane({self.concurrency!r}, {self.pace!r}, paused={self._pause_left():g})"

    def paused(self) -> dict[str, float]:
        """Seconds lost to pauses so far, each by the reason that the pause had then."""
        lost = dict(self._pauses)
        if self._reason:
            lately = min(self._clock(), self._resume_at) - self._paused_at
            lost[self._reason] = lost.get(self._reason, 0.0) + lately
        return lost

    # Sending

    async def acquire(self, tokens: float = 0.0) -> None:
        """Wait until a request of about so many tokens may go out."""
        await self.concurrency.acquire(tokens)

    def release(self) -> None:
        """Give the place back."""
        self.concurrency.release()

    def open(self) -> None:
        """Let everybody through who waits: nothing is sent in this lane any more."""
        self._pauses, self._reason = self.paused(), ""
        self._is_open = True
        self.retries.open()
        self.concurrency.limit = sys.maxsize

    @property
    def flying(self) -> int:
        """Requests in flight."""
        return self.concurrency.held

    def _pause_left(self) -> float:
        """Seconds until the lane's pause is over; 0 when there is none."""
        left = self._resume_at - self._clock()
        return left if left > MOMENT else 0.0

    def _wait(self) -> float:
        """Seconds until pause, rates and pace let one more request out."""
        if self._is_open:
            return 0.0
        now = self._clock()
        wait = max(self._next, self._resume_at) - now
        if self._rate:
            wait = max(wait, self._rate.wait(now))
        if self.tokens:
            wait = max(wait, self.tokens.wait(now))
        if self.pace.rate:
            wait = max(wait, self.pace.moments.wait(now))
        return wait if wait > MOMENT else 0.0

    def _take(self, tokens: float) -> None:
        """Count a request that goes out now."""
        now = self._clock()
        if now < self._spread_until:
            self._next = now + random.uniform(0.5, 1.5) * self._gap
        if self._rate:
            self._rate.take(now)
        if self.tokens:
            self.tokens.take(now, tokens)
        self.pace.sent()

    # What came back. `since` is when the attempt began: what was sent before the last cut or
    # denial knows nothing of it. `ahead` is how many were in flight then, itself among them.

    def answered(self) -> None:
        """The provider is there, whatever it said."""
        self.breaker.answered()
        self._unanswered_since = None

    def unanswered_for(self) -> float:
        """Seconds since the first of the waits and errors after the last answer."""
        if self._unanswered_since is None:
            return 0.0
        return self._clock() - self._unanswered_since

    def succeeded(self, since: float = math.inf, ahead: int = 0) -> None:
        """An answer came: allow more, if it was we who held others back."""
        self._episodes = 0
        if self._denied_at is not None and since > self._denied_at:
            self._denied_at = None
        self.answered()
        self.pace.answered()
        if self._denied_at is None:
            self._adaptive.grow(self.flying, ahead)

    def limited(self, wait: float | None, since: float = math.inf, ahead: int = 0) -> float:
        """The server asked for patience: pause for `wait` seconds or a growing time of our own.

        The lane is cut once an episode, not once a request in flight. The seconds that the pause
        grew by; 0 when a longer pause is under way.
        """
        self._unanswered()
        self.breaker.answered()
        self.pace.share.refused += 1
        self._heeded = 0
        if since > self._cut_at and self._pause_left() <= 0:
            self._episodes += 1
            self._slow_down(since, ahead)
            self._cut_at = self._clock()
        # A server whose advice was not enough (refused again, no answer between) is asked later.
        own = doubled(FIRST_PAUSE, self._episodes, LONGEST_PAUSE)
        if wait is None or self._episodes > 1:
            wait = max(own, wait or 0.0)
        return self._pause_for(wait, "rate limit")

    def _slow_down(self, since: float, ahead: int) -> None:
        """Let a refusal cut what may be to blame for it: the pace, or what was in flight."""
        if self._episodes > 1:  # no answer since the last refusal
            self._adaptive.look()
            return
        is_first = self.pace.rate is None
        if not is_first and self._adaptive.refused(ahead):
            return
        if self.pace.refused(since) and is_first:
            self._adaptive.cut(self.flying, remember=False)

    def troubled(
        self, patience: float = math.inf, since: float = math.inf, *, overload: bool = False
    ) -> float:
        """No answer, or a 5xx: once the breaker is open, pause and go on with one request.

        `patience` is how long the run waits in all, so that the last look comes at its end;
        `overload` says that the server may have too much to do. The seconds that the pause grew
        by.
        """
        self.breaker.troubled()
        self._unanswered()
        if not self.breaker.is_open:
            if overload and self.breaker.troubles >= OVERLOADED and since > self._cut_at:
                self._adaptive.cut(self.flying)
                self._cut_at = self._clock()
            return 0.0
        if self._pause_left() > 0:
            return 0.0
        self._adaptive.restart()
        left = max(1.0, patience - self.unanswered_for())
        return self._pause_for(min(self.breaker.next_probe(), left), "outage")

    def denied(self, since: float) -> bool:
        """The key was refused: pause, then look again with one request.

        Whether this was that look, so that the refusal is to be believed.
        """
        if self._denied_at is not None and since > self._denied_at:
            return True
        if self._denied_at is None:
            self._denied_at = self._clock()
            self._adaptive.restart()
            self._pause_for(DENIED_PAUSE, "refused key")
        return False

    def allowed(self, wait: float, gap: float) -> float:
        """A reply said when its quota allows one more request, and how far apart the next are.

        Both are 0 while there is enough; heeding them, the lane never meets the refusal that
        would come. The seconds that the pause grew by.
        """
        if wait > MOMENT:
            self._heeded += 1
            if self._heeded > MOST_HEEDED:  # it answers all the same
                return 0.0
            return self._pause_for(min(wait, LONGEST_REFILL), "quota used up")
        self._heeded = 0
        if gap > MOMENT:
            now = self._clock()
            self._gap = min(gap, LONGEST_REFILL)
            self._spread_until = max(self._spread_until, now + 2 * self._gap)
            self._next = max(self._next, now + self._gap / 2)
        return 0.0

    def _unanswered(self) -> None:
        """Something came instead of an answer; the first of those in a row is remembered."""
        if self._unanswered_since is None:
            self._unanswered_since = self._clock()

    def _pause_for(self, wait: float, reason: str) -> float:
        """Pause for `wait` seconds and a little jitter; the seconds that the pause grew by.

        Those who wait return one after the other.
        """
        if self._is_open:
            return 0.0
        now = self._clock()
        resume_at = now + wait + random.uniform(0.0, min(0.1 + wait / 10, 30.0))
        grown = max(0.0, resume_at - max(now, self._resume_at))
        if grown:
            self._pauses, self._paused_at, self._reason = self.paused(), now, reason
            self._resume_at = resume_at
            self.pace.resume(resume_at)
            spread = min(1.0, wait / 4)
            self._spread_until = resume_at + spread
            self._gap = spread / self.concurrency.limit
            self._next = resume_at
        return grown
