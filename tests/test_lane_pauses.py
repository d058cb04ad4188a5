"""What shares one quota: what it makes of refusals, outages, refused keys and told quotas."""

import asyncio
import itertools

import pytest
from clock import in_virtual_time, now, turns
from lanes import answers, empty, fill, full, jittered, lane, out_of_pause, paused, warm
from queues import cancelled, entered, names

from batch.limits.breaker import FIRST_PROBE, LONGEST_PROBE, TROUBLES
from batch.limits.lane import DENIED_PAUSE, LONGEST_REFILL, MOST_HEEDED

DAY = 86_400.0


def away(road, patience=2 * 3600.0):
    """Let the provider be away; the seconds that the lane pauses."""
    return [road.troubled(patience, now()) for _ in range(TROUBLES)][-1]


# A pause


@in_virtual_time
async def test_a_pause_is_kept_by_everybody_and_nobody_keeps_a_place_meanwhile():
    road, log = warm(8), []
    resume_at = now() + road.allowed(30.0, 0.0)
    tasks = await entered(road, range(8), log)
    await asyncio.sleep(29)
    assert (log, road.flying, road.concurrency.held) == ([], 0, 0)
    await asyncio.gather(*tasks)
    assert all(at >= resume_at for _, at in log)


@in_virtual_time
async def test_the_return_from_a_pause_is_staggered():
    road, log = warm(8), []
    resume_at = now() + road.allowed(30.0, 0.0)
    await asyncio.gather(*await entered(road, range(8), log))
    times = [at for _, at in log]
    assert all(b > a for a, b in itertools.pairwise(times))
    assert times[0] == pytest.approx(resume_at)
    assert resume_at + 0.4 < times[-1] <= resume_at + 1.0 + 1.5 / 8


@in_virtual_time
async def test_a_short_pause_has_a_short_return():
    road, log = warm(8), []
    resume_at = now() + road.allowed(0.4, 0.0)
    await asyncio.gather(*await entered(road, range(8), log))
    assert log[-1][1] <= resume_at + 0.1 * 1.2


@in_virtual_time
async def test_a_pause_that_begins_while_others_wait_for_a_place_holds_for_them_too():
    road, log = full(1), []
    tasks = await entered(road, "abc", log)
    resume_at = now() + road.allowed(60.0, 0.0)
    road.release()
    road.concurrency.limit = 8
    await asyncio.sleep(59)
    assert (log, road.concurrency.held) == ([], 0)
    await asyncio.gather(*tasks)
    assert names(log) == list("abc")
    assert log[0][1] >= resume_at


@in_virtual_time
async def test_a_pause_that_begins_while_others_wait_for_their_moment_holds_for_them_too():
    road, log = warm(8, rpm=6), []
    await road.acquire()
    tasks = await entered(road, "abc", log)
    resume_at = now() + road.allowed(60.0, 0.0)
    await asyncio.sleep(59)
    assert (log, road.flying) == ([], 1)
    await asyncio.gather(*tasks)
    times = [at for _, at in log]
    assert times[0] >= resume_at
    assert all(b - a >= 10 - 1e-9 for a, b in itertools.pairwise(times))


@in_virtual_time
async def test_a_pause_that_begins_within_a_pause_and_lasts_longer_holds_for_all():
    road, log = warm(8), []
    road.allowed(10.0, 0.0)
    tasks = await entered(road, "abc", log)
    await asyncio.sleep(5)
    resume_at = now() + paused(road) + road.allowed(50.0, 0.0)
    await asyncio.gather(*tasks)
    assert log[0][1] >= resume_at - 0.001


@in_virtual_time
async def test_a_short_pause_does_not_end_a_longer_one():
    road = lane()
    first = road.limited(100.0)
    assert 100 <= first <= jittered(100)
    assert road.limited(1.0) == 0.0
    assert 200 < first + road.limited(200.0) <= jittered(200)


@in_virtual_time
async def test_pauses_are_told_by_reason_and_only_what_went_by_counts():
    road = lane()
    assert road.paused() == {}
    limited = road.limited(DAY)
    assert road.paused() == {"rate limit": 0.0}
    await asyncio.sleep(100)
    assert road.paused() == {"rate limit": pytest.approx(100)}
    await asyncio.sleep(limited)
    quota = road.allowed(50.0, 0.0)
    await asyncio.sleep(10)
    assert road.paused() == pytest.approx({"rate limit": limited, "quota used up": 10})
    await asyncio.sleep(100)
    road.denied(now())
    await asyncio.sleep(100)
    away(road, patience=1e9)
    await asyncio.sleep(100)
    told = road.paused()
    assert list(told) == ["rate limit", "quota used up", "refused key", "outage"]
    assert told["quota used up"] == pytest.approx(quota)
    assert DENIED_PAUSE <= told["refused key"] <= jittered(DENIED_PAUSE)
    assert FIRST_PROBE <= told["outage"] <= jittered(FIRST_PROBE)


@in_virtual_time
async def test_a_pause_that_grows_for_another_reason_counts_no_second_twice():
    road = lane()
    road.limited(10.0)
    await asyncio.sleep(2)
    road.allowed(50.0, 0.0)
    await asyncio.sleep(1)
    assert road.paused() == pytest.approx({"rate limit": 2, "quota used up": 1})
    road.denied(now())  # which is no longer than the pause under way
    await asyncio.sleep(1)
    assert road.paused() == pytest.approx({"rate limit": 2, "quota used up": 2})


# Outages


@in_virtual_time
async def test_while_the_provider_is_away_one_request_at_a_time_looks():
    road, log = full(8), []
    assert FIRST_PROBE <= away(road) <= jittered(FIRST_PROBE)
    empty(road)
    tasks = await entered(road, "abcd", log)
    await asyncio.sleep(60)
    assert names(log) == ["a"]
    resume_at = now() + road.troubled(3600.0, now())
    road.release()
    await asyncio.sleep(60)
    assert names(log) == ["a", "b"]
    assert log[1][1] >= resume_at >= 60 + 2 * FIRST_PROBE
    for task in tasks[2:]:
        await cancelled(task)


@in_virtual_time
async def test_looks_begin_at_five_seconds_and_double_to_two_minutes():
    road = lane()
    pauses = [away(road, 1e9)]
    for _ in range(7):
        await asyncio.sleep(200)
        pauses.append(road.troubled(1e9, now()))
    for pause, least in zip(pauses, [5, 10, 20, 40, 80, 120, 120, 120], strict=True):
        assert least <= pause <= jittered(least)
    assert LONGEST_PROBE == 120


@in_virtual_time
async def test_those_that_were_in_flight_when_the_provider_went_away_make_no_pause_longer():
    road = full(8)
    away(road)
    assert [road.troubled(3600.0, 0.0) for _ in range(8)] == [0.0] * 8


@in_virtual_time
async def test_the_last_look_comes_at_the_end_of_patience():
    road = lane()
    away(road, patience=300.0)
    while paused(road):
        await asyncio.sleep(paused(road))
        looked_at = now()
        if looked_at < 300:
            road.troubled(300.0, now())
    assert 300 <= looked_at <= jittered(300) + 10


@in_virtual_time
async def test_when_the_provider_is_back_the_lane_grows_fast_again():
    road, seen = full(8), []
    road.troubled(since=now(), overload=True)
    away(road)
    empty(road)
    await out_of_pause(road)
    fill(road)
    for _ in range(4):
        seen.append(road.flying)
        answers(road, road.flying)
    assert seen == [1, 2, 4, 8]
    assert not road.breaker.is_open


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


# A key that is refused


@in_virtual_time
async def test_a_refused_key_pauses_the_lane_and_one_request_looks_again():
    road, log = full(8), []
    assert not road.denied(now())
    assert DENIED_PAUSE <= paused(road) <= jittered(DENIED_PAUSE)
    empty(road)
    tasks = await entered(road, "abc", log)
    await asyncio.sleep(60)
    assert names(log) == ["a"]
    assert road.denied(log[0][1])
    for task in tasks[1:]:
        await cancelled(task)


@in_virtual_time
async def test_refusals_of_what_was_sent_before_the_first_one_came_are_one_with_it():
    road, sent = full(8), now()
    await asyncio.sleep(1)
    assert [road.denied(sent) for _ in range(8)] == [False] * 8
    assert paused(road) <= jittered(DENIED_PAUSE)
    await asyncio.sleep(60)
    assert not road.denied(sent)
    assert paused(road) == 0


@in_virtual_time
async def test_an_answer_to_what_was_sent_after_a_refused_key_clears_it():
    road = full(8)
    road.denied(now())
    await asyncio.sleep(5)
    road.succeeded(now(), 1)
    await asyncio.sleep(5)
    assert not road.denied(now())
    assert paused(road) >= DENIED_PAUSE


@in_virtual_time
async def test_answers_to_what_was_sent_before_a_refused_key_clear_nothing_and_widen_nothing():
    road, sent = full(8), now()
    await asyncio.sleep(1)
    road.denied(sent)
    for _ in range(7):
        road.release()
        road.succeeded(sent, 8)
    assert road.concurrency.limit == 1
    await asyncio.sleep(5)
    assert road.denied(now())


# A quota that is told


@in_virtual_time
async def test_a_quota_that_is_used_up_pauses_until_it_is_there_again_for_a_minute_at_most():
    assert 20 <= lane().allowed(20.0, 0.0) <= jittered(20)
    assert LONGEST_REFILL <= lane().allowed(DAY, 0.0) <= jittered(LONGEST_REFILL)


def told_to_be_used_up(road, times):
    """How often the lane pauses for a reply that says so, when each pause is over in time."""

    async def tell():
        pauses = 0
        for _ in range(times):
            pauses += road.allowed(10.0, 0.0) > 0
            await asyncio.sleep(20)
        return pauses

    return tell()


@in_virtual_time
async def test_a_quota_that_is_told_to_be_used_up_while_all_is_answered_is_believed_five_times():
    assert await told_to_be_used_up(lane(), 50) == MOST_HEEDED == 5


@in_virtual_time
async def test_a_reply_that_says_otherwise_makes_the_next_one_be_believed_again():
    road = lane()
    await told_to_be_used_up(road, 9)
    road.allowed(0.0, 0.0)
    assert await told_to_be_used_up(road, 9) == 5


@in_virtual_time
async def test_a_refusal_shows_that_the_quota_is_used_up_indeed():
    road = lane()
    await told_to_be_used_up(road, 9)
    road.limited(1.0)
    await asyncio.sleep(20)
    assert await told_to_be_used_up(road, 9) == 5


@in_virtual_time
async def test_a_quota_that_is_nearly_used_up_spaces_the_next_requests():
    """After two gaps without another word the lane is as free as before."""
    road, log = warm(8), []
    assert road.allowed(0.0, 4.0) == 0.0
    tasks = await entered(road, range(8), log)
    await asyncio.gather(*tasks)
    times = [at for _, at in log]
    assert times[0] == pytest.approx(2.0)
    assert 2.0 <= times[1] - times[0] <= 6.0
    assert times[-1] <= 8 + 6
    assert paused(road) == 0


@in_virtual_time
async def test_replies_that_keep_telling_of_a_gap_keep_requests_apart():
    road, times = warm(8), []
    for _ in range(40):
        road.allowed(0.0, 2.0)
        await road.acquire()
        times.append(now())
        road.release()
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) >= 1.0
    assert sum(gaps) / len(gaps) == pytest.approx(2.0, rel=0.2)


@in_virtual_time
async def test_a_gap_of_days_is_a_minute():
    road = warm(8)
    road.allowed(0.0, DAY)
    await road.acquire()
    assert now() == pytest.approx(LONGEST_REFILL / 2)


@in_virtual_time
async def test_a_quota_that_is_enough_changes_nothing():
    road = warm(8)
    assert road.allowed(0.0, 0.0) == 0.0
    assert fill(road) == 8
    await turns()
    assert now() == 0
