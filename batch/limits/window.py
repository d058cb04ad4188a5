"""Jobs under way at once, those that wait included."""

from __future__ import annotations

from collections.abc import Awaitable, Hashable

from .concurrency import Concurrency


class Window:
    """Bounds the jobs under way; one that has to wait for long may stand aside for others."""

    def __init__(self, size: int) -> None:
        self._places = Concurrency(size)
        self._aside: set[Hashable] = set()

    def __repr__(self) -> str:
        return f"Window({self._places!r}, {len(self._aside)} aside)"

    async def enter(self) -> None:
        """Wait for a place."""
        await self._places.acquire()

    def leave(self, who: Hashable) -> None:
        """Give the place back, wherever `who` stands."""
        if who in self._aside:
            self._aside.discard(who)
        else:
            self._places.release()

    async def stand_aside(self, who: Hashable, wait: Awaitable[None]) -> None:
        """Let another one in until `wait` is over, then wait for a place again."""
        self._aside.add(who)
        self._places.release()
        await wait
        await self._places.acquire()
        self._aside.discard(who)
