"""Several equal servers of one provider, which answer as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from msgspec import Struct
from msgspec.structs import replace

from ..errors import BatchError, JobError, RateLimited, Retryable
from ..limits.breaker import Breaker, doubled
from ..limits.clock import Clock
from ..limits.lane import FIRST_PAUSE, LONGEST_PAUSE, LONGEST_REFILL
from ..models import Reply, Request
from ..providers.connection import Completer

TROUBLES = 3
"""Passing troubles in a row after which a server is set aside.

Replies that nobody understands count too: who errs is quick, and would draw most of the requests.
"""


class EndpointState(Struct, frozen=True):
    """How one server of a fleet fares."""

    address: str
    """As the user typed it."""
    answered: int = 0
    failed: int = 0
    """Broken connections, timeouts, 5xx, and replies that could not be understood."""
    away: bool = False
    """Whether it is set aside because it does not answer."""
    away_s: float = 0.0
    """Seconds since it was set aside."""


class Endpoint:
    """One server of a fleet: what it has in flight, and whether it may be asked."""

    def __init__(self, address: str, completer: Completer, clock: Clock) -> None:
        self.address = address
        self.completer = completer
        self.outstanding = 0
        self._clock = clock
        self._breaker = Breaker(TROUBLES)
        self._answered = 0
        self._failed = 0
        self._away_since = 0.0
        self._probe_at = 0.0
        self._probing = False
        self._paused_until = clock()
        self._pauses = 0
        self._drops = 0

    def __repr__(self) -> str:
        return f"Endpoint({self.address}, outstanding={self.outstanding}, away={self.is_away})"

    @property
    def is_away(self) -> bool:
        """Whether it is set aside because it does not answer."""
        return self._breaker.is_open

    @property
    def resume_at(self) -> float:
        """When it may be asked again, on the fleet's clock; past when it may be asked now."""
        return max(self._paused_until, self._probe_at) if self.is_away else self._paused_until

    def is_usable(self, now: float) -> bool:
        """Whether it may be asked now; one that was away is asked by one request first."""
        return self.resume_at <= now and not (self.is_away and self._probing)

    def state(self) -> EndpointState:
        """How it fares now."""
        away_s = self._clock() - self._away_since if self.is_away else 0.0
        return EndpointState(self.address, self._answered, self._failed, self.is_away, away_s)

    async def complete(self, request: Request) -> Reply:
        """Answer one request, and learn from what comes; errors tell the address."""
        probes = self.is_away and self.is_usable(self._clock())
        drops = self._drops
        self._probing |= probes
        self.outstanding += 1
        try:
            reply = await self.completer.complete(request)
        except BatchError as error:
            if drops == self._drops:  # else it may be us who closed the connection
                self._learn(error, probes=probes)
            error.args = (f"{self.address}: {error}",)
            raise
        finally:  # also when the request is given up, which says nothing of the server
            self.outstanding -= 1
            if probes:
                self._probing = False
        self._answered += 1
        self._pauses = 0
        self._breaker.answered()
        if reply.allowance is None:
            return reply
        self._wait_for(min(reply.allowance.until(1, reply.usage), LONGEST_REFILL))
        # What this server still allows is nothing that the others have to go by.
        return replace(reply, allowance=None)

    async def drop(self) -> None:
        """Close every connection, which is nothing that the server did."""
        self._drops += 1
        await self.completer.drop()

    def _learn(self, error: BatchError, *, probes: bool) -> None:
        """Pause, set the server aside, or take note that it is there."""
        if isinstance(error, RateLimited):
            self._breaker.answered()
            self._pause(error.retry_after)
        elif isinstance(error, Retryable):
            self._failed += 1
            self._troubled(probes=probes)
        elif isinstance(error, JobError):
            self._breaker.answered()

    def _pause(self, wait: float | None) -> None:
        """Leave the server alone for `wait` seconds, or for a growing time of our own."""
        # One step a pause, not one a request in flight.
        self._pauses += self._paused_until <= self._clock()
        own = doubled(FIRST_PAUSE, self._pauses, LONGEST_PAUSE)
        if wait is None or self._pauses > 1:  # refused again, so the advice was not enough
            wait = max(own, wait or 0.0)
        self._wait_for(wait)

    def _wait_for(self, seconds: float) -> None:
        """Leave the server alone for so long, or longer if it is left alone already."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _troubled(self, *, probes: bool) -> None:
        """One more error in a row: with the third the server is set aside."""
        was_away = self.is_away
        self._breaker.troubled()
        # While it is away only a probe tells something new: the errors of requests that were on
        # their way when it went shall not set it aside for longer.
        if self.is_away and (probes or not was_away):
            self._probe_at = self._clock() + self._breaker.next_probe()
        if self.is_away and not was_away:
            self._away_since = self._clock()


class Fleet:
    """Sends each request to the server with the fewest outstanding ones.

    Equal servers are a tie for the one used last, whose connections are warm. A connection that
    fails and a rate limit are passed over at once: another server is asked, each at most once a
    request. Timeouts and 5xx are raised, because they may be the request's own doing.
    """

    def __init__(self, completers: Mapping[str, Completer], clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._endpoints = [Endpoint(name, each, clock) for name, each in completers.items()]
        self._last = self._endpoints[0]

    def __repr__(self) -> str:
        return f"Fleet({self._endpoints!r})"

    @property
    def endpoints(self) -> tuple[EndpointState, ...]:
        """How each server fares, in the order in which they were given."""
        return tuple(endpoint.state() for endpoint in self._endpoints)

    async def complete(self, request: Request) -> Reply:
        """Answer one request.

        Raises the last error when no other server is left to be asked: as a `RateLimited` that
        lasts until the first of them may be asked again when one of them only wants patience.
        """
        untried = list(self._endpoints)
        endpoint = self._best(untried) or self._first_back()
        while True:
            untried.remove(endpoint)
            self._last = endpoint
            try:
                return await endpoint.complete(request)
            except Retryable as error:
                limited = isinstance(error, RateLimited)
                if not limited and error.code != "connection":
                    raise
                other = self._best(untried)
                if other is None and (limited or self._wants_patience()):
                    raise self._patience(str(error), error.http_status) from error
                if other is None:
                    raise
            endpoint = other

    def _best(self, endpoints: Sequence[Endpoint]) -> Endpoint | None:
        """The server to be asked next, if one may be asked.

        One that was away and is due comes first: else nobody would notice that it is back while
        the others have time.
        """
        now = self._clock()
        return min(
            (each for each in endpoints if each.is_usable(now)),
            key=lambda each: (not each.is_away, each.outstanding, each is not self._last),
            default=None,
        )

    def _first_back(self) -> Endpoint:
        """The first that may be asked again, where none may be asked now.

        One that is away is asked before its time, because whether to wait is for the lane to say.
        One that asked for patience is not: raises `RateLimited`.
        """
        first = min(self._endpoints, key=lambda each: each.resume_at)
        if not first.is_away:
            raise self._patience("every server asks to wait or is away")
        return first

    def _wants_patience(self) -> bool:
        """Whether none may be asked now, and one of them is there and only asks to wait."""
        now = self._clock()
        usable = any(each.is_usable(now) for each in self._endpoints)
        return not usable and not all(each.is_away for each in self._endpoints)

    def _patience(self, words: str, status: int | None = None) -> RateLimited:
        """The rate limit of a whole fleet: it lasts until the first server may be asked again."""
        wait = min(each.resume_at for each in self._endpoints) - self._clock()
        return RateLimited(words, "rate_limited", status, max(0.0, wait))

    async def drop(self) -> None:
        """Close every connection of every server, also those in use.

        All at once: a request that failed so shall find no old connection at another server.
        """
        await asyncio.gather(*(endpoint.drop() for endpoint in self._endpoints))

    async def close(self) -> None:
        """Close every server's connections for good, also when one of them cannot be closed."""
        async with AsyncExitStack() as stack:
            for endpoint in self._endpoints:
                stack.push_async_callback(endpoint.completer.close)
