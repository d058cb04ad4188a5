"""How many retries a lane may send."""

import asyncio

import pytest
from clock import in_virtual_time, now, turns
from queues import cancelled, names

from batch.limits.budget import A_SECOND, SAVED, SHARE, Budget


def budget():
    return Budget(asyncio.get_running_loop().time, asyncio.sleep)


async def empty():
    """A budget of which nothing is left."""
    spent = budget()
    for _ in range(int(SAVED)):
        await spent.spend()
    return spent


async def retried(spending, callers, log):
    """Start a task for each caller that logs when its retry goes out."""

    async def retry(name):
        await spending.spend()
        log.append((name, now()))

    tasks = [asyncio.create_task(retry(name)) for name in callers]
    await turns()
    return tasks


def times(log):
    return [at for _, at in log]


def test_retries_are_a_tenth_of_the_traffic_one_a_second_and_a_hundred_at_once():
    assert (SHARE, A_SECOND, SAVED) == (0.1, 1.0, 100.0)


@in_virtual_time
async def test_a_hundred_retries_go_out_at_once_and_then_one_a_second():
    log = []
    await asyncio.gather(*await retried(budget(), range(105), log))
    assert times(log)[:100] == [0.0] * 100
    assert times(log)[100:] == pytest.approx([1, 2, 3, 4, 5], abs=0.01)


@in_virtual_time
async def test_ten_requests_allow_one_retry_more():
    spent, log = await empty(), []
    for _ in range(31):
        spent.earn()
    await asyncio.gather(*await retried(spent, "abcd", log))
    assert times(log) == pytest.approx([0, 0, 0, 0.9], abs=0.01)


@in_virtual_time
async def test_a_million_requests_save_up_a_hundred_retries_and_no_more():
    saved, log = budget(), []
    for _ in range(10_000):
        saved.earn()
    assert repr(saved) == "Budget(100.0 of 100 left)"
    await asyncio.gather(*await retried(saved, range(101), log))
    assert times(log)[99:] == pytest.approx([0, 1], abs=0.01)


@in_virtual_time
async def test_a_quiet_hour_saves_up_a_hundred_retries_and_no_more():
    spent, log = await empty(), []
    await asyncio.sleep(3600)
    await asyncio.gather(*await retried(spent, range(102), log))
    assert times(log)[99] == 3600
    assert times(log)[100:] == pytest.approx([3601, 3602], abs=0.01)


@in_virtual_time
async def test_retries_go_out_in_the_order_in_which_they_came():
    spent, log = await empty(), []
    tasks = await retried(spent, "abc", log)
    await asyncio.sleep(1.5)
    tasks += await retried(spent, "de", log)
    await asyncio.gather(*tasks)
    assert names(log) == list("abcde")
    assert times(log) == pytest.approx([1, 2, 3, 4, 5], abs=0.02)


@in_virtual_time
async def test_requests_that_go_out_meanwhile_hasten_those_that_wait():
    spent, log = await empty(), []
    tasks = await retried(spent, range(10), log)
    await asyncio.sleep(0.5)
    for _ in range(200):
        spent.earn()
    await asyncio.gather(*tasks)
    assert max(times(log)) < 1.1


@pytest.mark.parametrize("who", [0, 1])
@in_virtual_time
async def test_a_retry_that_is_cancelled_costs_nobody_a_turn(who):
    """Whether it was the first in line or behind."""
    spent, log = await empty(), []
    tasks = await retried(spent, "abc", log)
    await asyncio.sleep(0.5)
    await cancelled(tasks[who])
    await asyncio.sleep(10)
    assert names(log) == [name for name in "abc" if name != "abc"[who]]
    assert times(log) == pytest.approx([1, 2], abs=0.01)
    assert all(task.done() for task in tasks)


@in_virtual_time
async def test_a_retry_that_is_cancelled_in_the_turn_in_which_it_may_go_costs_nobody_a_turn():
    spent, log = await empty(), []
    first, second, _ = await retried(spent, "abc", log)
    await first
    await cancelled(second)
    await asyncio.sleep(5)
    assert names(log) == ["a", "c"]


@in_virtual_time
async def test_no_retry_waits_for_ever_though_nothing_else_goes_out():
    spent, log = await empty(), []
    await asyncio.gather(*await retried(spent, range(300), log))
    assert now() == pytest.approx(300, abs=1)
    assert repr(spent) == "Budget(0.0 of 100 left)"
