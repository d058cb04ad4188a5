"""Requests a minute."""

import asyncio

from clock import in_virtual_time, now
from queues import entered

from batch.limits.rate import Rate


@in_virtual_time
async def test_requests_a_minute_are_spaced_evenly_first_come_first_served():
    rate, log = Rate(30, now, asyncio.sleep), []
    await asyncio.gather(*await entered(rate, "abcd", log))
    assert log == [("a", 0), ("b", 2), ("c", 4), ("d", 6)]
    assert repr(rate) == "Rate(interval=2)"


@in_virtual_time
async def test_a_rest_is_not_saved_up_for_a_burst():
    rate, log = Rate(60, now, asyncio.sleep), []
    await asyncio.sleep(100)
    await asyncio.gather(*await entered(rate, "abc", log))
    assert log == [("a", 100), ("b", 101), ("c", 102)]
