"""A night in virtual time: three outages, 429s, hangs, hours asleep, a clock that is set.

The long version plays 24 hours and 300,000 jobs. What a run does to a server that is overloaded,
half broken or away for a minute stands in `test_simulation.py`.
"""

import pytest
from scenarios import night
from simulation import simulate

SLOPE = 1024  # KiB an hour that a night may grow by


@pytest.fixture(scope="module")
def played(request):
    """The night, played once for all that is asked of it."""
    return simulate(night(jobs=300_000 if request.config.getoption("long") else 30_000))


def test_each_job_of_the_night_is_answered_once_and_none_fails(played, count):
    assert played.each_once
    assert (played.failed, played.ended) == (0, None)
    count(cases=1, jobs=played.scenario.jobs)


def test_half_an_hour_without_a_server_costs_fewer_than_200_requests(played):
    for outage in played.scenario.server.outages:
        assert outage.end < played.seconds
        assert played.log.requests.between(outage.start, outage.end) < 200


def test_the_night_leaves_no_task_behind(played):
    window = 3 * played.scenario.concurrency
    most = max(sample.tasks for sample in played.samples)
    assert most <= window + 3  # the run and what stands beside it


def test_memory_does_not_grow_over_the_night(played):
    begun = [sample for sample in played.samples if sample.at > played.seconds / 4]
    grown = begun[-1].memory - begun[0].memory
    hours = (begun[-1].at - begun[0].at) / 3600
    assert grown < SLOPE * max(hours, 3)


def test_the_night_takes_little_longer_than_its_requests_and_its_outages(played):
    server, jobs = played.scenario.server, played.scenario.jobs
    away = sum(outage.end - outage.start for outage in server.outages)
    assert played.seconds <= 1.25 * (jobs * server.mean / played.scenario.concurrency + away)


def test_retries_are_less_than_a_tenth_of_the_requests_of_the_night(played):
    assert played.log.share("repeats") < 0.1
