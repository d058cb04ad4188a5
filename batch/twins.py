"""Asks once what several jobs of a run ask alike, and gives the answer to each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from .models import Reply, Usage
from .outcomes import Flight
from .routes import Route

REMEMBERED = 10_000
"""Answers that are kept for twins to come: there is a bound on everything."""


class Alone:
    """Every job asks for itself."""

    spared = 0

    async def once(self, _key: str, _flight: Flight, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """What `ask` brings."""
        return await ask()


class Twins:
    """Remembers what was asked by key: a key holds all that decides an answer."""

    def __init__(self) -> None:
        self.spared = 0
        """Requests that were not sent."""
        self._asked: dict[str, asyncio.Future[tuple[Reply, Route]]] = {}

    def __repr__(self) -> str:
        return f"Twins(asked={len(self._asked)}, spared={self.spared})"

    async def once(self, key: str, flight: Flight, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """The answer to `key` for the job of `flight`: that of a twin, else what `ask` brings.

        A twin that fails or is stopped answers nobody: the next one asks for itself. An answer
        that was shared used no tokens of its own.
        """
        while (twin := self._asked.get(key)) is not None:
            await asyncio.wait([twin])
            if not twin.cancelled():
                self.spared += 1
                reply, flight.route = twin.result()
                return shared(reply)
        answer = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            reply = await ask()
            answer.set_result((reply, flight.route))
            return reply
        finally:
            if not answer.done():
                answer.cancel()
                del self._asked[key]
            elif len(self._asked) > REMEMBERED:
                self._forget()

    def _forget(self) -> None:
        """Forget the oldest answer."""
        oldest = next(key for key, answer in self._asked.items() if answer.done())
        del self._asked[oldest]


def shared(reply: Reply) -> Reply:
    """A reply as it counts for the twin of the job that asked."""
    usage = reply.usage
    none = Usage(
        None if usage.input_tokens is None else 0, None if usage.output_tokens is None else 0
    )
    return replace(reply, usage=none, allowance=None)
