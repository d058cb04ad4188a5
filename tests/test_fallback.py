"""A run that goes on with another provider when the first cannot be used any more."""

import asyncio

import pytest
from clock import in_virtual_time, now
from rehearsal import Night, Timed, job, jobs

from batch.errors import Away, Denied, Halt, RateLimited, Rejected, Retryable
from batch.events import FellBack, Paused, Stopping
from batch.limits.lane import Lane
from batch.models import Price
from batch.refusals import SAME_REFUSALS
from batch.retry import RetryPolicy
from batch.routes import Route

HOUR = 3600.0


def fallback(client=None, *, name="other", model="small", concurrency=8, **changed):
    lane = Lane(concurrency, None, asyncio.get_running_loop().time, asyncio.sleep)
    return Route(name, client or Timed(), lane, model=model, **changed)


def failing(error, since=0.0, takes=0.0):
    """A provider whose requests all end in an error from a moment on."""
    return Timed((since, 1e9), error, takes)


async def night_with(first, *others, todo=None, **rules):
    """A run of a hundred jobs with a first provider and its fallbacks."""
    night = Night(client=first, fallbacks=others, **rules)
    return await night.run(todo or jobs(100, delay=1.0))


@in_virtual_time
async def test_after_a_halt_all_jobs_are_answered_by_the_other_provider():
    other = fallback()
    night = await night_with(failing(Halt("no credit")), other)
    assert len(night.answers) == 100
    assert {(each.provider, each.model) for each in night.answers.values()} == {("other", "small")}
    assert {request.model for request in other.completer.requests} == {"small"}
    assert (night.failures, night.runner.ended_by, night.runner.stopping) == ({}, None, "")


@in_virtual_time
async def test_in_the_middle_of_a_run_those_in_flight_and_those_that_wait_go_over_too():
    other = fallback()
    first = failing(Halt("no credit"), since=8.0)
    night = await night_with(first, other)
    by = [each.provider for each in night.answers.values()]
    assert len(by) == 100
    assert by.count("fake") > 20
    assert by.count("other") > 20
    assert len(other.completer.requests) == by.count("other")


@in_virtual_time
async def test_a_provider_that_was_given_up_is_asked_no_more():
    first = failing(Halt("no credit"), since=8.0)
    night = await night_with(first, fallback())
    assert first.asked(8.5, 1e9) == 0
    assert first.asked(8.0, 8.5) <= 8
    assert night.lane.flying == 0


@in_virtual_time
async def test_a_switch_costs_no_attempt_and_no_time():
    night = await night_with(
        failing(Halt("no credit"), since=8.0), fallback(), retry=RetryPolicy(retries=0)
    )
    assert len(night.answers) == 100
    assert now() < 8 + 100 / 8 + 10


@in_virtual_time
async def test_the_switch_is_told_once():
    night = await night_with(failing(Halt("no credit"), since=8.0, takes=3.0), fallback())
    assert night.told(FellBack) == [FellBack("other", "small", "no credit")]
    assert str(night.runner.given_up) == "no credit"
    assert night.told(Stopping) == []


@in_virtual_time
async def test_a_key_that_is_refused_twice_leads_to_the_other_provider():
    first = failing(Denied("who are you?", 401))
    night = await night_with(first, fallback())
    assert len(night.answers) == 100
    assert len(first.times) <= 3
    assert [event.reason for event in night.told(FellBack)] == ["who are you?"]


@in_virtual_time
async def test_a_provider_that_is_away_too_long_leads_to_the_other_one():
    first = failing(Retryable("nobody is there", "connection"), since=5.0)
    night = await night_with(first, fallback(), max_outage=600.0)
    assert len(night.answers) == 100
    assert isinstance(night.runner.given_up, Away)
    [fell] = night.told(FellBack)
    assert fell.reason.endswith(": nobody is there")
    assert now() < 5 + 600 + 150


@in_virtual_time
async def test_a_pause_of_a_provider_that_was_given_up_is_waited_out_by_nobody():
    """It asks for 20 hours, in which those that wait behind it would do nothing."""
    first = failing(RateLimited("tomorrow", "rate_limited", 429, 20 * HOUR), since=5.0)
    night = await night_with(first, fallback())
    assert len(night.answers) == 100
    assert now() < 60


@in_virtual_time
async def test_backoff_goes_on_and_ends_at_the_other_provider():
    todo = [job("late", failures=["timeout"]), *jobs(100, delay=0.5)]
    first = failing(Halt("no credit"), since=5.0)
    policy = RetryPolicy(first_wait=HOUR, longest_wait=HOUR)
    night = await night_with(first, fallback(), todo=todo, retry=policy)
    assert night.answers["late"].provider == "other"


@in_virtual_time
async def test_a_job_that_the_other_provider_cannot_do_is_left_and_not_failed():
    def unsupported(each):
        return "it has no eyes" if each.id in ("job-40", "job-41") else ""

    night = await night_with(failing(Halt("no credit")), fallback(reason_unsupported=unsupported))
    assert night.answers.keys() == {f"job-{n}" for n in range(100)} - {"job-40", "job-41"}
    assert (night.failures, night.tally.failed, night.runner.in_flight) == ({}, 0, {})


@in_virtual_time
async def test_what_the_first_provider_can_do_is_not_asked_again():
    """The plan has sorted out before the run what it cannot do."""
    night = Night()
    night.route.reason_unsupported = lambda _: "never"
    await night.run(jobs(3))
    assert len(night.answers) == 3


@in_virtual_time
async def test_costs_are_those_of_the_provider_that_answered():
    night = await night_with(
        failing(Halt("no credit"), since=8.0),
        fallback(price=Price(1000.0, 0.0)),
        price=Price(1.0, 0.0),
    )
    costs = {(each.provider, each.cost_usd) for each in night.answers.values()}
    assert {("fake", 1e-6), ("other", 1e-3)} == costs


@in_virtual_time
async def test_the_second_is_followed_by_the_third():
    second = fallback(failing(Halt("no model"), since=10.0), name="second")
    third = fallback(name="third", model="")
    night = await night_with(failing(Halt("no credit"), since=5.0), second, third)
    assert {each.provider for each in night.answers.values()} == {"fake", "second", "third"}
    assert len(night.answers) == 100
    assert {e.model for e in night.answers.values() if e.provider == "third"} == {"fake-1"}
    assert [event.provider for event in night.told(FellBack)] == ["second", "third"]
    assert str(night.runner.given_up) == "no credit"


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(Halt("no model"), 4), (RateLimited("tomorrow", "rate_limited", 429, 20 * HOUR), 3)],
)
@in_virtual_time
async def test_without_another_fallback_the_run_ends_as_it_would_without_any(error, exit_code):
    night = await night_with(failing(Halt("no credit")), fallback(failing(error, since=10.0)))
    assert night.runner.ended_by.exit_code == exit_code
    assert str(error) in night.runner.stopping
    assert 0 < len(night.answers) < 100
    assert night.failures == {}
    assert now() < 30


@pytest.mark.parametrize("rules", [{}, {"concurrency": 1, "window": 1}])
@in_virtual_time
async def test_keys_of_other_providers_that_are_refused_fail_no_job(rules):
    """Also not the one that was refused at each provider before, or that is the only one."""
    first = failing(Denied("who are you?", 401), since=5.0)
    others = [fallback(failing(Denied("nor here", 403))) for _ in range(3)]
    night = await night_with(first, *others, **rules)
    assert str(night.runner.ended_by) == "nor here"
    assert night.failures == {}
    assert max(len(other.completer.times) for other in others) <= 3


@in_virtual_time
async def test_refusals_that_were_kept_back_before_the_switch_are_left():
    class Spent(Timed):
        async def reply(self, request):
            if request.messages[0].text.startswith("bad"):
                raise Rejected("no", "rejected", 400)
            raise Halt("no credit")

    todo = [*(job(f"bad-{n}") for n in range(5)), *jobs(50)]
    night = await night_with(Spent(), fallback(), todo=todo)
    assert night.failures == {}
    assert night.answers.keys() == {f"job-{n}" for n in range(50)}


@in_virtual_time
async def test_ten_equal_refusals_and_no_answer_lead_to_the_other_provider():
    first = failing(Rejected("no such model", "rejected", 400))
    night = await night_with(first, fallback())
    assert [event.reason for event in night.told(FellBack)] == [
        "every request is refused the same way: no such model"
    ]
    assert len(first.times) == SAME_REFUSALS
    assert (night.failures, night.runner.ended_by) == ({}, None)
    assert {each.provider for each in night.answers.values()} == {"other"}
    assert len(night.answers) == 100 - SAME_REFUSALS  # those are left


@in_virtual_time
async def test_what_the_first_provider_refused_after_an_answer_is_failed_as_ever():
    refused = [job(f"bad-{n}", failures=["rejected"]) for n in range(3)]
    todo = [*jobs(10), *refused, *(job(f"late-{n}", delay=1.0) for n in range(50))]
    night = await night_with(failing(Halt("no credit"), since=8.0), fallback(), todo=todo)
    assert set(night.failures) == {each.id for each in refused}


@in_virtual_time
async def test_what_the_other_provider_refuses_is_left_and_not_failed():
    """The first one may take it in the next run."""

    class Choosy(Timed):
        async def reply(self, request):
            if request.messages[0].text == "job-50":
                raise Rejected("not here", "rejected", 400)
            return await super().reply(request)

    night = await night_with(failing(Halt("no credit"), since=2.0), fallback(Choosy()))
    assert (night.failures, night.runner.ended_by) == ({}, None)
    assert night.answers.keys() == {f"job-{n}" for n in range(100)} - {"job-50"}


@in_virtual_time
async def test_the_other_provider_has_a_lane_of_its_own():
    """It begins with one request, and what the first one's lane has met is nothing to it."""
    first = failing(RateLimited("tomorrow", "rate_limited", 429, 20 * HOUR), since=5.0)
    other = fallback(concurrency=3)
    await night_with(first, other)
    assert other.completer.peak == 3
    assert other.lane.breaker.openings == 0
    assert sum(other.lane.paused().values()) == 0


@in_virtual_time
async def test_passing_trouble_is_no_reason_to_leave_a_provider():
    first = Timed((5.0, 200.0))
    other = fallback()
    night = await night_with(first, other)
    assert len(night.answers) == 100
    assert other.completer.requests == []
    assert night.told(FellBack) == []
    assert night.told(Paused) != []
