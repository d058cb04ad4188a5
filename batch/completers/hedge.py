"""A second request beside one that takes too long: the first answer of the two is taken.

After *The Tail at Scale* (Dean and Barroso, CACM 2013): a hedged request that is sent only when the
first one is slower than nearly all costs a few percent more requests and cuts the slow end off.
"""

from __future__ import annotations

import asyncio
import math

from ..estimate import TokenEstimate
from ..limits.lane import Lane
from ..models import Reply, Request
from ..providers.connection import Completer
from ..tally import Latencies

ENOUGH = 100
"""Answers before the first duplicate: fewer have no 99th percentile."""
RECKON = 50
"""Answers after which the patience is worked out anew."""
MEMORY = 1000
"""Answers that it is worked out from, so that a provider that slows down is soon believed."""
SHORTEST = 1.0
"""Seconds; what ends sooner by less than this is not worth paying twice."""
FEWEST, MOST = 2.0, 10.0
"""Times the median. Below the first it is only jitter, where all answers take the same time; above
the second it is slow in any case, where more than one of a hundred is so that p99 is slow too."""
ENDLESS = 1e9
"""Seconds; the latency of a request that was overtaken, for nobody knows how long it would take."""
SHARE = 0.05
SPARE = 5
"""Duplicates are at most this share of the requests, and so many to begin with."""
LOOK = 1.0
"""Seconds after which a request in flight looks again at how long is long by now."""
MOMENT = 1e-6
"""Seconds that count as none, because clocks are inexact."""


class Hedge:
    """Sends one duplicate of a request that takes long, in its turn among the lane's requests.

    It waits for a place as they do, because the place of a slow request is lost for longer than
    the duplicate needs one. `sent` duplicates went out, `won` of them answered first.
    """

    def __init__(self, completer: Completer, lane: Lane) -> None:
        self.requests = 0
        self.sent = 0
        self.won = 0
        self.completer = completer
        self._lane = lane
        self._estimate = TokenEstimate()
        self._latencies = Latencies()
        self._seen = 0
        self._waiting = 0
        self._patience = math.inf

    def __repr__(self) -> str:
        return f"Hedge(requests={self.requests}, sent={self.sent}, patience={self._patience:g})"

    async def complete(self, request: Request) -> Reply:
        """The first answer of the request or its duplicate.

        Raises the request's own error when both fail. Cancelling it cancels both.
        """
        self.requests += 1
        began = now()
        first = asyncio.create_task(self.completer.complete(request))
        tasks = [first]
        try:
            if await self._takes_long(first, began) and await self._place(first, request):
                tasks.append(self._duplicate(request))
            winner = await first_to_answer(tasks)
            reply = winner.result()
            if winner is first:
                self._learn(now() - began)
            elif not first.done():
                self._learn(ENDLESS)
            self.won += winner is not first
            if self._lane.tokens:
                self._estimate.learn(request, reply)
            return reply
        finally:
            await leave(tasks)

    async def drop(self) -> None:
        """Close every connection, also those in use."""
        await self.completer.drop()

    async def close(self) -> None:
        """Free what the completer holds."""
        await self.completer.close()

    async def _takes_long(self, first: asyncio.Task[Reply], began: float) -> bool:
        """Wait until the request ends, or takes so long that it is worth a duplicate."""
        while not first.done():
            left = began + self._patience - now()
            if left <= MOMENT:
                # Those that are waiting count: no more are sent than the budget allows.
                return self.sent + self._waiting + 1 <= SHARE * self.requests + SPARE
            await asyncio.wait([first], timeout=min(left, LOOK))
        return False

    async def _place(self, first: asyncio.Task[Reply], request: Request) -> bool:
        """Wait for a place in the lane; False when the request ends before there is one."""
        tokens = self._estimate.of(request) if self._lane.tokens else 0.0
        turn = asyncio.create_task(self._lane.acquire(tokens))
        taken = False
        self._waiting += 1
        try:
            await asyncio.wait([first, turn], return_when=asyncio.FIRST_COMPLETED)
            taken = turn.done() and not first.done()
            return taken
        finally:
            self._waiting -= 1
            if turn.done() and not taken:
                self._lane.release()
            turn.cancel()

    def _duplicate(self, request: Request) -> asyncio.Task[Reply]:
        """Send the request once more, at the place that was taken for it."""
        self.sent += 1
        task = asyncio.create_task(self.completer.complete(request))
        task.add_done_callback(lambda _: self._lane.release())
        return task

    def _learn(self, seconds: float) -> None:
        """Count a latency; now and then work out how long to wait before a duplicate."""
        self._latencies.add(seconds)
        self._seen += 1
        if self._seen >= ENOUGH and self._seen % RECKON == 0:
            self._patience = patience(self._latencies)
        if self._seen == MEMORY:
            self._latencies, self._seen = Latencies(), 0


def now() -> float:
    """Seconds on the loop's clock."""
    return asyncio.get_running_loop().time()


def patience(latencies: Latencies) -> float:
    """Seconds that a request may take before it is worth a duplicate."""
    median = latencies.percentile(0.5) or 0.0
    nearly_all = latencies.percentile(0.99) or 0.0
    return max(SHORTEST, FEWEST * median, min(nearly_all, MOST * median))


async def first_to_answer(tasks: list[asyncio.Task[Reply]]) -> asyncio.Task[Reply]:
    """The first task that ends with an answer; the first of the list when none does."""
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and not task.cancelled() and task.exception() is None:
                return task
    return tasks[0]


async def leave(tasks: list[asyncio.Task[Reply]]) -> None:
    """Cancel what is still under way and wait until it has ended."""
    if len(tasks) > 1 or not tasks[0].done():
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
