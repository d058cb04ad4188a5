"""Jobs under way at once, those that wait included."""

import asyncio

from clock import in_virtual_time, turns
from queues import cancelled

from batch.limits.window import Window


async def full(size=2):
    """A window in which no place is free."""
    window = Window(size)
    for _ in range(size):
        await window.enter()
    return window


async def aside(window, who, wait):
    """A task that stands aside until `wait` is set."""
    task = asyncio.create_task(window.stand_aside(who, wait.wait()))
    await turns()
    return task


def told(held, waiting, stand_aside, size=2):
    places = f"Concurrency(limit={size}, held={held}, waiting={waiting})"
    return f"Window({places}, {stand_aside} aside)"


@in_virtual_time
async def test_a_window_lets_so_many_in_and_the_next_when_one_leaves():
    window = await full()
    entering = asyncio.create_task(window.enter())
    await turns()
    assert not entering.done()
    window.leave("a")
    await entering
    assert repr(window) == told(2, 0, 0)


@in_virtual_time
async def test_who_stands_aside_gives_its_place_to_another_one():
    window, wait = await full(), asyncio.Event()
    await aside(window, "a", wait)
    await window.enter()
    assert repr(window) == told(2, 0, 1)


@in_virtual_time
async def test_who_stood_aside_goes_on_when_there_is_a_place_again():
    window, wait = await full(), asyncio.Event()
    task = await aside(window, "a", wait)
    await window.enter()
    wait.set()
    await turns()
    assert not task.done()
    assert repr(window) == told(2, 1, 1)
    window.leave("b")
    await task
    assert repr(window) == told(2, 0, 0)
    window.leave("a")
    assert repr(window) == told(1, 0, 0)


@in_virtual_time
async def test_who_is_cancelled_while_it_stands_aside_gives_back_no_place_that_it_has_not():
    """Whether it waits for its turn or for a place, or was let in at that moment."""
    for moment in range(3):
        window, wait = await full(), asyncio.Event()
        task = await aside(window, "a", wait)
        await window.enter()
        if moment:
            wait.set()
            await turns()
        if moment == 2:
            window.leave("b")
        await cancelled(task)
        window.leave("a")
        assert repr(window) == told(1 if moment == 2 else 2, 0, 0)
