"""Requests and tokens a minute, evenly spread: plain numbers, no loop."""

import random

import pytest

from batch.limits.rate import LATE, Moments, Tokens


def sent(moments, arrivals, late=0.0):
    """When the requests that come at `arrivals` go out; their timers ring `late` seconds late."""
    now, times = float("-inf"), []
    for arrival in arrivals:
        now = max(now, arrival)
        wait = moments.wait(now)
        now += wait + late if wait > 0 else 0.0
        moments.take(now)
        times.append(now)
    return times


# Moments


def test_requests_go_out_evenly_spaced():
    assert sent(Moments(2.0), [0.0] * 5) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("start", [0.0, 1e9])
def test_the_first_request_waits_for_nothing(start):
    assert Moments(60.0).wait(start) <= 0.0
    assert sent(Moments(60.0), [start, start]) == [start, start + 60]


def test_a_rest_is_not_saved_up_for_a_burst():
    assert sent(Moments(2.0), [0, 0, 100, 100, 100]) == [0, 2, 100, 102, 104]


def test_a_moment_that_nobody_took_is_past():
    moments = Moments(2.0)
    moments.take(0.0)
    assert [moments.wait(now) for now in (0.5, 2.0, 5.0)] == [1.5, 0.0, -3.0]


def test_timers_that_ring_late_cost_no_time_in_the_long_run():
    late = LATE * 0.8
    times = sent(Moments(0.01), [0.0] * 1000, late)
    assert times[-1] == pytest.approx(9.99 + late)


def test_who_comes_later_than_a_late_timer_came_on_its_own_and_counts_from_then():
    moments = Moments(1.0)
    moments.take(0.0)
    moments.take(1.0 + LATE * 1.2)
    assert moments.wait(0.0) == pytest.approx(2.0 + LATE * 1.2)


def test_a_request_that_goes_out_before_its_moment_is_paid_for():
    moments = Moments(1.0)
    for _ in range(3):
        moments.take(0.0)
    assert moments.wait(0.0) == 3.0


def test_another_interval_counts_from_the_next_request_on():
    moments = Moments(1.0)
    moments.take(0.0)
    moments.interval = 5.0
    assert sent(moments, [0.0] * 3) == [1, 6, 11]
    assert repr(moments) == "Moments(interval=5)"


# Tokens: 60,000 a minute are 1,000 a second


def owing(tokens, now=0.0):
    """A limit of 60,000 a minute with so many tokens owed."""
    limit = Tokens(60_000)
    limit.take(now, tokens + 1000)  # a second's worth is there at the start
    return limit


def test_a_large_request_goes_at_once_and_those_behind_it_wait_until_it_is_paid():
    limit = Tokens(60_000)
    assert limit.wait(0.0) <= 0.0
    limit.take(0.0, 31_000)
    assert [limit.wait(now) for now in (0.0, 10.0, 29.5)] == pytest.approx([30.0, 20.0, 0.5])
    assert limit.wait(30.1) < 0.0


def test_a_request_waits_for_what_is_owed_and_not_for_its_own_size():
    """So a large one waits for no longer than a small one would at its place."""
    limit = owing(500)
    assert limit.wait(0.5) <= 1e-9
    limit.take(0.5, 60_000)
    assert limit.wait(0.5) == pytest.approx(60.0)


def test_tokens_are_spread_evenly():
    limit, now, times = owing(0), 0.0, []
    for _ in range(5):
        now += max(0.0, limit.wait(now))
        limit.take(now, 250)
        times.append(now)
    assert times == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


def test_a_rest_saves_up_the_tokens_of_a_second_and_no_more():
    limit = owing(0)
    limit.take(7200.0, 1400)
    assert limit.wait(7200.0) == pytest.approx(0.4)


def test_in_the_long_run_no_more_goes_out_than_the_limit_and_hardly_less():
    draw, limit, now, total = random.Random(1), Tokens(60_000), 0.0, 0
    for _ in range(2000):
        now += max(0.0, limit.wait(now))
        tokens = draw.randrange(1, 2000)
        limit.take(now, tokens)
        total += tokens
    assert (total - 4000) / 1000 <= now <= total / 1000


def test_tokens_that_were_more_than_was_thought_are_waited_for():
    limit = owing(0)
    limit.take(0.0, 100)
    limit.correct(400)
    assert limit.wait(0.0) == pytest.approx(0.5)


def test_tokens_that_were_fewer_than_was_thought_are_given_back():
    limit = owing(0)
    limit.take(0.0, 5000)
    limit.correct(-4700)
    assert limit.wait(0.0) == pytest.approx(0.3)


def test_what_is_given_back_is_saved_up_for_no_longer_than_a_second_either():
    limit = owing(0)
    limit.correct(-50_000)
    assert limit.wait(0.0) == pytest.approx(-1.0)
    limit.take(0.0, 3000)
    assert limit.wait(0.0) == pytest.approx(2.0)


def test_a_count_that_cannot_be_true_costs_no_more_than_a_minute():
    limit = owing(0)
    limit.correct(1e300)
    assert limit.wait(0.0) == pytest.approx(60.0)
    limit.correct(1e300)
    assert limit.wait(0.0) == pytest.approx(60.0)


def test_a_large_request_that_is_owed_is_owed_also_when_it_took_more():
    limit = owing(90_000)
    limit.correct(5000)
    assert limit.wait(0.0) == pytest.approx(90.0)
    limit.correct(-80_000)
    assert limit.wait(0.0) == pytest.approx(10.0)


def test_a_limit_tells_what_is_owed():
    assert repr(owing(2500)) == "Tokens(60000 a minute, 2500 owed)"
