"""How many retries a lane may send."""

import asyncio

import pytest
from clock import in_virtual_time, now, turns
from queues import cancelled, names

from batch.limits.budget import A_SECOND, MOST_WAITING, SAVED, SHARE, Budget

EACH = 1 / A_SECOND  # seconds between two retries when nothing else is sent


def budget():
    return Budget(now, asyncio.sleep)


def empty():
    """A budget of which nothing is left."""
    spent = budget()
    while spent.take():
        pass
    return spent


async def waiting(spent, callers, log):
    """Start a task for each caller that logs when its retry goes out."""

    async def retry(name):
        await spent.wait()
        log.append((name, now()))

    tasks = [asyncio.create_task(retry(name)) for name in callers]
    await turns()
    return tasks


def taken(budget):
    """How many retries go out at once."""
    return sum(iter(budget.take, False))


def times(log):
    return [at for _, at in log]


# At once


def test_the_numbers_of_a_budget():
    assert 0.05 < SHARE < 0.1
    assert (SAVED, A_SECOND, MOST_WAITING) == (20, 0.1, 4000)


@in_virtual_time
async def test_what_is_saved_up_goes_out_at_once():
    saved = budget()
    assert repr(saved) == f"Budget({SAVED:.1f} of {SAVED:g} left, 0 waiting)"
    assert taken(saved) == SAVED
    assert not saved.take()


@in_virtual_time
async def test_retries_are_less_than_a_tenth_of_the_requests():
    spent = empty()
    for _ in range(100):
        spent.earn()
    assert taken(spent) == pytest.approx(100 * SHARE, abs=1)


@in_virtual_time
async def test_time_allows_some_too():
    spent = empty()
    await asyncio.sleep(5.5 * EACH)
    assert taken(spent) == 5


@in_virtual_time
async def test_neither_requests_nor_time_save_up_more_than_what_is_saved_at_the_start():
    saved = budget()
    for _ in range(10_000):
        saved.earn()
    assert taken(saved) == SAVED
    await asyncio.sleep(1e6)
    assert taken(saved) == SAVED


@in_virtual_time
async def test_nobody_goes_at_once_before_those_that_wait():
    spent, log = empty(), []
    [task] = await waiting(spent, "a", log)
    for _ in range(50):
        spent.earn()
    assert not spent.take()
    await task
    assert spent.take()


# Waiting


@in_virtual_time
async def test_retries_go_out_evenly_and_in_the_order_in_which_they_came():
    spent, log = empty(), []
    tasks = await waiting(spent, "abc", log)
    await asyncio.sleep(1.5 * EACH)
    tasks += await waiting(spent, "de", log)
    assert repr(spent).endswith("4 waiting)")
    await asyncio.gather(*tasks)
    assert names(log) == list("abcde")
    assert times(log) == pytest.approx([n * EACH for n in range(1, 6)], abs=0.02)


@in_virtual_time
async def test_who_waits_while_there_are_some_left_does_not_wait():
    saved, log = budget(), []
    await asyncio.gather(*await waiting(saved, range(5), log))
    assert times(log) == [0.0] * 5
    assert taken(saved) == SAVED - 5


@in_virtual_time
async def test_requests_that_go_out_meanwhile_hasten_those_that_wait():
    spent, log = empty(), []
    tasks = await waiting(spent, range(5), log)
    await asyncio.sleep(0.5)
    for _ in range(100):
        spent.earn()
    await asyncio.gather(*tasks)
    assert max(times(log)) <= 1.5


@pytest.mark.parametrize("who", [0, 1])
@in_virtual_time
async def test_a_retry_that_is_cancelled_costs_nobody_a_turn(who):
    """Whether it was the first in line or behind."""
    spent, log = empty(), []
    tasks = await waiting(spent, "abc", log)
    await asyncio.sleep(0.5 * EACH)
    await cancelled(tasks[who])
    await asyncio.sleep(10 * EACH)
    assert names(log) == [name for name in "abc" if name != "abc"[who]]
    assert times(log) == pytest.approx([EACH, 2 * EACH], abs=0.02)
    assert repr(spent).endswith("0 waiting)")


@in_virtual_time
async def test_a_retry_that_is_cancelled_in_the_turn_in_which_it_is_first_costs_nobody_a_turn():
    spent, log = empty(), []
    first, second, _ = await waiting(spent, "abc", log)
    await first
    await cancelled(second)
    await asyncio.sleep(5 * EACH)
    assert names(log) == ["a", "c"]


@in_virtual_time
async def test_no_retry_waits_for_ever_though_nothing_else_goes_out():
    spent, log = empty(), []
    await asyncio.gather(*await waiting(spent, range(30), log))
    assert now() == pytest.approx(30 * EACH, abs=1)
    assert repr(spent).endswith(f"0.0 of {SAVED:g} left, 0 waiting)")


@in_virtual_time
async def test_only_so_many_wait_and_the_others_go_out():
    spent, log = empty(), []
    tasks = await waiting(spent, range(MOST_WAITING), log)
    assert spent.take()
    await cancelled(tasks[-1])
    assert not spent.take()
    for task in tasks:
        task.cancel()
    await turns()


# When only retries are left


@in_virtual_time
async def test_an_open_budget_lets_all_retries_out():
    spent, log = empty(), []
    tasks = await waiting(spent, range(20), log)
    await asyncio.sleep(0.2 * EACH)
    spent.open()
    opened = now()
    assert all(spent.take() for _ in range(1000))
    await asyncio.gather(*tasks)
    assert names(log) == list(range(20))
    assert max(times(log)) <= opened + 1.0
    await spent.wait()
    assert now() <= opened + 1.0
