"""Whole runs in virtual time: the pace that a lane finds, outages, servers half broken.

`python tests/simulate.py` prints the same runs as tables. Nights are in `proof/test_soak.py`.
"""

import math

import pytest
from capacities import Changing, FixedWindow, Places, Queue, SlidingWindow, TokenBucket
from model_server import Accident, Server
from scenarios import DOWN, FIXED, MATRIX, UNSTEADY, partial
from simulation import WARM, Scenario, simulate, simulate_fixed

named = {"ids": lambda scenario: scenario.name}


def complete(outcome):
    """Whether every job was answered once and the run came to its end."""
    return outcome.each_once and not outcome.failed and not outcome.ended


# The model


CAPACITIES = [
    TokenBucket(20, 20),
    TokenBucket(20, 1),
    FixedWindow(20, 1.0),
    FixedWindow(90, 60.0),
    SlidingWindow(20, 1.0),
    Places(4, 0.3),
    Queue(4, 0.3),
    Changing((0.0, TokenBucket(20, 1)), (10.0, TokenBucket(5, 1)), (40.0, TokenBucket(20, 1))),
]


@pytest.mark.parametrize("capacity", CAPACITIES, ids=lambda each: type(each).__name__)
def test_who_comes_back_when_a_server_has_room_gets_all_that_it_sustains_and_no_more(capacity):
    """Whoever asks again at the told moment is let in, and 3,000 requests take their time."""
    now, ends = 0.0, []
    for _ in range(3000):
        now += capacity.room_in(now)
        assert capacity.room_in(now) == 0.0
        ends.append(now + capacity.take(now, 0.3))
    assert capacity.least(3000) <= max(ends) + 0.01
    assert max(ends) <= capacity.sustained(3000) + 0.31


def test_a_run_in_virtual_time_is_the_same_each_time():
    def facts(seed):
        accidents = (Accident(0.1, "error"), Accident(0.05, "limited"), Accident(0.01, "hanging"))
        scenario = Scenario("twice", Server(accidents=accidents), jobs=300, seed=seed)
        outcome = simulate(scenario)
        return outcome.seconds, outcome.retries, outcome.samples[-1].lane

    assert facts(1) == facts(1)
    assert facts(1) != facts(2)


# The pace


# What is asked of servers that are hard to please, else 0.9. The worst of ten seeds is a little
# above each: no room for the smallest burst; pauses of half a second without advice where an
# answer takes 20 ms; a start that takes ten round trips of 2 s.
HARD = {
    "burst 1,": 0.6,
    "4 places, 0.02 s": 0.28,
    "4 places, 0.3 s": 0.7,
    "20 places, 0.3 s": 0.6,
    "window 20 per 1 s, 0.3 s, -j 32, silent": 0.8,
    "sliding 20 per 1 s": 0.75,
    "20/s burst 20, 2 s, -j 128": 0.8,
}


def asked_of(scenario):
    return min([share for words, share in HARD.items() if words in scenario.name], default=0.9)


@pytest.mark.parametrize("scenario", MATRIX, **named)
def test_a_lane_gets_nearly_what_a_server_sustains_and_is_hardly_ever_refused(scenario):
    outcome = simulate(scenario)
    assert complete(outcome)
    assert outcome.log.share("limited", WARM) < 0.02
    assert outcome.throughput >= asked_of(scenario)


@pytest.mark.parametrize("scenario", UNSTEADY, **named)
def test_a_lane_gets_four_fifths_of_what_a_server_sustains_that_changes_its_mind(scenario):
    outcome = simulate(scenario)
    assert complete(outcome)
    assert outcome.log.share("limited", WARM) < 0.02
    assert outcome.throughput >= 0.8


@pytest.mark.parametrize("scenario", FIXED, **named)
def test_a_lane_is_as_fast_as_fixed_workers_and_is_refused_far_less(scenario):
    fixed, lane = simulate_fixed(scenario), simulate(scenario)
    assert complete(fixed)
    assert complete(lane)
    assert lane.seconds <= 1.1 * fixed.seconds
    assert lane.log.share("limited") < fixed.log.share("limited") / 4


# Trouble


@pytest.mark.parametrize("scenario", DOWN, **named)
def test_a_minute_without_a_server_fails_no_job_and_costs_few_requests(scenario):
    outcome = simulate(scenario)
    (outage,) = scenario.server.outages
    assert complete(outcome)
    assert outcome.log.requests.between(outage.start, outage.end) < 200
    latency = scenario.server.mean
    hung = scenario.server.timeout if outage.kind == "hanging" else 0.0
    starts = 2 * latency * math.log2(scenario.concurrency)  # a start doubles each round trip
    plain = scenario.jobs * latency / scenario.concurrency
    assert outcome.seconds <= plain + starts + 60.0 + hung + 60.0


@pytest.fixture(scope="module")
def half_broken():
    """Ten minutes in which three requests in ten end in a 500."""
    return simulate(partial(0.3))


def test_a_server_that_fails_three_requests_in_ten_for_ten_minutes_fails_hardly_a_job(half_broken):
    """With four retries one job in four hundred meets five errors; most wait for better times."""
    assert half_broken.failed <= 5
    assert not half_broken.ended


def test_a_half_broken_server_gets_no_more_repeats_than_a_tenth_of_its_requests(half_broken):
    (accident,) = half_broken.scenario.server.accidents
    assert half_broken.log.share("repeats", accident.start, accident.end) < 0.1


def test_a_run_goes_on_at_more_than_half_its_pace_while_a_server_is_half_broken(half_broken):
    (accident,) = half_broken.scenario.server.accidents
    answers = half_broken.log.answers.between(accident.start, accident.end)
    before = half_broken.log.answers.between(WARM, accident.start) / (accident.start - WARM)
    assert answers / (accident.end - accident.start) > before / 2
