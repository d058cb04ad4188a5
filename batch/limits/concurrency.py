"""Places for requests and room for bytes, both first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Concurrency:
    """A semaphore whose limit may change while it is held.

    Holders are compared with the limit, never the new limit with the old one, so that lowering
    and raising it in any order loses no waiter.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()

    def __repr__(self) -> str:
        waiting = sum(not turn.done() for turn, _ in self._waiting)
        return f"{type(self).__name__}(limit={self._limit}, held={self.held}, waiting={waiting})"

    @property
    def limit(self) -> int:
        """How many may hold it at once; at least 1."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._admit()

    async def acquire(self, weight: float = 0.0) -> None:
        """Wait for a place; `weight` is for those that weigh who comes in."""
        if self.try_acquire(weight):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, weight))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # admitted and cancelled in the same turn of the loop
            raise

    def try_acquire(self, weight: float = 0.0) -> bool:
        """Take a place if one is free and nobody waits for it."""
        return not self._waiting and self._enter(weight)

    def release(self) -> None:
        """Give the place back."""
        self.held -= 1
        if self._waiting:
            self._admit()

    def _enter(self, weight: float) -> bool:
        """Take a place, if there is one."""
        if self.held >= self._limit:
            return False
        self.held += 1
        return True

    def _admit(self) -> None:
        """Let in who waits longest, while there is room."""
        while self._waiting:
            turn, weight = self._waiting[0]
            if not turn.done():
                if not self._enter(weight):
                    return
                turn.set_result(None)
            self._waiting.popleft()


class Gate(Concurrency):
    """Places that are given one after the other, each when its moment has come.

    `delay` tells the seconds until one more may come in (0 or less: now), `enter` is told the
    weight of each that does.
    """

    def __init__(
        self, limit: int, delay: Callable[[], float], enter: Callable[[float], None]
    ) -> None:
        super().__init__(limit)
        self._delay = delay
        self._entered = enter
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def _enter(self, weight: float) -> bool:
        """Take a place, if there is one and the moment has come; else look again when it does."""
        if self.held >= self._limit:
            return False
        if (delay := self._delay()) > 0:
            self._look_in(delay)
            return False
        self.held += 1
        self._entered(weight)
        return True

    def _look_in(self, delay: float) -> None:
        """See who may come in after so many seconds, unless that is done before."""
        loop = asyncio.get_running_loop()
        rings_at = loop.time() + delay
        if self._timer is not None:
            if self._rings_at <= rings_at + 0.001:
                return
            self._timer.cancel()
        self._rings_at = rings_at  # uvloop's handles do not tell
        self._timer = loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        """A moment has come, or an earlier one than is right by now."""
        self._timer = None
        self._admit()


class Held:
    """Bytes held in memory, with a cap that stops new loads while it is reached."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self.bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def __repr__(self) -> str:
        return f"Held(bytes={self.bytes}, cap={self._cap})"

    @property
    def is_half_full(self) -> bool:
        """Whether at least half of the cap is held."""
        return 2 * self.bytes >= self._cap

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
