"""What shares one quota."""

import asyncio
import itertools

import pytest
from clock import in_virtual_time, now
from queues import cancelled, entered, names

from batch.limits.breaker import TROUBLES
from batch.limits.lane import LONGEST_PAUSE, Lane


def lane(ceiling=8, rpm=None):
    return Lane(ceiling, rpm, asyncio.get_running_loop().time, asyncio.sleep)


def warm(ceiling=8, rpm=None):
    """A lane that has grown to its ceiling."""
    grown = lane(ceiling, rpm)
    while grown.concurrency.limit < ceiling:
        grown.succeeded()
    return grown


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
