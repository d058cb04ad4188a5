"""How many requests may be in flight: found by trying, under a ceiling."""

from __future__ import annotations

import math

from .clock import Clock
from .concurrency import Concurrency

FIRST_HOLD = 10.0
LONGEST_HOLD = 60.0
"""Seconds for which a limit stays just below the place of the last trouble: doubling each time
that trouble is met at about the same place."""

LATELY = 30.0
"""Seconds after which it is forgotten, at the earliest, how many requests went well together."""


class Adaptive:
    """Resizes a `Concurrency` between 1 and `ceiling` (slow start, additive growth, halving).

    It begins with one and grows by one with each answer, so that it doubles a round trip, until
    the first trouble. A cut halves what was in flight. From there it grows as fast again up to
    just below the place of the trouble, stays there for a while and then tries for more, by one
    a round trip. It grows only while it is what holds the run back.

    Weakness: it hears of a queue inside the server only when requests time out.
    """

    def __init__(self, places: Concurrency, ceiling: int, clock: Clock) -> None:
        self._places = places
        self._ceiling = ceiling
        self._clock = clock
        self._trouble_at: float = math.inf
        self._hold = FIRST_HOLD
        self._hold_until = -math.inf
        self._answers = 0
        self._before_look = 0
        self._accepted = [0, 0]
        """Most that were in flight when a request was sent that was accepted: before, lately."""
        self._forget_at = clock() + LATELY

    def __repr__(self) -> str:
        return f"Adaptive({self._places.limit} of {self._ceiling}, trouble at {self._trouble_at})"

    def grow(self, flying: int, ahead: int = 0) -> None:
        """An answer came: allow more, if the limit is what keeps others from being sent.

        `flying` requests are in flight, `ahead` were so when this one was sent. While the limit
        grows fast it may be up to twice of what is used, because several answers can come before
        the next requests go out.
        """
        places = self._places
        self._note(ahead)
        if self._before_look:
            places.limit, self._before_look = self._before_look, 0
            return
        limit = places.limit
        used = max(flying, ahead)
        if limit >= self._ceiling or limit >= 2 * used:
            return
        if limit + 1 >= self._trouble_at:
            if used < limit or self._clock() < self._hold_until:
                return
            self._answers += 1
            if self._answers < limit:
                return
        self._answers = 0
        places.limit = limit + 1

    def cut(self, flying: int, *, remember: bool = True) -> None:
        """`flying` requests are too many, or that may be it: go on with half of them.

        `remember` says that it is known to be it, so that the place of the trouble is kept away
        from.
        """
        if remember:
            self._remember(flying)
        self._answers = self._before_look = 0
        self._places.limit = min(self._places.limit, flying // 2)

    def refused(self, ahead: int) -> bool:
        """A request was refused that made it `ahead` in flight: keep below, if that explains it.

        It does when none was accepted lately while as many were in flight.
        """
        if ahead <= max(self._accepted):
            return False
        self._remember(ahead)
        self._answers = self._before_look = 0
        self._places.limit = min(self._places.limit, ahead - 1)
        return True

    def _note(self, ahead: int) -> None:
        """Remember for a while that a request was accepted that made it `ahead` in flight."""
        self._accepted[1] = max(self._accepted[1], ahead)
        now = self._clock()
        if now >= self._forget_at:
            self._forget_at = now + LATELY
            self._accepted = [self._accepted[1], ahead]

    def _remember(self, met: int) -> None:
        """Stay below `met` for a while: longer when trouble came there before."""
        near = abs(met - self._trouble_at) <= max(1, met // 8)
        self._hold = min(2 * self._hold, LONGEST_HOLD) if near else FIRST_HOLD
        self._hold_until = self._clock() + self._hold
        self._trouble_at = met

    def look(self) -> None:
        """Send one request, and with its answer go on as before."""
        self._before_look = max(self._before_look, self._places.limit)
        self._places.limit = 1

    def restart(self) -> None:
        """Begin again with one request, as at the start."""
        self._places.limit = 1
        self._before_look = 0
        self._trouble_at = math.inf
        self._answers = 0
