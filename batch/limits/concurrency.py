"""Places for requests and room for bytes, both first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


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
