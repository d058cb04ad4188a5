"""What shares one quota: who goes out when."""

import asyncio
import itertools

import pytest
from clock import in_virtual_time, now, turns
from lanes import answers, empty, fill, full, lane, out_of_pause, warm
from queues import cancelled, entered, names


def times(log):
    return [at for _, at in log]


# How many


@in_virtual_time
async def test_a_lane_begins_with_one_request():
    road = lane()
    assert repr(road) == "Lane(Gate(limit=1, held=0, waiting=0), Pace(free), paused=0)"
    assert fill(road) == 1


@in_virtual_time
async def test_while_the_limit_holds_back_it_doubles_a_round_trip_up_to_the_ceiling():
    road, seen = lane(ceiling=20), []
    fill(road)
    for _ in range(6):
        seen.append(road.flying)
        answers(road, road.flying)
    assert seen == [1, 2, 4, 8, 16, 20]


@in_virtual_time
async def test_answers_that_come_in_one_instant_let_it_grow_fast_too():
    """Their places are taken only after the last of them."""
    road, log = lane(ceiling=20), []
    tasks = await entered(road, range(200), log)
    for _ in range(8):
        for _ in range(road.flying):
            road.succeeded(now(), road.concurrency.held)
            road.release()
        await turns(100)
    assert road.flying == 20
    for task in tasks:
        await cancelled(task)


@pytest.mark.parametrize("flying", [1, 3])
@in_virtual_time
async def test_it_does_not_grow_while_there_is_less_to_do(flying):
    road = warm(6)
    for _ in range(flying):
        road.concurrency.try_acquire()
    for _ in range(50):
        road.succeeded(now(), flying)
    assert road.concurrency.limit == 6


@pytest.mark.parametrize("limits", [{"rpm": 60}, {"tpm": 60}])
@in_virtual_time
async def test_it_does_not_grow_while_a_rate_is_what_holds_back(limits):
    """Although somebody waits."""
    road, log = lane(20, **limits), []
    road.concurrency.limit = 5
    for _ in range(2):
        await road.acquire(2.0)
    tasks = await entered(road, "ab", log)
    for _ in range(20):
        road.succeeded(now(), 2)
    assert (log, road.concurrency.limit) == ([], 5)
    for task in tasks:
        await cancelled(task)


# In which order


async def pass_by(road, log, count):
    """Let whoever is in flight come to its end, one every second, until so many went out."""
    while len(log) < count:
        await asyncio.sleep(1)
        if road.flying:
            road.release()


@in_virtual_time
async def test_on_a_free_lane_places_are_given_first_come_first_served():
    road, log = lane(), []
    await entered(road, "abcde", log)
    await pass_by(road, log, 5)
    assert names(log) == list("abcde")


@in_virtual_time
async def test_moments_are_given_first_come_first_served():
    road, log = warm(8, rpm=60), []
    await asyncio.gather(*await entered(road, "abcde", log))
    assert log == [("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 4)]


@in_virtual_time
async def test_who_comes_in_a_pause_does_not_overtake_those_that_waited_for_a_place_before_it():
    road, log = lane(), []
    await entered(road, "abcd", log)
    road.limited(10.0)
    await entered(road, "ef", log)
    road.release()
    await entered(road, "g", log)
    await pass_by(road, log, 7)
    assert names(log) == list("abcdefg")


@in_virtual_time
async def test_who_comes_when_the_pause_is_long_over_does_not_overtake_those_that_waited_in_it():
    road, log = lane(), []
    road.allowed(10.0, 0.0)
    await entered(road, "abcd", log)
    await asyncio.sleep(60)
    assert names(log) == ["a"]
    await entered(road, "ef", log)
    await pass_by(road, log, 6)
    assert names(log) == list("abcdef")


@in_virtual_time
async def test_who_comes_in_the_turn_in_which_a_place_is_freed_does_not_overtake():
    road, log = lane(), []
    await entered(road, "ab", log)
    road.release()
    assert not road.concurrency.try_acquire()
    await entered(road, "c", log)
    assert names(log) == ["a", "b"]
    road.release()
    await turns()
    assert names(log) == list("abc")


@in_virtual_time
async def test_nobody_waits_behind_a_lane_on_which_there_is_room():
    road, log = warm(8), []
    tasks = await entered(road, range(12), log)
    await turns(20)
    assert log == [(n, 0) for n in range(8)]
    await asyncio.sleep(5)
    for _ in range(3):
        road.release()
    await turns(20)
    assert log[8:] == [(8, 5), (9, 5), (10, 5)]
    await cancelled(tasks[11])


@in_virtual_time
async def test_nobody_waits_behind_a_lane_whose_pause_is_over():
    road, log = warm(8), []
    road.allowed(10.0, 0.0)
    await out_of_pause(road)
    began = now()
    await asyncio.gather(*await entered(road, range(8), log))
    assert times(log) == [began] * 8


@in_virtual_time
async def test_places_are_given_back_and_requests_in_flight_are_counted():
    road = warm(4)
    for _ in range(3):
        await road.acquire()
    assert (road.flying, road.concurrency.held) == (3, 3)
    road.release()
    assert (road.flying, road.concurrency.held) == (2, 2)


# Rates


@in_virtual_time
async def test_requests_a_minute_are_spaced_evenly():
    road, log = warm(8, rpm=30), []
    await asyncio.gather(*await entered(road, "abcd", log))
    assert times(log) == [0, 2, 4, 6]


@in_virtual_time
async def test_tokens_a_minute_are_kept_and_a_large_request_is_not_overtaken():
    """60,000 a minute are 1,000 a second."""
    road, log = warm(8, tpm=60_000), []

    async def send(tokens):
        await road.acquire(tokens)
        log.append((tokens, now()))

    await asyncio.gather(*(send(tokens) for tokens in (6000, 50_000, 10, 2000, 20)))
    assert names(log) == [6000, 50_000, 10, 2000, 20]
    assert times(log) == pytest.approx([0, 5, 55, 55.01, 57.01])


@pytest.mark.parametrize(("tokens", "spacing"), [(10, 1.0), (3000, 3.0)])
@in_virtual_time
async def test_requests_and_tokens_a_minute_hold_together(tokens, spacing):
    road, sent = warm(8, rpm=60, tpm=60_000), []
    for _ in range(6):
        await road.acquire(tokens)
        sent.append(now())
    gaps = [b - a for a, b in itertools.pairwise(sent)]
    assert gaps[1:] == pytest.approx([spacing] * 4)


@in_virtual_time
async def test_nobody_keeps_a_place_while_it_waits_for_its_moment():
    road, log = warm(8, rpm=6), []
    tasks = await entered(road, "abcd", log)
    assert repr(road.concurrency) == "Gate(limit=8, held=1, waiting=3)"
    assert road.flying == 1
    for task in tasks[1:]:
        await cancelled(task)
    assert repr(road.concurrency) == "Gate(limit=8, held=1, waiting=0)"


@in_virtual_time
async def test_a_moment_that_comes_earlier_than_was_thought_is_not_slept_through():
    """A minute of tokens was thought, and a tenth of it used."""
    road = warm(8, tpm=60_000)
    await road.acquire(61_000)
    waiting = asyncio.create_task(road.acquire(10))
    await asyncio.sleep(2)
    road.tokens.correct(-54_000)
    road.release()
    await waiting
    assert now() == pytest.approx(6)


@in_virtual_time
async def test_a_moment_that_comes_later_than_was_thought_is_waited_for():
    road = warm(8, tpm=60_000)
    await road.acquire(6000)
    waiting = asyncio.create_task(road.acquire(10))
    await asyncio.sleep(2)
    road.tokens.correct(10_000)
    await waiting
    assert now() == pytest.approx(15)


# At once or not at all


@in_virtual_time
async def test_at_once_means_that_there_is_a_place():
    road = warm(2)
    assert [road.concurrency.try_acquire() for _ in range(3)] == [True, True, False]
    road.release()
    assert road.concurrency.try_acquire()
    assert (road.flying, road.concurrency.held) == (2, 2)


@in_virtual_time
async def test_at_once_counts_as_any_other_request_against_the_rates():
    road, log = warm(8, rpm=60), []
    assert [road.concurrency.try_acquire() for _ in range(2)] == [True, False]
    await asyncio.gather(*await entered(road, "ab", log))
    assert times(log) == [1, 2]
    await asyncio.sleep(1)
    assert road.concurrency.try_acquire()
    limited = warm(8, tpm=60_000)
    assert [limited.concurrency.try_acquire(5000), limited.concurrency.try_acquire(1)] == [
        True,
        False,
    ]


@in_virtual_time
async def test_at_once_is_never_in_a_pause():
    road = warm(8)
    resume_at = now() + road.allowed(10.0, 0.0)
    await asyncio.sleep(9.9)
    assert not road.concurrency.try_acquire()
    await asyncio.sleep(resume_at - now())
    assert road.concurrency.try_acquire()
    assert not road.concurrency.try_acquire()  # the return is staggered


@in_virtual_time
async def test_at_once_is_never_before_others_that_wait():
    """Their moment has come, but nobody has seen to it yet."""
    road, log, tried = warm(8, rpm=60), [], []
    asyncio.get_running_loop().call_later(1.0, lambda: tried.append(road.concurrency.try_acquire()))
    await asyncio.gather(*await entered(road, "ab", log))
    assert (log, tried) == ([("a", 0), ("b", 1)], [False])


# Given up


@in_virtual_time
async def test_a_lane_that_is_given_up_keeps_nobody_waiting():
    """Not for a place, not for the end of a pause, not for the retry budget."""
    road, log = full(1), []
    while road.retries.take():
        pass
    tasks = await entered(road, range(20), log)
    retry = asyncio.create_task(road.retries.wait())
    road.limited(86_400.0)
    await asyncio.sleep(7)
    road.open()
    await asyncio.gather(*tasks)
    assert log == [(n, 7) for n in range(20)]
    await retry
    assert now() <= 8
    assert road.concurrency.try_acquire()


@in_virtual_time
async def test_a_lane_that_is_given_up_pauses_no_more_and_counts_no_more_pauses():
    road = lane()
    road.limited(100.0)
    await asyncio.sleep(7)
    road.open()
    await asyncio.sleep(500)
    assert road.limited(100.0) == 0.0
    assert road.paused() == {"rate limit": pytest.approx(7)}


# Cancelled


async def others_go_on(road, tasks, log):
    """Let all that wait go one after the other: nobody is lost, and no place."""
    while not all(task.done() for task in tasks):
        await asyncio.sleep(1)
        empty(road)
    empty(road)
    gone = [name for name, task in zip("abc", tasks, strict=True) if not task.cancelled()]
    assert names(log) == gone
    assert repr(road.concurrency) == "Gate(limit=1, held=0, waiting=0)"
    await asyncio.sleep(10)
    assert road.concurrency.try_acquire()


@pytest.mark.parametrize("who", [0, 1, 2])
@in_virtual_time
async def test_who_is_cancelled_in_a_pause_keeps_neither_place_nor_turn(who):
    road, log = lane(), []
    road.allowed(10.0, 0.0)
    tasks = await entered(road, "abc", log)
    await asyncio.sleep(5)
    await cancelled(tasks[who])
    await others_go_on(road, tasks, log)


@pytest.mark.parametrize("who", [0, 1, 2])
@in_virtual_time
async def test_who_is_cancelled_while_it_waits_for_a_place_keeps_neither_place_nor_turn(who):
    road, log = full(1), []
    tasks = await entered(road, "abc", log)
    await asyncio.sleep(5)
    await cancelled(tasks[who])
    await others_go_on(road, tasks, log)


@pytest.mark.parametrize("who", [0, 1, 2])
@in_virtual_time
async def test_who_is_cancelled_while_it_waits_for_its_moment_keeps_neither_place_nor_turn(who):
    road, log = warm(1, rpm=6), []
    await road.acquire()
    road.release()
    tasks = await entered(road, "abc", log)
    await asyncio.sleep(5)
    assert log == []
    await cancelled(tasks[who])
    await others_go_on(road, tasks, log)


@pytest.mark.parametrize("who", [0, 1])
@in_virtual_time
async def test_who_is_cancelled_in_the_turn_in_which_it_is_let_in_keeps_neither_place_nor_turn(who):
    road, log = full(1), []
    tasks = await entered(road, "abc", log)
    road.release()
    for _ in range(who):
        await turns(1)
    tasks[who].cancel()
    await turns()
    await others_go_on(road, tasks, log)
