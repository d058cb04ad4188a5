"""The scenarios that the simulator plays: capacities of 20 requests a second, nights, outages."""

import functools

from capacities import (
    Changing,
    FixedWindow,
    Places,
    Queue,
    SlidingWindow,
    TokenBucket,
    Unlimited,
)
from model_server import (
    Accident,
    Outage,
    Server,
    exact,
    one_second,
    overloaded,
    silent,
    slow_down,
    whole_seconds,
)
from simulation import Scenario

HALF_AN_HOUR = 1800.0


def bucket(burst, rate=20):
    return functools.partial(TokenBucket, rate, burst)


def window(count, seconds):
    return functools.partial(FixedWindow, count, seconds)


def sliding(count, seconds):
    return functools.partial(SlidingWindow, count, seconds)


def places(count, latency, kind=Places):
    return functools.partial(kind, count, Server(latency).mean)


def neighbour():
    """A quota of which a neighbour takes three quarters for two minutes."""
    return Changing((0.0, TokenBucket(20, 20)), (60.0, TokenBucket(5, 5)), (180.0, bucket(20)()))


def pace(name, capacity, latency, concurrency, refuses=exact, jobs=2000, accidents=()):
    """A scenario of the matrix."""
    said = f", {refuses.__name__}" if capacity is not Unlimited else ""
    return Scenario(
        f"{name}, {latency:g} s, -j {concurrency}{said}",
        Server(latency, capacity=capacity, refuses=refuses, accidents=accidents),
        jobs,
        concurrency,
        at_most=20_000.0,
    )


NOWHERE = (Accident(0.01, "limited", seconds=1.0),)
SLOW = (Accident(0.01, "slow", seconds=10.0),)

MATRIX = [
    pace("unlimited", Unlimited, 0.3, 128, jobs=10_000),
    pace("bucket 20/s burst 20", bucket(20), 0.02, 8),
    pace("bucket 20/s burst 20", bucket(20), 0.02, 32),
    pace("bucket 20/s burst 20", bucket(20), 0.3, 8),
    pace("bucket 20/s burst 20", bucket(20), 0.3, 32),
    pace("bucket 20/s burst 20", bucket(20), 0.3, 128),
    pace("bucket 20/s burst 20", bucket(20), 2.0, 32, jobs=4000),
    pace("bucket 20/s burst 20", bucket(20), 2.0, 128, jobs=4000),
    pace("bucket 20/s burst 20", bucket(20), 0.02, 32, silent),
    pace("bucket 20/s burst 20", bucket(20), 0.3, 32, silent),
    pace("bucket 20/s burst 20", bucket(20), 2.0, 128, silent, jobs=4000),
    pace("bucket 20/s burst 20", bucket(20), 0.02, 32, one_second),
    pace("bucket 20/s burst 20", bucket(20), 0.3, 32, whole_seconds),
    pace("bucket 20/s burst 20", bucket(20), 2.0, 128, one_second, jobs=4000),
    pace("bucket 20/s burst 1", bucket(1), 0.02, 32),
    pace("bucket 20/s burst 1", bucket(1), 0.3, 32),
    pace("bucket 20/s burst 1", bucket(1), 2.0, 128, jobs=4000),
    pace("bucket 20/s burst 1", bucket(1), 0.3, 32, silent),
    pace("bucket 20/s burst 200", bucket(200), 0.3, 32),
    pace("bucket 20/s burst 200", bucket(200), 2.0, 128, jobs=4000),
    pace("bucket 20/s burst 200", bucket(200), 0.3, 32, silent),
    pace("window 20 per 1 s", window(20, 1.0), 0.02, 32),
    pace("window 20 per 1 s", window(20, 1.0), 0.3, 32),
    pace("window 20 per 1 s", window(20, 1.0), 2.0, 128, jobs=4000),
    pace("window 20 per 1 s", window(20, 1.0), 0.3, 32, silent),
    pace("window 1200 per 60 s", window(1200, 60.0), 0.3, 32, jobs=6000),
    pace("window 1200 per 60 s", window(1200, 60.0), 2.0, 128, jobs=6000),
    pace("window 1200 per 60 s", window(1200, 60.0), 0.3, 32, one_second, 6000),
    pace("window 1200 per 60 s", window(1200, 60.0), 0.3, 32, silent, 6000),
    pace("sliding 20 per 1 s", sliding(20, 1.0), 0.02, 8),
    pace("sliding 20 per 1 s", sliding(20, 1.0), 0.3, 32),
    pace("sliding 20 per 1 s", sliding(20, 1.0), 2.0, 128, jobs=4000),
    pace("4 places", places(4, 0.02), 0.02, 8, silent, 6000),
    pace("4 places", places(4, 0.3), 0.3, 8, silent),
    pace("4 places", places(4, 0.3), 0.3, 32, slow_down),
    pace("4 places", places(4, 0.3), 0.3, 32, overloaded),
    pace("4 places", places(4, 2.0), 2.0, 32, slow_down, 600),
    pace("20 places", places(20, 0.3), 0.3, 32, silent, 6000),
    pace("20 places", places(20, 2.0), 2.0, 128, slow_down),
    pace("queue of 8", places(8, 0.3, Queue), 0.3, 32),
    pace("queue of 8", places(8, 0.3, Queue), 0.3, 128),
    pace("queue of 8", places(8, 2.0, Queue), 2.0, 128, jobs=600),
]
"""Servers whose capacity stays what it is."""

UNSTEADY = [
    pace("1 % of 429s from nowhere", Unlimited, 2.2, 8, accidents=NOWHERE),
    pace("1 % of 429s from nowhere", Unlimited, 1.0, 8, accidents=NOWHERE),
    pace("1 % take 10 s", Unlimited, 0.3, 32, jobs=6000, accidents=SLOW),
    pace("bucket 20/s, 5/s for 2 min", neighbour, 0.3, 32, jobs=4000),
    pace("bucket 20/s, 5/s for 2 min", neighbour, 0.3, 32, silent, 4000),
]


def night(jobs=300_000):
    """A night of three outages, 1 % of 429s from nowhere, 0.2 % of hangs and three hours asleep.

    The clock of the wall is set forward by an hour and back by one, as clocks are twice a year.
    """
    server = Server(2.2)
    length = jobs * server.mean / 8
    kinds = ("refused", "hanging", "error")
    starts = [length * (2 * at + 1) / 8 + at * HALF_AN_HOUR for at in range(3)]
    outages = [Outage(at, at + HALF_AN_HOUR, kind) for at, kind in zip(starts, kinds, strict=True)]
    accidents = (Accident(0.01, "limited", seconds=2.0), Accident(0.002, "hanging"))
    server = Server(server.latency, accidents=accidents, outages=tuple(outages))
    sleeps = ((length * 0.3, 3600.0), (length / 2, 3 * 3600.0), (length * 0.8, -3600.0))
    return Scenario(f"a night of {jobs:,} jobs", server, jobs, 8, every=300.0, sleeps=sleeps)


def partial(share=0.3):
    """Ten minutes in which a share of the requests ends in a 500."""
    accidents = (Accident(share, "error", start=60.0, end=660.0),)
    return Scenario(f"{share:.0%} of 500s for 10 min", Server(0.5, accidents=accidents), 16_000, 8)


def down(kind, concurrency):
    """A minute without a server in the middle of a run of some 26 requests a second."""
    server = Server(0.3 * concurrency / 8, outages=(Outage(30.0, 90.0, kind),))
    return Scenario(f"60 s {kind}, -j {concurrency}", server, 4000, concurrency)


DOWN = [down(kind, each) for kind in ("refused", "hanging", "error") for each in (8, 128)]

FIXED = [
    pace("bucket 20/s burst 20", bucket(20), 0.3, concurrency, refuses, 800)
    for refuses in (exact, one_second)
    for concurrency in (8, 32, 128)
]
