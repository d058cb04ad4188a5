"""A model of a server in virtual time, told by data (`Server`) and repeatable by a seed.

It is a completer for the runner. A request costs it some microseconds, so that a night of 300,000
jobs is a matter of seconds.
"""

import argparse
import asyncio
import math
import random
from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from capacities import Unlimited

from batch.errors import RateLimited, Retryable, Unreachable
from batch.models import Reply, Usage

REPLY = Reply("yes", "model-1", Usage(5, 1), "stop")


# What comes instead of an answer, as the HTTP client would raise it.


def unreachable():
    words = "nothing answers at model.example:443 (Connection refused)"
    return Unreachable(words, "connection")


def cut_short():
    return Retryable("the connection broke in the middle of the reply", "connection")


def timed_out(timeout):
    return Retryable(f"no whole reply within {timeout:g} s", "timeout")


def broken(status):
    return Retryable(f"HTTP {status}: no answer", "server_error", status)


def limited(status, retry_after):
    return RateLimited(f"HTTP {status}: slow down", "rate_limited", status, retry_after)


# What a server says to a request that finds no room; there would be some in `wait` seconds.


def silent(wait):
    return limited(429, None)


def exact(wait):
    return limited(429, wait)


def whole_seconds(wait):
    return limited(429, float(math.ceil(wait)))


def one_second(wait):
    return limited(429, 1.0)


def slow_down(wait):
    return limited(503, None)


def overloaded(wait):
    return broken(503)


@dataclass(frozen=True)
class Outage:
    """No answer from `start` to `end`: `refused` connections, `hanging` ones, or a `status`."""

    start: float
    end: float
    kind: str = "refused"
    status: int = 503


@dataclass(frozen=True)
class Accident:
    """What befalls a `share` of the requests from `start` to `end`.

    `limited` (wait `seconds`), `hanging`, `error` (a 500), or `slow`: an answer after `seconds`.
    """

    share: float
    kind: str
    start: float = 0.0
    end: float = math.inf
    seconds: float = 30.0


@dataclass(frozen=True)
class Server:
    """What a server is like; `capacity` makes what limits it."""

    latency: float = 0.3  # the median, log-normal
    spread: float = 0.25
    capacity: Callable[[], Unlimited] = Unlimited
    refuses: Callable[[float], Retryable] = silent
    accidents: tuple[Accident, ...] = ()
    outages: tuple[Outage, ...] = ()
    timeout: float = 120.0  # of an attempt: what a client makes of a server that hangs
    refusal: float = 0.01  # seconds that a refusal takes, so that no client asks for ever at once

    @property
    def mean(self):
        """The mean latency, with the requests that are slow all the time."""
        mean = self.latency * math.exp(self.spread**2 / 2)
        slow = [each for each in self.accidents if each.kind == "slow"]
        return mean + sum(each.share * (each.seconds - mean) for each in slow)


class Series:
    """Counts by the second, in two bytes each: a night of them weighs next to nothing."""

    def __init__(self):
        self._counts = array("H")

    def add(self, now):
        second = int(now)
        try:
            self._counts[second] += 1
        except IndexError:
            self._counts.extend([0] * (second + 1 - len(self._counts)))
            self._counts[second] += 1

    def between(self, start=0.0, end=math.inf):
        """How many there were in the whole seconds from `start` to `end`."""
        return sum(self._counts[int(start) : int(min(end, len(self._counts)))])


class Log:
    """What came to a server and what it said."""

    def __init__(self):
        self.requests = Series()
        self.repeats = Series()  # requests of jobs that were asked before
        self.answers = Series()
        self.limited = Series()  # 429 and the like
        self.troubles = Series()  # timeouts, 5xx, connections
        self.peak = 0

    def share(self, kind, start=0.0, end=math.inf):
        """The share of a kind ("limited", "repeats" …) of the requests between two moments."""
        requests = self.requests.between(start, end)
        return getattr(self, kind).between(start, end) / requests if requests else 0.0


class ModelServer:
    """Answers as a `Server` says: a completer for the runner."""

    def __init__(self, server, jobs, seed):
        self.log = Log()
        self._server = server
        self._capacity = server.capacity()
        self._random = random.Random(seed)
        self._time = asyncio.get_running_loop().time
        self._mu = math.log(server.latency)
        self._asked = bytearray(jobs)
        self._in_flight = 0
        self._dropped_at = -math.inf
        # What is true until `_until`: the outage under way or the next one, and the accidents.
        times = {t for each in (*server.outages, *server.accidents) for t in (each.start, each.end)}
        self._turns = sorted(times | {0.0, math.inf})
        self._until = -math.inf
        self._outage = None
        self._breaks = math.inf
        self._accidents = ()

    async def close(self):
        pass

    async def drop(self):
        """Close every connection: what is in flight comes back without an answer."""
        self._dropped_at = self._time()

    async def complete(self, request):
        now = self._time()
        if now >= self._until:
            self._turn(now)
        log = self.log
        log.requests.add(now)
        number = int(request.messages[-1].content)
        if self._asked[number]:
            log.repeats.add(now)
        self._asked[number] = 1
        self._in_flight += 1
        log.peak = max(log.peak, self._in_flight)
        seconds, error = self._fate(now)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._in_flight -= 1
        if self._dropped_at > now:
            error = Retryable("the connection was closed", "connection")
        if error is None:
            log.answers.add(self._time())
            return REPLY
        (log.limited if isinstance(error, RateLimited) else log.troubles).add(now)
        raise error

    def _turn(self, now):
        """What is true from now on until the next of the server's times."""
        self._until = self._turns[bisect_right(self._turns, now)]
        server = self._server
        self._outage = next((each for each in server.outages if each.end > now), None)
        self._breaks = self._outage.start if self._outage else math.inf
        self._accidents = [each for each in server.accidents if each.start <= now < each.end]

    def _fate(self, now):
        """How long a request takes that arrives now, and the error that it ends in."""
        server = self._server
        if now >= self._breaks:
            return self._missed(self._outage)
        drawn = self._random.random() if self._accidents else 1.0
        for accident in self._accidents:
            drawn -= accident.share
            if drawn < 0.0:
                return self._befallen(accident, now)
        wait = self._capacity.room_in(now)
        if wait > 0.0:
            return server.refusal, server.refuses(wait)
        return self._served(now, self._random.lognormvariate(self._mu, server.spread))

    def _served(self, now, seconds):
        """The answer after `seconds` of work, if no outage comes first and the client waits."""
        seconds = self._capacity.take(now, seconds)
        if now + seconds >= self._breaks and self._outage.kind != "hanging":
            return self._breaks - now, cut_short()
        if now + seconds >= self._breaks or seconds > self._server.timeout:
            return self._server.timeout, timed_out(self._server.timeout)
        return seconds, None

    def _missed(self, outage):
        server = self._server
        if outage.kind == "hanging":
            return server.timeout, timed_out(server.timeout)
        if outage.kind == "refused":
            return server.refusal, unreachable()
        return server.refusal, broken(outage.status)

    def _befallen(self, accident, now):
        server = self._server
        if accident.kind == "hanging":
            return server.timeout, timed_out(server.timeout)
        if accident.kind == "slow":
            return self._served(now, accident.seconds)
        error = limited(429, accident.seconds) if accident.kind == "limited" else broken(500)
        return server.refusal, error


if __name__ == "__main__":
    by_hand = "No program: `python tests/simulate.py` plays these models."
    parser = argparse.ArgumentParser(description=__doc__, epilog=by_hand)
    parser.parse_args()
    parser.print_help()
