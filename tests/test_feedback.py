"""What the lane feels and what a job makes of each thing that came instead of an answer."""

import asyncio
import re
from datetime import datetime

import pytest
from clock import in_virtual_time, now
from rehearsal import Timed, job

from batch.errors import (
    Away,
    Denied,
    Halt,
    Outage,
    RateLimited,
    Rejected,
    Retryable,
    Unreachable,
)
from batch.events import Paused, Woke
from batch.feedback import QUOTA, Feedback
from batch.limits.breaker import TROUBLES
from batch.limits.lane import Lane
from batch.limits.waking import Waking
from batch.models import Allowance, Bucket, Message, Reply, Request, Usage
from batch.outcomes import Flight
from batch.routes import Route

HOUR = 3600.0
REQUEST = Request("fake-1", (Message("user", "x" * 400),))  # about 300 tokens
ABSENT = ["connection", "timeout", "server_error"]


class Wire:
    """A feedback with one lane, and jobs in flight whose ends are told to it."""

    def __init__(self, max_outage=2 * HOUR, tpm=None):
        self.slept = 0.0
        self.told = []
        waking = Waking(now, lambda: now() + self.slept)
        self.feedback = Feedback(max_outage, self.told.append, waking, now)
        self.lane = Lane(8, None, now, asyncio.sleep, tpm=tpm)
        self.route = Route("fake", Timed(), self.lane)

    def flight(self, attempts=1):
        """A job that is sent now, at an attempt of this number."""
        flight = Flight(job("a"), self.route)
        flight.attempts = attempts
        flight.since = now()
        return flight

    def felt(self, error, flight=None):
        """What a job makes of an error; without one it was sent when the error came."""
        return self.feedback.felt(flight or self.flight(), error)

    def answered(self, flight=None, **reply):
        self.feedback.answered(flight or self.flight(), REQUEST, Reply("yes", **reply))

    def away(self):
        """Let the provider be away."""
        for _ in range(TROUBLES):
            self.felt(absent())

    @property
    def paused(self):
        """Seconds that the lane goes on pausing."""
        return float(repr(self.lane).rpartition("paused=")[2].rstrip(")"))

    def of_kind(self, kind):
        return [event for event in self.told if isinstance(event, kind)]


def absent(code="connection", retry_after=None):
    return Retryable("nobody is there", code, None, retry_after)


def limited(retry_after=None):
    return RateLimited("slow down", "rate_limited", 429, retry_after)


def troubles(wire):
    return wire.lane.breaker.troubles


# What ends a job or the run


@in_virtual_time
async def test_a_rejection_is_the_jobs_own_and_says_that_the_provider_is_there():
    wire, error = Wire(), Rejected("no", "rejected", 400)
    wire.felt(absent())
    assert wire.felt(error) is error
    assert (troubles(wire), wire.lane.unanswered_for(), wire.told) == (0, 0.0, [])


@in_virtual_time
async def test_an_unusable_provider_is_told_as_it_is_and_the_lane_feels_nothing():
    wire, error = Wire(), Halt("no credit")
    wire.felt(absent())
    assert wire.felt(error) is error
    assert (troubles(wire), wire.paused, wire.told) == (1, 0, [])


# Passing trouble


@in_virtual_time
async def test_a_rate_limit_pauses_the_lane_and_is_told():
    wire, error = Wire(), limited(30.0)
    assert wire.felt(error) is error
    assert 30 <= wire.paused <= 34
    [paused] = wire.told
    assert paused == Paused(paused.seconds, "slow down")
    assert paused.seconds == pytest.approx(wire.paused, abs=0.01)


@in_virtual_time
async def test_a_rate_limit_within_a_longer_pause_is_told_by_nobody():
    wire = Wire()
    sent_before = wire.flight()
    wire.felt(limited(100.0))
    wire.felt(limited(1.0), sent_before)
    assert len(wire.told) == 1


@pytest.mark.parametrize("code", ABSENT)
@in_virtual_time
async def test_signs_of_absence_are_counted_and_cost_the_job_an_attempt(code):
    wire, error = Wire(), absent(code)
    assert wire.felt(error) is error
    assert (troubles(wire), wire.paused, wire.told) == (1, 0, [])


@pytest.mark.parametrize("code", ["empty_output", "bad_response"])
@in_virtual_time
async def test_a_bad_answer_is_an_answer(code):
    wire, error = Wire(), Retryable("what?", code, 200)
    wire.felt(absent())
    assert wire.felt(error) is error
    assert (troubles(wire), wire.lane.unanswered_for()) == (0, 0.0)


@pytest.mark.parametrize(
    ("error", "is_overload"),
    [
        (Retryable("no reply", "timeout"), True),
        (Retryable("busy", "server_error", 503), True),
        (Retryable("busy", "server_error", 529), True),
        (Retryable("broken", "server_error", 500), False),
        (Retryable("nobody", "connection"), False),
    ],
)
@in_virtual_time
async def test_two_signs_of_overload_in_a_row_halve_what_is_in_flight(error, is_overload):
    wire = Wire()
    wire.lane.concurrency.limit = 8
    for _ in range(8):
        await wire.lane.acquire()
    wire.felt(error)
    assert wire.lane.concurrency.limit == 8
    wire.felt(error)
    assert wire.lane.concurrency.limit == (4 if is_overload else 8)


@pytest.mark.parametrize("code", ABSENT)
@in_virtual_time
async def test_a_provider_that_is_away_gives_attempts_back(code):
    wire = Wire()
    for _ in range(TROUBLES - 1):
        assert not isinstance(wire.felt(absent(code)), Outage)
    outage = wire.felt(Retryable("nobody is there", code, 502))
    assert isinstance(outage, Outage)
    assert (str(outage), outage.code, outage.http_status) == ("nobody is there", code, 502)
    assert [event.reason for event in wire.told] == ["nobody is there"]
    assert 5 <= wire.paused <= 5.6


@in_virtual_time
async def test_an_outage_since_a_jobs_last_error_gives_its_attempts_back_once():
    wire = Wire()
    flight = wire.flight()
    wire.felt(Retryable("what?", "bad_response"), flight)
    wire.away()
    wire.answered()
    flight.attempts = 2
    assert isinstance(wire.felt(absent(), flight), Outage)
    flight.attempts = 3
    assert not isinstance(wire.felt(absent(), flight), Outage)


@in_virtual_time
async def test_an_outage_before_a_jobs_first_attempt_gives_it_nothing():
    wire = Wire()
    wire.away()
    wire.answered()
    flight = wire.flight()
    assert not isinstance(wire.felt(absent(), flight), Outage)
    flight.attempts = 2
    assert not isinstance(wire.felt(absent(), flight), Outage)


# The provider stays away


@in_virtual_time
async def test_no_answer_for_as_long_as_the_run_waits_ends_it():
    wire = Wire(max_outage=600.0)
    wire.away()
    await asyncio.sleep(599)
    wire.felt(absent())
    await asyncio.sleep(1)
    with pytest.raises(Away, match=r"^no answer for 10 min: nobody is there$") as caught:
        wire.felt(absent())
    assert isinstance(caught.value.__cause__, Retryable)


@in_virtual_time
async def test_an_answer_begins_the_wait_anew():
    wire = Wire(max_outage=600.0)
    wire.away()
    await asyncio.sleep(599)
    wire.answered()
    wire.away()
    await asyncio.sleep(599)
    assert isinstance(wire.felt(absent()), Outage)


@in_virtual_time
async def test_a_run_that_may_not_wait_leaves_with_the_first_sign():
    with pytest.raises(Away, match=r"^the provider is away: nobody is there$"):
        Wire(max_outage=0.0).felt(absent())
    with pytest.raises(Away, match=r"^the provider is away: slow down$"):
        Wire(max_outage=0.0).felt(limited())


@pytest.mark.parametrize("code", ["timeout", "server_error", "empty_output"])
@in_virtual_time
async def test_one_job_that_fails_on_and_on_is_no_absence(code):
    wire, error = Wire(max_outage=0.0), Retryable("no", code)
    assert wire.felt(error) is error


@pytest.mark.parametrize("error", [limited(20 * HOUR), absent("server_error", 20 * HOUR)])
@in_virtual_time
async def test_a_wait_that_is_longer_than_the_run_waits_is_not_begun(error):
    wire = Wire()
    with pytest.raises(Away) as caught:
        wire.felt(error)
    words = re.fullmatch(r"the provider asks to wait until (.{16}): (.*)", str(caught.value))
    until = datetime.fromisoformat(words[1]).astimezone() - datetime.now().astimezone()
    assert until.total_seconds() == pytest.approx(20 * HOUR, abs=61)
    assert words[2] == str(error)
    assert wire.told == []


@in_virtual_time
async def test_a_wait_that_is_as_long_as_the_run_waits_is_too_long():
    assert Wire(max_outage=100.0).felt(limited(99.9))
    with pytest.raises(Away):
        Wire(max_outage=100.0).felt(limited(100.0))


@in_virtual_time
async def test_a_wait_counts_together_with_the_time_that_went_by_without_an_answer():
    wire = Wire()
    wire.felt(limited(5000.0))
    await asyncio.sleep(6000)
    wire.felt(limited(1100.0))
    with pytest.raises(Away):
        wire.felt(limited(1300.0))


# A key that is refused


def denied():
    return Denied("HTTP 401: who are you?", 401)


@in_virtual_time
async def test_a_key_that_is_refused_once_costs_a_pause_and_no_attempt():
    wire = Wire()
    outage = wire.felt(denied())
    assert isinstance(outage, Outage)
    assert (str(outage), outage.http_status) == ("HTTP 401: who are you?", 401)
    assert wire.told == [Paused(1.0, "HTTP 401: who are you?: one request looks again")]
    assert 1 <= wire.paused <= 1.3


@in_virtual_time
async def test_a_key_that_is_refused_to_the_look_after_the_pause_is_believed():
    wire, error = Wire(), denied()
    wire.felt(denied())
    await asyncio.sleep(2)
    assert wire.felt(error) is error


@in_virtual_time
async def test_refusals_of_what_was_sent_before_the_first_one_came_are_one_with_it():
    wire = Wire()
    flights = [wire.flight() for _ in range(5)]
    await asyncio.sleep(1)
    for flight in flights:
        assert isinstance(wire.felt(denied(), flight), Outage)


@in_virtual_time
async def test_a_job_whose_key_is_refused_thrice_while_others_are_answered_is_rejected():
    wire = Wire()
    flight = wire.flight()
    for _ in range(2):
        assert isinstance(wire.felt(denied(), flight), Outage)
        await asyncio.sleep(2)
        wire.answered()
        await asyncio.sleep(2)
        flight.since = now()
    rejected = wire.felt(denied(), flight)
    assert isinstance(rejected, Rejected)
    assert (rejected.code, rejected.http_status) == ("rejected", 401)
    assert str(rejected) == "HTTP 401: who are you?"


@in_virtual_time
async def test_two_jobs_whose_key_is_refused_while_others_are_answered_try_again():
    wire = Wire()
    for _ in range(2):
        assert isinstance(wire.felt(denied()), Outage)
        await asyncio.sleep(2)
        wire.answered()
        await asyncio.sleep(2)


# Sleep


@pytest.mark.parametrize("code", ABSENT)
@in_virtual_time
async def test_what_was_sent_before_a_sleep_costs_no_attempt_and_says_nothing_of_the_provider(code):
    wire = Wire()
    flights = [wire.flight(attempts=3) for _ in range(20)]
    await asyncio.sleep(1)
    wire.slept = 8 * HOUR
    for flight in flights:
        outage = wire.felt(absent(code), flight)
        assert isinstance(outage, Outage)
        assert (str(outage), outage.code) == ("nobody is there", code)
    assert (troubles(wire), wire.paused, wire.lane.unanswered_for()) == (0, 0, 0.0)
    assert wire.told == [Woke(8 * HOUR)]


@in_virtual_time
async def test_what_was_sent_after_a_sleep_is_felt_as_ever():
    wire = Wire()
    wire.slept = 8 * HOUR
    assert wire.feedback.tick()
    await asyncio.sleep(1)
    error = absent()
    assert wire.felt(error) is error
    assert troubles(wire) == 1


@in_virtual_time
async def test_a_rate_limit_of_what_was_sent_before_a_sleep_still_counts():
    wire = Wire()
    flight = wire.flight()
    await asyncio.sleep(1)
    wire.slept = 8 * HOUR
    wire.felt(limited(30.0), flight)
    assert wire.paused >= 30


@in_virtual_time
async def test_connections_are_dropped_once_a_sleep_whoever_notices_it_first():
    wire = Wire()
    ticks = [wire.feedback.tick()]
    wire.slept = HOUR
    ticks += [wire.feedback.tick(), wire.feedback.tick()]
    wire.slept += HOUR
    wire.felt(absent())
    ticks += [wire.feedback.tick(), wire.feedback.tick()]
    assert ticks == [False, True, False, True, False]
    assert wire.told == [Woke(HOUR), Woke(HOUR)]


@in_virtual_time
async def test_what_is_sent_before_old_connections_are_dropped_is_forgiven_too():
    """It went out on one of them, after an error had told of the sleep and before the tick."""
    wire = Wire()
    lost = wire.flight()
    await asyncio.sleep(1)
    wire.slept = HOUR
    wire.felt(absent(), lost)
    await asyncio.sleep(0.1)
    again = wire.flight(attempts=2)
    await asyncio.sleep(0.1)
    assert wire.feedback.tick()
    assert isinstance(wire.felt(absent(), again), Outage)
    assert troubles(wire) == 0


# Answers


@in_virtual_time
async def test_an_answer_ends_an_absence_and_widens_the_lane():
    wire = Wire()
    wire.away()
    await asyncio.sleep(20)
    flight = wire.flight()
    await wire.lane.acquire()
    wire.answered(flight)
    assert (troubles(wire), wire.lane.unanswered_for()) == (0, 0.0)
    assert wire.lane.concurrency.limit == 2


@in_virtual_time
async def test_an_answer_corrects_the_tokens_that_were_thought():
    wire = Wire(tpm=60_000)
    flight = wire.flight()
    flight.tokens = wire.route.tokens_of(REQUEST)
    await wire.lane.acquire(flight.tokens)
    wire.answered(flight, usage=Usage(1000, 1300))
    assert wire.lane.tokens.wait(now()) == pytest.approx(1.3)  # a second's worth was there


@in_virtual_time
async def test_an_allowance_that_is_used_up_pauses_the_lane_and_is_told():
    wire = Wire()
    wire.answered(allowance=Allowance(requests=Bucket(0, 20.0)))
    assert 20 <= wire.paused <= 22.2
    [paused] = wire.told
    assert paused == Paused(paused.seconds, QUOTA)
    assert paused.seconds == pytest.approx(wire.paused, abs=0.01)


@in_virtual_time
async def test_an_allowance_for_less_than_a_round_trip_spaces_requests_and_is_told_by_nobody():
    """One of ten requests is left, ten come back within 20 s: four places make 6 s of them."""
    wire = Wire()
    wire.lane.concurrency.limit = 4
    wire.answered(allowance=Allowance(requests=Bucket(1, 20.0, 0.5)))
    times = []
    for _ in range(3):
        await wire.lane.acquire()
        times.append(now())
    assert wire.told == []
    assert 0.5 <= times[0] <= 1.5
    assert 0.5 <= times[1] - times[0] <= 2.5


@in_virtual_time
async def test_an_allowance_of_tokens_counts_in_requests_like_the_one_that_was_answered():
    wire = Wire()
    wire.answered(allowance=Allowance(tokens=Bucket(100, 30.0)), usage=Usage(90, 11))
    assert 30 <= wire.paused <= 33.2


@pytest.mark.parametrize(
    "allowance", [None, Allowance(), Allowance(requests=Bucket(1000, 60.0), tokens=Bucket(9e9, 1))]
)
@in_virtual_time
async def test_an_allowance_that_is_enough_changes_nothing(allowance):
    wire = Wire()
    wire.lane.concurrency.limit = 8
    wire.answered(allowance=allowance, usage=Usage(100, 100))
    for _ in range(8):
        assert wire.lane.concurrency.try_acquire()
    assert wire.told == []


@in_virtual_time
async def test_a_provider_that_nobody_reaches_is_waited_for_as_any_other():
    wire = Wire(max_outage=60.0)
    error = Unreachable("nothing answers", "connection")
    assert wire.felt(error) is error
    await asyncio.sleep(60)
    with pytest.raises(Away):
        wire.felt(error)
