"""Places for requests and room for bytes."""

import asyncio
import itertools

import pytest
import uvloop
from clock import in_virtual_time, turns
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from queues import cancelled, entered, names

from batch.limits.concurrency import Concurrency, Gate, Held


@in_virtual_time
async def test_places_are_given_first_come_first_served():
    places, log = Concurrency(2), []
    tasks = await entered(places, "abcde", log)
    assert repr(places) == "Concurrency(limit=2, held=2, waiting=3)"
    for _ in range(3):
        places.release()
        await turns()
    assert names(log) == list("abcde")
    assert repr(places) == "Concurrency(limit=2, held=2, waiting=0)"
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_who_comes_later_does_not_overtake_a_waiter_that_was_just_let_in():
    places, log = Concurrency(1), []
    await entered(places, "ab", log)
    places.release()
    await entered(places, "c", log)
    assert names(log) == ["a", "b"]
    assert repr(places) == "Concurrency(limit=1, held=1, waiting=1)"
    places.release()
    await turns()


@in_virtual_time
async def test_raising_the_limit_lets_waiters_in_at_once():
    places, log = Concurrency(1), []
    await entered(places, "abcd", log)
    places.limit = 3
    await turns()
    assert names(log) == list("abc")
    assert repr(places) == "Concurrency(limit=3, held=3, waiting=1)"
    places.release()
    await turns()


@in_virtual_time
async def test_lowering_the_limit_lets_holders_finish_and_nobody_else_in():
    places, log = Concurrency(4), []
    await entered(places, "abcdef", log)
    places.limit = 2
    assert repr(places) == "Concurrency(limit=2, held=4, waiting=2)"
    places.release()
    places.release()
    await turns()
    assert names(log) == list("abcd")
    places.release()
    await turns()
    assert names(log) == list("abcde")
    places.limit = 9
    await turns()
    assert repr(places) == "Concurrency(limit=9, held=3, waiting=0)"


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_is_never_below_one(limit):
    places = Concurrency(4)
    places.limit = limit
    assert repr(places) == "Concurrency(limit=1, held=0, waiting=0)"


@in_virtual_time
async def test_a_waiter_that_is_cancelled_gives_its_turn_to_the_next():
    places, log = Concurrency(1), []
    _, b, _ = await entered(places, "abc", log)
    await cancelled(b)
    assert repr(places) == "Concurrency(limit=1, held=1, waiting=1)"
    places.release()
    await turns()
    assert names(log) == ["a", "c"]
    assert repr(places) == "Concurrency(limit=1, held=1, waiting=0)"


@in_virtual_time
async def test_a_waiter_that_is_cancelled_in_the_turn_of_its_admission_leaks_no_place():
    places, log = Concurrency(1), []
    _, b, _ = await entered(places, "abc", log)
    places.release()
    await cancelled(b)
    await turns()
    assert names(log) == ["a", "c"]
    assert repr(places) == "Concurrency(limit=1, held=1, waiting=0)"


class Places(RuleBasedStateMachine):
    """Any order of arrivals, leaves, cancellations and resizing loses no waiter and no place."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.places = Concurrency(1)
        self.tasks = {}
        self.inside = []
        self.log = []
        self.numbers = itertools.count()

    def settle(self):
        self.loop.run_until_complete(turns(4))

    async def enter(self, number):
        await self.places.acquire()
        del self.tasks[number]
        self.inside.append(number)
        self.log.append(number)

    @rule()
    def arrive(self):
        number = next(self.numbers)
        self.tasks[number] = self.loop.create_task(self.enter(number))
        self.settle()

    @rule(limit=st.integers(0, 5))
    def resize(self, limit):
        self.places.limit = limit
        self.settle()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def leave(self, data):
        self.inside.remove(data.draw(st.sampled_from(self.inside)))
        self.places.release()
        self.settle()

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def give_up(self, data):
        self.tasks.pop(data.draw(st.sampled_from(sorted(self.tasks)))).cancel()
        self.settle()

    @precondition(lambda self: self.tasks and self.inside)
    @rule(data=st.data())
    def leave_and_give_up_in_one_turn(self, data):
        self.inside.pop()
        self.places.release()
        self.tasks.pop(data.draw(st.sampled_from(sorted(self.tasks)))).cancel()
        self.settle()

    @invariant()
    def places_are_counted(self):
        held, waiting = len(self.inside), len(self.tasks)
        limit = self.places.limit
        assert repr(self.places) == f"Concurrency(limit={limit}, held={held}, waiting={waiting})"

    @invariant()
    def nobody_waits_beside_a_free_place(self):
        assert not self.tasks or self.places.held >= self.places.limit

    @invariant()
    def nobody_overtakes(self):
        assert self.log == sorted(self.log)

    def teardown(self):
        while self.inside:
            self.inside.pop()
            self.places.release()
            self.settle()
        assert not self.tasks
        self.loop.close()


TestPlaces = Places.TestCase
TestPlaces.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@in_virtual_time
async def test_no_new_bytes_are_loaded_while_the_cap_is_reached():
    held, log = Held(100), []

    async def load(name, size):
        await held.room()
        held.add(size)
        log.append(name)

    await load("a", 60)
    await load("b", 60)  # the cap stops the next, it cuts nobody
    task = asyncio.create_task(load("c", 10))
    await turns()
    assert log == ["a", "b"]
    assert repr(held) == "Held(bytes=120, cap=100)"
    held.add(-20)
    await turns()
    assert log == ["a", "b"]
    held.add(-60)
    await task
    assert repr(held) == "Held(bytes=50, cap=100)"


@in_virtual_time
async def test_one_image_larger_than_the_cap_still_goes_through():
    held = Held(10)
    await held.room()
    held.add(50)
    assert repr(held) == "Held(bytes=50, cap=10)"


def test_a_gate_looks_earlier_when_the_wait_grows_shorter_on_the_loop_of_the_command():
    """Its timers are not those of asyncio, and tell less."""

    async def enter():
        waits = [60.0, 0.001, 0.0]
        gate = Gate(1, lambda: waits.pop(0), lambda _: None)
        waiter = asyncio.ensure_future(gate.acquire())
        await turns()
        gate.limit = 2
        await asyncio.wait_for(waiter, 10.0)
        assert waits == []

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(enter())
