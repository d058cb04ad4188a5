"""What holds a run back: places, moments, pauses, bytes."""

import asyncio
import contextlib
import itertools

import pytest
from clock import in_virtual_time, now, turns
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batch.limits import (
    LONGEST_PAUSE,
    LONGEST_PROBE,
    TROUBLES,
    Breaker,
    Concurrency,
    Held,
    Lane,
    Rate,
)


def lane(ceiling=8, rpm=None):
    return Lane(ceiling, rpm, asyncio.get_running_loop().time, asyncio.sleep)


def warm(ceiling=8, rpm=None):
    """A lane that has grown to its ceiling."""
    grown = lane(ceiling, rpm)
    while grown.concurrency.limit < ceiling:
        grown.succeeded()
    return grown


async def entered(door, names, log):
    """Start a task for each name that enters and logs when."""

    async def enter(name):
        await door.acquire()
        log.append((name, now()))

    tasks = [asyncio.create_task(enter(name)) for name in names]
    await turns()
    return tasks


async def cancelled(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def names(log):
    return [name for name, _ in log]


# Concurrency


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


# Rate


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


# Breaker


def test_the_breaker_opens_with_the_eighth_error_in_a_row():
    breaker = Breaker()
    for _ in range(TROUBLES - 1):
        breaker.troubled()
    assert not breaker.is_open
    breaker.answered()
    assert repr(breaker) == "Breaker(troubles=0, probes=0)"
    for _ in range(TROUBLES):
        breaker.troubled()
    assert breaker.is_open
    assert repr(breaker) == "Breaker(troubles=8, probes=0)"


def test_looks_at_a_provider_that_is_away_begin_at_five_seconds_and_double_to_two_minutes():
    breaker = Breaker()
    assert [breaker.next_probe() for _ in range(7)] == [5, 10, 20, 40, 80, 120, 120]
    breaker.answered()
    assert breaker.next_probe() == 5


def test_a_week_of_absence_overflows_nothing():
    breaker = Breaker()
    assert {breaker.next_probe() for _ in range(6000)} >= {LONGEST_PROBE}


# Lane


@in_virtual_time
async def test_a_lane_begins_with_one_request_and_doubles_a_round_trip():
    road, seen = lane(ceiling=20), []
    assert repr(road) == ("Lane(Concurrency(limit=1, held=0, waiting=0), ceiling=20, paused=0)")
    for _ in range(6):
        seen.append(road.concurrency.limit)
        for _ in range(road.concurrency.limit):
            road.succeeded()
    assert seen == [1, 2, 4, 8, 16, 20]


@in_virtual_time
async def test_a_rate_limit_halves_the_lane_once_however_many_requests_it_meets():
    road = warm(8)
    for _ in range(8):
        road.limited(10.0)
    assert road.concurrency.limit == 4
    await asyncio.sleep(20)
    road.limited(10.0)
    assert road.concurrency.limit == 2


@in_virtual_time
async def test_after_a_rate_limit_the_lane_grows_by_one_a_round_trip():
    road, seen = warm(8), []
    road.limited(1.0)
    for _ in range(6):
        seen.append(road.concurrency.limit)
        for _ in range(road.concurrency.limit):
            road.succeeded()
    assert seen == [4, 5, 6, 7, 8, 8]


@in_virtual_time
async def test_a_lane_is_never_narrower_than_one_request():
    road = lane()
    for _ in range(5):
        road.limited(1.0)
        await asyncio.sleep(10)
    assert road.concurrency.limit == 1


@in_virtual_time
async def test_without_a_word_from_the_server_pauses_double_to_a_minute_and_never_overflow():
    road, pauses = lane(), []
    for _ in range(1200):
        pauses.append(road.limited(None))
        await asyncio.sleep(100)
    for pause, least in zip(pauses, [0.5, 1, 2, 4, 8, 16, 32, 60, 60], strict=False):
        assert least < pause <= least + 1 + least / 10
    assert all(LONGEST_PAUSE < pause <= LONGEST_PAUSE + 7 for pause in pauses[7:])
    road.succeeded()
    assert road.limited(None) <= 1.55


@in_virtual_time
async def test_a_pause_is_kept_by_every_worker_and_the_return_is_staggered():
    road, log = warm(8), []
    resume_at = now() + road.limited(30.0)
    road.concurrency.limit = 8
    tasks = await entered(road, range(8), log)
    assert "held=0" in repr(road)
    assert f"paused={resume_at:g}" in repr(road)
    await asyncio.gather(*tasks)
    times = [at for _, at in log]
    assert all(resume_at <= at <= resume_at + 1.0 for at in times)
    assert len(set(times)) == 8
    assert resume_at > 30.0


@in_virtual_time
async def test_a_pause_that_begins_while_workers_wait_for_a_place_holds_for_them_too():
    road, log = lane(), []
    await entered(road, "abc", log)
    road.concurrency.limit = 4
    resume_at = now() + road.limited(60.0)
    road.release()
    await asyncio.sleep(59)
    assert names(log) == ["a"]
    assert "held=0" in repr(road)
    await asyncio.sleep(70)
    assert names(log)[0] == "a"
    assert all(at >= resume_at for _, at in log[1:])


@in_virtual_time
async def test_a_pause_that_begins_while_workers_wait_for_their_moment_holds_for_them_too():
    road, log = warm(4, rpm=6), []
    tasks = await entered(road, "abcd", log)
    assert log == [("a", 0)]
    resume_at = now() + road.limited(60.0)
    await asyncio.sleep(59)
    assert names(log) == ["a"]
    road.concurrency.limit = 4
    await asyncio.gather(*tasks)
    times = [at for _, at in log[1:]]
    assert min(times) >= resume_at
    assert all(b - a >= 10 - 1e-9 for a, b in itertools.pairwise(times))


@in_virtual_time
async def test_a_short_pause_does_not_end_a_longer_one():
    road = lane()
    first = road.limited(100.0)
    assert first > 100
    assert road.limited(1.0) == 0.0
    assert 200 < first + road.limited(200.0) <= 221


@pytest.mark.parametrize("seconds", [0.0, 5.0, 11.0])
@in_virtual_time
async def test_cancelled_at_any_wait_a_worker_keeps_no_place(seconds):
    """At a pause, at a place, at the rate's moment."""
    road, log = warm(2, rpm=6), []
    road.limited(1.0)
    road.concurrency.limit = 2
    tasks = await entered(road, range(6), log)
    await asyncio.sleep(seconds)
    for task in tasks:
        await cancelled(task)
    for _ in log:
        road.release()
    assert repr(road.concurrency) == "Concurrency(limit=2, held=0, waiting=0)"


@in_virtual_time
async def test_fewer_than_eight_errors_in_a_row_pause_nothing():
    road = warm(8)
    for _ in range(TROUBLES - 1):
        assert road.troubled() == 0.0
    assert repr(road) == "Lane(Concurrency(limit=8, held=0, waiting=0), ceiling=8, paused=0)"


@in_virtual_time
async def test_an_open_breaker_narrows_the_lane_to_one_look_at_a_time():
    road = warm(8)
    pauses = [road.troubled() for _ in range(TROUBLES)]
    assert pauses[:-1] == [0.0] * (TROUBLES - 1)
    assert 5 < pauses[-1] <= 6.5
    assert road.concurrency.limit == 1
    assert road.troubled() == 0.0  # those that were in flight feel nothing new
    await asyncio.sleep(10)
    assert 10 < road.troubled() <= 12


@in_virtual_time
async def test_when_the_provider_is_back_the_lane_grows_fast_again():
    road, seen = warm(8), []
    road.limited(1.0)
    await asyncio.sleep(5)
    for _ in range(TROUBLES):
        road.troubled()
    for _ in range(4):
        seen.append(road.concurrency.limit)
        for _ in range(road.concurrency.limit):
            road.succeeded()
    assert seen == [1, 2, 4, 8]
    assert repr(road.breaker) == "Breaker(troubles=0, probes=0)"


@in_virtual_time
async def test_a_rate_limit_says_that_the_provider_is_there():
    road = lane()
    for _ in range(TROUBLES - 1):
        road.troubled()
    road.limited(1.0)
    assert repr(road.breaker) == "Breaker(troubles=0, probes=0)"


@in_virtual_time
async def test_time_without_an_answer_is_counted_from_the_first_thing_that_came_instead():
    road = lane()
    assert road.unanswered_for() == 0.0
    road.troubled()  # at 0, which is a time like any other
    await asyncio.sleep(7)
    road.limited(1.0)
    await asyncio.sleep(3)
    assert road.unanswered_for() == 10.0
    road.answered()
    await asyncio.sleep(5)
    assert road.unanswered_for() == 0.0
    road.limited(None)
    await asyncio.sleep(4)
    assert road.unanswered_for() == 4.0
    road.succeeded()
    assert road.unanswered_for() == 0.0


@in_virtual_time
async def test_only_pauses_that_went_by_count_as_lost_time():
    road = lane()
    grown = road.limited(86_400.0)
    assert road.paused_seconds == 0.0
    await asyncio.sleep(100)
    assert road.paused_seconds == pytest.approx(100)
    await asyncio.sleep(grown)
    assert road.paused_seconds == pytest.approx(grown)


# Held


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
