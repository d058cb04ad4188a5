"""What the tests of the lane share: lanes in virtual time, and requests in flight on them."""

import asyncio

from clock import now

from batch.limits.lane import Lane


def lane(ceiling=8, rpm=None, tpm=None):
    """A lane as it begins."""
    return Lane(ceiling, rpm, now, asyncio.sleep, tpm=tpm)


def warm(ceiling=8, rpm=None, tpm=None):
    """A lane that has grown to its ceiling, with nobody on it."""
    road = lane(ceiling, rpm, tpm)
    road.concurrency.limit = ceiling
    return road


def full(ceiling=8):
    """A lane that has grown to its ceiling, with that many requests in flight."""
    road = warm(ceiling)
    assert fill(road) == ceiling
    return road


def fill(road):
    """Send requests as long as one may go out at once; how many they were."""
    count = 0
    while road.concurrency.try_acquire():
        count += 1
    return count


def answers(road, count=1):
    """So many answers, after each of which the places are taken again at once."""
    for _ in range(count):
        road.succeeded(now(), road.flying)
        road.release()
        fill(road)


def empty(road):
    """All that is in flight comes to its end."""
    while road.flying:
        road.release()


def paused(road):
    """Seconds of the lane's pause that are left."""
    return float(repr(road).rpartition("paused=")[2].rstrip(")"))


async def out_of_pause(road):
    """Wait until nothing of a pause is left, the staggered return included."""
    await asyncio.sleep(paused(road) + 2.0)


def jittered(wait):
    """The longest that a pause of so many seconds may become."""
    return wait + min(0.1 + wait / 10, 30.0)
