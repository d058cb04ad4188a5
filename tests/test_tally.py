"""Counters that cost next to nothing, and percentiles in bounded memory."""

import math
import random
import tracemalloc

import pytest
from msgspec.structs import replace

from batch.models import Result
from batch.tally import FINEST, Latencies, Tally

RESULT = Result(
    id="a",
    status="ok",
    output="text",
    provider="fake",
    model="fake-1",
    source="model",
    finish_reason="stop",
    attempts=1,
    latency_s=0.2,
    input_tokens=3,
    output_tokens=5,
    cost_usd=0.25,
    media=(),
    key="k",
    started_at="",
    finished_at="",
    run_id="r",
)


def told(latencies):
    found = Latencies()
    for latency in latencies:
        found.add(latency)
    return found


def test_of_nothing_there_is_no_percentile():
    assert Latencies().percentile(0.5) is None


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("scale", [0.001, 0.05, 1.0, 60.0])
def test_percentiles_are_within_two_and_a_half_percent(share, scale):
    random.seed(1)
    values = sorted(random.lognormvariate(0, 1) * scale + FINEST for _ in range(5000))
    true = values[math.ceil(len(values) * share) - 1]
    assert told(values).percentile(share) == pytest.approx(true, rel=0.025)


@pytest.mark.parametrize("latency", [0.0005, 0.002, 0.0123, 0.9, 119.99, 7200.0])
def test_a_single_latency_is_every_percentile(latency):
    found = told([latency])
    assert {found.percentile(0.5), found.percentile(0.95)} == {found.percentile(1.0)}
    assert found.percentile(0.5) == pytest.approx(latency, rel=0.025)


@pytest.mark.parametrize("latency", [0.0, -1.0, 1e-9])
def test_what_is_shorter_than_the_finest_latency_is_told_as_that(latency):
    assert told([latency]).percentile(0.5) == pytest.approx(FINEST, rel=0.025)


def test_ten_times_as_many_latencies_take_no_more_memory():
    random.seed(2)
    found = told(random.uniform(0, 120) for _ in range(10_000))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(100_000):
        found.add(random.uniform(0, 120))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000


def test_answers_add_up():
    tally = Tally()
    tally.count(RESULT)
    tally.count(replace(RESULT, id="b", latency_s=2.0))
    assert (tally.answered, tally.input_tokens, tally.output_tokens) == (2, 6, 10)
    assert tally.cost == 0.5
    assert tally.unknown_usage == 0
    assert tally.latencies.percentile(1.0) == pytest.approx(2.0, rel=0.025)


def test_an_answer_without_token_counts_is_counted_as_unknown():
    tally = Tally()
    tally.count(replace(RESULT, input_tokens=None, output_tokens=None, cost_usd=None))
    assert (tally.answered, tally.input_tokens, tally.output_tokens) == (1, 0, 0)
    assert tally.cost == 0.0
    assert tally.unknown_usage == 1


def test_failures_are_counted_by_code():
    tally = Tally()
    for code in ("timeout", "rejected", "timeout"):
        tally.count_failed(code)
    assert tally.failed == 3
    assert tally.failures == {"timeout": 2, "rejected": 1}
    assert tally.answered == 0


def test_the_three_slowest_are_kept_whatever_their_order():
    tally = Tally()
    latencies = [0.1, 9.0, 0.3, 7.0, 8.0, 0.2, 8.5]
    for at, latency in enumerate(latencies):
        tally.count(replace(RESULT, id=f"job-{at}", latency_s=latency))
    slowest = [(9.0, "job-1"), (8.5, "job-6"), (8.0, "job-4")]
    assert sorted(tally.slowest, reverse=True) == slowest
