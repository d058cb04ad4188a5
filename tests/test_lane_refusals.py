"""What shares one quota: what it makes of refusals and of signs of overload."""

import asyncio
import itertools

import pytest
from clock import in_virtual_time, now
from lanes import answers, empty, fill, full, jittered, lane, out_of_pause, paused, warm
from queues import entered

from batch.limits.breaker import TROUBLES
from batch.limits.lane import FIRST_PAUSE, LONGEST_PAUSE

# Refusals


@in_virtual_time
async def test_the_first_refusal_halves_what_is_in_flight():
    road = full(8)
    road.limited(10.0, now(), 8)
    assert road.concurrency.limit == 4


@in_virtual_time
async def test_the_first_refusal_is_no_number_to_keep_away_from():
    """The pace is what it teaches."""
    road = warm(16)
    road.concurrency.limit = 8
    fill(road)
    road.limited(10.0, now(), 8)
    for _ in range(20):
        road.succeeded(now(), 16)
    assert road.concurrency.limit == 16


@in_virtual_time
async def test_a_refusal_among_many_answers_is_only_waited_for():
    road = full(8)
    answers(road, 200)
    assert road.limited(2.0, now(), 8) >= 2.0
    assert (road.pace.rate, road.concurrency.limit) == (None, 8)


@pytest.mark.parametrize(("among", "is_paced"), [(100, False), (50, True)])
@in_virtual_time
async def test_one_percent_of_refusals_makes_no_pace_and_two_percent_do(among, is_paced):
    road, episodes = full(8), 0
    while road.pace.rate is None and episodes < 20:
        answers(road, among)
        road.limited(0.0, now(), 8)
        await out_of_pause(road)
        episodes += 1
    assert (road.pace.rate is not None) == is_paced


@in_virtual_time
async def test_a_refusal_of_what_was_sent_before_another_pause_teaches_no_pace():
    road, sent = full(8), now()
    road.allowed(5.0, 0.0)
    await out_of_pause(road)
    road.limited(1.0, sent, 8)
    assert road.pace.rate is None


@in_virtual_time
async def test_where_more_were_in_flight_than_went_well_the_number_is_to_blame_and_not_the_pace():
    road = full(8)
    road.limited(1.0, now(), 8)
    await out_of_pause(road)
    road.succeeded(now(), 4)
    road.concurrency.limit, pace = 8, road.pace.rate
    road.limited(1.0, now(), 6)
    assert (road.concurrency.limit, road.pace.rate) == (5, pace)


@in_virtual_time
async def test_the_pace_grows_with_the_answers():
    road = full(8)
    road.limited(1.0, now(), 8)
    empty(road)
    await out_of_pause(road)
    before = road.pace.rate
    for _ in range(100):
        await road.acquire()
        road.succeeded(now(), 1)
        road.release()
    assert road.pace.rate > before


@in_virtual_time
async def test_a_pause_is_as_long_as_the_server_asks_for_and_a_little_longer():
    pauses = [lane().limited(30.0) for _ in range(200)]
    assert all(30 <= pause <= jittered(30) for pause in pauses)
    assert max(pauses) - min(pauses) > 1.5


@in_virtual_time
async def test_an_episode_cuts_once_however_many_requests_it_meets():
    """Also when some of them are refused only after the pause, as they were sent before it."""
    road, sent = full(8), now()
    await asyncio.sleep(1)
    for _ in range(8):
        road.limited(10.0, sent, 8)
        road.release()
    assert road.concurrency.limit == 4
    pace = road.pace.rate
    await asyncio.sleep(60)
    road.limited(10.0, sent, 8)
    assert (road.concurrency.limit, road.pace.rate) == (4, pace)


@in_virtual_time
async def test_a_refusal_of_what_was_sent_before_the_cut_makes_no_pause_grow():
    road, sent = full(8), now()
    await asyncio.sleep(1)
    for _ in range(5):
        assert road.limited(None, sent, 8) <= jittered(FIRST_PAUSE)
        await asyncio.sleep(5)


@in_virtual_time
async def test_without_a_word_from_the_server_pauses_double_to_a_minute_and_never_overflow():
    road, pauses = lane(), []
    for _ in range(1200):
        pauses.append(road.limited(None))
        await asyncio.sleep(100)
    for pause, least in zip(pauses, [0.5, 1, 2, 4, 8, 16, 32, 60, 60], strict=False):
        assert least <= pause <= jittered(least)
    assert all(LONGEST_PAUSE <= pause <= jittered(LONGEST_PAUSE) for pause in pauses[7:])


@in_virtual_time
async def test_short_advice_of_the_server_is_believed_the_first_time():
    assert 0.1 <= lane().limited(0.1) <= jittered(0.1)
    assert lane().limited(0.0) <= jittered(0.0)


@in_virtual_time
async def test_an_answer_makes_pauses_short_again():
    road = lane()
    for _ in range(5):
        road.limited(None)
        await asyncio.sleep(100)
    road.succeeded()
    assert road.limited(None) <= jittered(FIRST_PAUSE)


@in_virtual_time
async def test_advice_of_the_server_that_was_not_enough_is_lengthened():
    road, pauses = lane(), []
    for _ in range(6):
        pauses.append(road.limited(0.6))
        await asyncio.sleep(100)
    for pause, least in zip(pauses, [0.6, 1, 2, 4, 8, 16], strict=True):
        assert least <= pause <= jittered(least)
    assert 300 <= road.limited(300.0) <= jittered(300)


@in_virtual_time
async def test_after_refusals_without_an_answer_between_the_lane_looks_with_one_request():
    road = full(8)
    road.limited(1.0, now(), 8)
    empty(road)
    await out_of_pause(road)
    await asyncio.gather(*await entered(road, range(4), []))
    road.limited(1.0, now(), 4)
    empty(road)
    for _ in range(3):
        await out_of_pause(road)
        await road.acquire()
        assert (road.flying, road.concurrency.limit) == (1, 1)
        road.limited(1.0, now(), 1)
        road.release()
    await out_of_pause(road)
    await road.acquire()
    road.succeeded(now(), 1)
    assert road.concurrency.limit == 4


@in_virtual_time
async def test_a_refusal_says_that_the_provider_is_there():
    road = lane()
    for _ in range(TROUBLES - 1):
        road.troubled()
    road.limited(1.0)
    assert road.breaker.troubles == 0


@in_virtual_time
async def test_after_the_first_refusal_requests_go_out_evenly():
    road = full(8)
    road.limited(1.0, now(), 8)
    empty(road)
    await out_of_pause(road)
    await asyncio.sleep(10)
    road.concurrency.limit, log = 8, []
    await asyncio.gather(*await entered(road, range(8), log))
    gaps = [b - a for (_, a), (_, b) in itertools.pairwise(log)]
    assert gaps == pytest.approx([1 / road.pace.rate] * 7)


# Overload


@in_virtual_time
async def test_two_signs_of_overload_in_a_row_halve_what_is_in_flight_once_an_episode():
    road, sent = full(8), now()
    await asyncio.sleep(60)
    limits = []
    for _ in range(5):
        assert road.troubled(since=sent, overload=True) == 0.0
        limits.append(road.concurrency.limit)
        road.release()
    assert limits == [8, 3, 3, 3, 3]
    await asyncio.sleep(1)
    road.troubled(since=now(), overload=True)
    assert road.concurrency.limit == 1


@in_virtual_time
async def test_signs_of_overload_between_answers_cut_nothing():
    road = full(8)
    for _ in range(20):
        road.troubled(since=now(), overload=True)
        road.succeeded(now(), 8)
    assert road.concurrency.limit == 8


@in_virtual_time
async def test_errors_that_are_no_sign_of_overload_cut_and_pause_nothing():
    road = full(8)
    pauses = [road.troubled(since=now()) for _ in range(TROUBLES - 1)]
    assert pauses == [0.0] * (TROUBLES - 1)
    assert (road.concurrency.limit, paused(road)) == (8, 0)
