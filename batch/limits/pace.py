"""How many requests a second a server takes: learned from what it took until it refused.

A limit on what is in flight cannot hold a rate: one request at a time, each answered within
5 ms, are two hundred a second.
"""

from __future__ import annotations

import math
from collections import deque

from .clock import Clock
from .rate import Moments

SHORTEST = 1.0
LONGEST = 10.0
"""Seconds over which requests are counted to tell the recent rate."""

STEP = 0.1
"""Seconds counted together."""

BELOW = 0.96
"""Share of the rate met with a refusal at which the lane goes on."""

FIRST_HOLD = 5.0
LONGEST_HOLD = 600.0
"""Seconds without growth after a refusal that came at about the rate of the last one: doubling."""

WELL_BELOW = 0.7
"""Smallest share to which a pace is cut at once."""

ENOUGH = 10.0
"""Requests a second that make a first guess a good one."""

LATELY = 2.0
NEARLY = 0.8
"""Seconds in which requests went out at this share of the pace: then it holds them back."""

TOLERATED = 0.015
REMEMBERED = 2000
"""Share of refusals that is no reason to slow down, among about so many requests."""

CLOSE_EPISODES = 3
CLOSE = 50
"""So many episodes of refusals among so many requests are a reason in any case."""

NEAR = 0.1
"""Share by which two rates differ that are about the same."""

SLOWEST = 1.0 / 60
"""Requests a second of the slowest pace."""

SURE = 0.01
UNSURE = 0.3
"""Growth a second when a pace begins to try for more: of one that was kept, of a first guess."""

DOUBLING = 10.0
"""Seconds in which the growth doubles, so that no pace is frozen at a rate that was too low."""

FASTEST_GROWTH = 0.5


class Meter:
    """Counts requests, of the last seconds by the tenth of a second."""

    def __init__(self) -> None:
        self._steps: deque[list[float]] = deque(maxlen=int(LONGEST / STEP) + 1)
        """Pairs of a step's start and its requests."""

    def add(self, now: float) -> None:
        """Count one request."""
        if self._steps and now - self._steps[-1][0] < STEP:
            self._steps[-1][1] += 1
        else:
            self._steps.append([now, 1])

    def rate(self, start: float, end: float) -> float:
        """Requests a second between two moments, or in the last seconds before the end."""
        start = max(start, end - LONGEST)
        count = sum(n for at, n in self._steps if start <= at <= end)
        return count / (end - start)


class Share:
    """The share of refusals among the last requests, so that a few of them change nothing.

    Some servers refuse one request of a hundred at any rate; a client that slowed down for each
    would stand still in the end.
    """

    def __init__(self) -> None:
        self.refused = 0.0
        self._sent = 0.0
        self._total = 0
        self._episodes: deque[int] = deque([-REMEMBERED] * CLOSE_EPISODES, CLOSE_EPISODES)

    def sent(self) -> None:
        """Count a request; those of long ago count half."""
        self._total += 1
        self._sent += 1
        if self._sent > REMEMBERED:
            self._sent /= 2
            self.refused /= 2

    def is_too_large(self) -> bool:
        """Whether an episode of refusals that begins now is one too many."""
        self._episodes.append(self._total)
        close = self._total - self._episodes[0] < CLOSE
        return close or self.refused > TOLERATED * self._sent


class Pace:
    """Evenly spaced requests at a rate that is cut at each refusal and grows between them.

    There is none (`rate` is None) until the server refuses for the first time.
    """

    def __init__(self, clock: Clock) -> None:
        self.rate: float | None = None
        """Requests a second."""
        self.moments = Moments(0.0)
        self._felt = False
        self._clock = clock
        self._meter = Meter()
        self.share = Share()
        self._resumed_at = clock()
        self.answers = 0
        """Since the last refusal."""
        self._trouble_at = 0.0
        self._hold = FIRST_HOLD
        self._hold_until = -math.inf
        self._growth = UNSURE
        self._grown_at = -math.inf
        self._refused_at: float | None = None

    def __repr__(self) -> str:
        return "Pace(free)" if self.rate is None else f"Pace({self.rate:.3g}/s)"

    def sent(self) -> None:
        """Count a request that goes out."""
        now = self._clock()
        self._meter.add(now)
        self.share.sent()
        if self.rate is not None:
            self.moments.take(now)

    def is_felt(self, now: float) -> bool:
        """Whether it is the pace that holds requests back: they go out nearly as fast as it."""
        start = max(self._resumed_at, now - LATELY)
        if self.rate is None:
            return False
        if self.rate < 1.0 / LATELY:  # too few to count: was the last moment taken?
            self._felt = self.moments.wait(now) >= (1.0 - 1.0 / NEARLY) / self.rate
        elif now - start >= LATELY / 4:
            self._felt = self._meter.rate(start, now) >= NEARLY * self.rate
        return self._felt

    def answered(self) -> None:
        """Count an answer; the pace grows when somebody waits for it."""
        self.answers += 1
        if self.rate is not None:
            self._grow(self.rate, self._clock())

    def _grow(self, rate: float, now: float) -> None:
        """Grow for the time since the last growth, faster the longer no refusal came."""
        seconds = min(now - self._grown_at, 1.0)
        if seconds < STEP:
            return
        self._grown_at = now
        trying = now - self._hold_until
        if trying >= 0 and self.is_felt(now):
            growth = self._growth * 2.0 ** min(trying / DOUBLING, 30.0)
            self._set(rate * (1.0 + min(growth, FASTEST_GROWTH) * seconds))

    def refused(self, since: float) -> bool:
        """A request that was sent at `since` was refused: learn from those that went before it.

        Whether the pace was changed.

        Where the pace held requests back, it is the pace that is too high; elsewhere the recent
        rate is. Between two refusals the server answered all that it is willing to, pauses
        included, so that the rate of that time is never too high, and what was saved up makes
        the other one too high: the truth lies between the two.
        """
        if since < self._resumed_at or not self.share.is_too_large():
            return False
        now = self._clock()
        since = min(since, now)
        if self.rate is not None and self.is_felt(now):
            self._growth = SURE
            near = abs(self.rate - self._trouble_at) <= NEAR * self.rate
            self._hold = min(2 * self._hold, LONGEST_HOLD) if near else FIRST_HOLD
            self._trouble_at = self.rate
            share = math.sqrt(self._steady(now) / self.rate)
            self._set(self.rate * min(max(share, WELL_BELOW), BELOW))
        else:
            recent = self._meter.rate(min(self._resumed_at, since - SHORTEST), since)
            self._growth = SURE if recent >= ENOUGH else UNSURE
            self._hold = 0.0
            recent = math.sqrt(recent * min(recent, self._steady(now)))
            self._set(max(BELOW * recent, WELL_BELOW * (self.rate or 0.0)))
        self._hold_until = now + self._hold
        self._grown_at = now
        self._refused_at = now
        self.answers = 0
        return True

    def _steady(self, now: float) -> float:
        """Answers a second since the last refusal, pauses included; no bound before that."""
        if self._refused_at is None:
            return math.inf
        return self.answers / max(now - self._refused_at, SHORTEST)

    def resume(self, moment: float) -> None:
        """A pause lasts until then: what is sent after it is counted anew."""
        self._resumed_at = moment

    def _set(self, rate: float) -> None:
        """Go on with another rate."""
        self.rate = max(rate, SLOWEST)
        self.moments.interval = 1.0 / self.rate
