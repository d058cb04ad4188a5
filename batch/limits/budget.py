"""How many retries a lane may send."""

from __future__ import annotations

from .clock import Clock, Sleep
from .concurrency import Concurrency

SHARE = 0.1
"""Retries that each first attempt allows."""

SAVED = 100.0
"""Retries that are allowed at once: a short run needs not more."""

A_SECOND = 1.0
"""Retries a second that are allowed in any case, so that a run comes to its end."""


class Budget:
    """Keeps retries below a tenth of the traffic while a server is failing in part.

    A retry that finds none left waits, it does not fail: in the order of arrival.
    """

    def __init__(self, clock: Clock, sleep: Sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._left = SAVED
        self._at = clock()
        self._turns = Concurrency(1)

    def __repr__(self) -> str:
        return f"Budget({self._left:.1f} of {SAVED:g} left)"

    def earn(self) -> None:
        """A request goes out for the first time."""
        self._left = min(SAVED, self._left + SHARE)

    async def spend(self) -> None:
        """Wait until a retry may go out."""
        await self._turns.acquire()
        try:
            while self._earned() < 1.0:
                await self._sleep(min(1.0, (1.0 - self._left) / A_SECOND + 0.001))
            self._left -= 1.0
        finally:
            self._turns.release()

    def _earned(self) -> float:
        """Retries that are allowed now."""
        now = self._clock()
        self._left = min(SAVED, self._left + (now - self._at) * A_SECOND)
        self._at = now
        return self._left
