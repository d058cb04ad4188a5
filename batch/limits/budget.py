"""How many retries a lane may send."""

from __future__ import annotations

from .clock import Clock, Sleep
from .concurrency import Concurrency

SHARE = 0.085
"""Retries that each first attempt allows: a little less than a tenth."""

SAVED = 20.0
"""Retries that are allowed at once: a short run needs no more."""

A_SECOND = 0.1
"""Retries a second that are allowed in any case."""

MOST_WAITING = 4000
"""Retries that wait at most: there is a bound on everything."""


class Budget:
    """Keeps retries below a tenth of the traffic while a server is failing in part.

    A retry that finds none left waits, it does not fail: in the order of arrival, and until
    `open` says that there is no other traffic any more.
    """

    def __init__(self, clock: Clock, sleep: Sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._left = SAVED
        self._at = clock()
        self._is_open = False
        self._turns = Concurrency(1)
        self._waiting = 0

    def __repr__(self) -> str:
        return f"Budget({self._left:.1f} of {SAVED:g} left, {self._waiting} waiting)"

    def earn(self) -> None:
        """A request goes out for the first time."""
        self._left = min(SAVED, self._left + SHARE)

    def take(self) -> bool:
        """Take a retry that may go out at once; False when it has to wait for its turn."""
        if self._is_open or self._waiting >= MOST_WAITING:
            return True
        if self._waiting or self._earned() < 1.0:
            return False
        self._left -= 1.0
        return True

    async def wait(self) -> None:
        """Wait until a retry may go out."""
        self._waiting += 1
        try:
            await self._turns.acquire()
            try:
                while not self._is_open and self._earned() < 1.0:
                    await self._sleep(min(1.0, (1.0 - self._left) / A_SECOND + 0.001))
                self._left -= not self._is_open
            finally:
                self._turns.release()
        finally:
            self._waiting -= 1

    def open(self) -> None:
        """Only retries are left to do: let them out."""
        self._is_open = True

    def _earned(self) -> float:
        """Retries that are allowed now."""
        now = self._clock()
        self._left = min(SAVED, self._left + (now - self._at) * A_SECOND)
        self._at = now
        return self._left
