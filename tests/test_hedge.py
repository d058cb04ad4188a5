"""A duplicate of what takes too long: when it is sent, which answer counts, what it may cost."""

import asyncio
import random

import pytest
from clock import in_virtual_time, now, turns
from rehearsal import Night, jobs
from server import Delay, Server
from shell import openai

from batch.completers.hedge import ENOUGH, MEMORY, SHARE, SHORTEST, SPARE, Hedge
from batch.errors import RateLimited, Rejected, Retryable
from batch.limits.lane import Lane
from batch.models import Message, Reply, Request

ASKED = Request("m", (Message("user", "?"),))
PLACES = 8


class Scripted:
    """Takes the seconds of its script, a request each, then the usual time; answers its number.

    An act may also be seconds and the error that comes after them.
    """

    def __init__(self, usual=0.3):
        self.acts = []
        self.usual = usual
        self.times = []
        self.busy = self.cancelled = self.dropped = self.closed = 0

    async def complete(self, request):
        self.times.append(now())
        number = len(self.times)
        act = self.acts.pop(0) if self.acts else self.usual
        seconds, error = act if isinstance(act, tuple) else (act, None)
        self.busy += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.busy -= 1
        if error:
            raise error
        return Reply(str(number))

    async def drop(self):
        self.dropped += 1

    async def close(self):
        self.closed += 1


class Rehearsal:
    """A hedge before a scripted server, with a lane of its own that is wide from the start."""

    def __init__(self, *, usual=0.3, rpm=None):
        clock = asyncio.get_running_loop().time
        self.server = Scripted(usual)
        self.lane = Lane(PLACES, rpm, clock, asyncio.sleep)
        self.lane.concurrency.limit = PLACES
        self.hedge = Hedge(self.server, self.lane)

    async def ask(self, *acts):
        """Ask once, with this script from now on; the answer and the seconds that it took."""
        self.server.acts = list(acts)
        began = now()
        try:
            answer = (await self.hedge.complete(ASKED)).text
        except (Retryable, Rejected) as error:
            answer = error
        return answer, round(now() - began, 6)

    async def warm(self, count=ENOUGH):
        """Let it see so many answers of the usual time; the number of requests since the start."""
        for _ in range(count):
            await self.ask()
        return self

    @property
    def counts(self):
        return self.hedge.sent, self.hedge.won


def trouble(words="trouble"):
    return Retryable(words, "server_error", 500)


@in_virtual_time
async def test_a_request_that_takes_long_has_one_duplicate_whose_answer_is_taken():
    night = await Rehearsal().warm()
    assert await night.ask(30.0) == (str(ENOUGH + 2), SHORTEST + 0.3)
    assert night.counts == (1, 1)
    assert (night.server.busy, night.server.cancelled) == (0, 1)
    assert night.lane.concurrency.held == 0


@in_virtual_time
async def test_the_first_answer_counts_also_when_it_is_the_requests_own():
    night = await Rehearsal().warm()
    assert await night.ask(1.1) == (str(ENOUGH + 1), 1.1)
    assert night.counts == (1, 0)
    assert night.server.cancelled == 1


@in_virtual_time
async def test_there_is_one_duplicate_and_no_more():
    night = await Rehearsal().warm()
    _, seconds = await night.ask(30.0, 20.0)
    assert seconds == SHORTEST + 20.0
    assert night.counts == (1, 1)


@in_virtual_time
async def test_what_ends_in_time_costs_no_duplicate():
    night = await Rehearsal().warm(300)
    await night.ask(0.99)
    assert night.counts == (0, 0)
    assert len(night.server.times) == 301


@in_virtual_time
async def test_a_hundred_answers_have_to_be_seen_before():
    night = await Rehearsal().warm(ENOUGH - 1)
    assert await night.ask(30.0) == (str(ENOUGH), 30.0)
    assert night.counts == (0, 0)


@in_virtual_time
async def test_a_slow_request_of_the_first_hundred_has_its_duplicate_once_they_are_seen():
    night = Rehearsal()
    slow = asyncio.create_task(night.ask(60.0))
    await turns()
    await night.warm()
    began = now()
    await slow
    assert now() - began == pytest.approx(SHORTEST + 0.3)
    assert night.counts == (1, 1)


# How long is long


@in_virtual_time
@pytest.mark.parametrize(
    ("usual", "slow", "patience"),
    [(0.01, 0, 1.0), (0.3, 0, 1.0), (5.0, 0, 10.0), (5.0, 1, 10.0), (5.0, 5, 50.0)],
    ids=["at least a second", "quick", "twice the median", "one slow", "more than 1 % slow"],
)
async def test_long_is_what_99_of_100_do_not_take(usual, slow, patience):
    night = Rehearsal(usual=usual)
    await night.warm(ENOUGH - slow)
    for _ in range(slow):
        await night.ask(1000.0)
    _, seconds = await night.ask(10_000.0)
    assert seconds - usual == pytest.approx(patience, rel=0.03)


@in_virtual_time
async def test_long_follows_the_latencies_between_both_bounds():
    night = Rehearsal(usual=2.0)
    await night.warm(ENOUGH - 4)
    for _ in range(4):
        await night.ask(9.0)
    _, seconds = await night.ask(100.0)
    assert seconds == pytest.approx(9.0 + 2.0, rel=0.03)


@in_virtual_time
async def test_errors_say_nothing_of_how_long_answers_take():
    night = Rehearsal()
    for _ in range(2 * ENOUGH):
        await night.ask((0.0, trouble()))
    assert await night.ask(30.0) == (str(2 * ENOUGH + 1), 30.0)


@in_virtual_time
async def test_a_provider_that_slows_down_is_believed_soon():
    night = await Rehearsal().warm(MEMORY)
    night.server.usual = 3.0
    await night.warm(MEMORY)
    sent = night.hedge.sent
    await night.warm(MEMORY)
    assert night.hedge.sent == sent


# When one of the two fails


@in_virtual_time
async def test_a_duplicate_that_fails_leaves_the_request_to_its_own_answer():
    night = await Rehearsal().warm()
    limited = RateLimited("slow down", "rate_limited", 429)
    assert await night.ask(5.0, (0.1, limited)) == (str(ENOUGH + 1), 5.0)
    assert night.counts == (1, 0)


@in_virtual_time
async def test_a_request_that_fails_leaves_it_to_its_duplicate():
    night = await Rehearsal().warm()
    assert await night.ask((1.5, trouble()), 2.0) == (str(ENOUGH + 2), SHORTEST + 2.0)
    assert night.counts == (1, 1)


@in_virtual_time
@pytest.mark.parametrize("second", [0.1, 9.0], ids=["the duplicate first", "the request first"])
async def test_when_both_fail_the_error_is_the_requests_own(second):
    night = await Rehearsal().warm()
    error, _ = await night.ask((2.0, trouble("own")), (second, trouble("other")))
    assert str(error) == "own"
    assert night.lane.concurrency.held == 0


@in_virtual_time
async def test_a_request_that_fails_in_time_is_tried_again_by_the_run_alone():
    night = await Rehearsal().warm()
    error, seconds = await night.ask((0.5, trouble()))
    assert (str(error), seconds, night.counts) == ("trouble", 0.5, (0, 0))


# The place in the lane


@in_virtual_time
async def test_a_duplicate_waits_for_its_place():
    night = await Rehearsal().warm()
    night.lane.concurrency.limit = 1
    await night.lane.acquire()
    asked = asyncio.create_task(night.ask(30.0))
    await asyncio.sleep(5.0)
    assert night.counts == (0, 0)
    night.lane.release()
    assert await asked == (str(ENOUGH + 2), 5.3)


@in_virtual_time
async def test_a_request_that_ends_first_leaves_the_line():
    night = await Rehearsal().warm()
    night.lane.concurrency.limit = 1
    await night.lane.acquire()
    assert await night.ask(5.0) == (str(ENOUGH + 1), 5.0)
    error, _ = await night.ask((5.0, trouble()))
    assert str(error) == "trouble"
    night.lane.release()
    await turns()
    assert night.counts == (0, 0)
    assert night.lane.concurrency.held == 0


@in_virtual_time
async def test_a_place_that_comes_with_the_answer_is_given_back():
    night = await Rehearsal().warm()
    night.lane.concurrency.limit = 1
    await night.lane.acquire()
    asked = asyncio.create_task(night.ask(5.0))
    await asyncio.sleep(1.0)
    asyncio.get_running_loop().call_at(now() + 4.0, night.lane.release)
    await asked
    await turns()
    assert night.counts[1] == 0
    assert night.lane.concurrency.held == 0


@in_virtual_time
async def test_no_duplicate_goes_out_while_the_lane_pauses():
    night = await Rehearsal().warm()
    night.lane.limited(10.0)
    began = now()
    await night.ask(60.0)
    assert night.server.times[-1] - began >= 10.0


@in_virtual_time
async def test_duplicates_count_against_the_requests_of_a_minute():
    night = await Rehearsal(rpm=6).warm()
    await asyncio.gather(*(night.ask(60.0, 60.0, 60.0, 60.0) for _ in range(2)))
    first, second = night.server.times[-2:]
    assert second - first >= 10.0


@in_virtual_time
async def test_cancelling_the_caller_cancels_both():
    night = await Rehearsal().warm()
    for seconds in (0.5, 1.5):
        asked = asyncio.create_task(night.ask(30.0, 30.0))
        await asyncio.sleep(seconds)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert night.server.busy == 0
    assert night.server.cancelled == 3
    assert night.lane.concurrency.held == 0


@in_virtual_time
async def test_cancelling_a_caller_whose_duplicate_waits_gives_its_turn_up():
    night = await Rehearsal().warm()
    night.lane.concurrency.limit = 1
    await night.lane.acquire()
    asked = asyncio.create_task(night.ask(30.0))
    await asyncio.sleep(2.0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    night.lane.release()
    await turns()
    assert (night.lane.concurrency.held, night.server.busy) == (0, 0)


# What it may cost


@in_virtual_time
async def test_duplicates_are_at_most_five_of_a_hundred_requests():
    night = await Rehearsal().warm()
    night.server.usual = 3.0
    await asyncio.gather(*(night.ask() for _ in range(400)))
    assert 0 < night.hedge.sent <= SHARE * night.hedge.requests + SPARE


@pytest.mark.parametrize("seed", range(10))
@in_virtual_time
async def test_whatever_comes_every_place_is_given_back(seed):
    """Slow answers, errors, pauses and callers that are cancelled at random moments."""
    dice = random.Random(seed)
    night = Rehearsal(rpm=dice.choice([None, 600]))
    night.server.acts = [
        (dice.choice([0.1, 0.3, 0.3, 2.0, 30.0]), trouble() if dice.random() < 0.05 else None)
        for _ in range(900)
    ]

    async def attempt():
        await night.lane.acquire()
        try:
            await night.hedge.complete(ASKED)
        except Retryable:
            night.lane.limited(dice.choice([None, 2.0]))
        finally:
            night.lane.release()

    tasks = [asyncio.create_task(attempt()) for _ in range(500)]
    for _ in range(40):
        await asyncio.sleep(dice.uniform(0.0, 2.0))
        dice.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await turns()
    assert (night.lane.concurrency.held, night.server.busy) == (0, 0)
    assert night.hedge.sent <= SHARE * night.hedge.requests + SPARE
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_drop_and_close_reach_the_completer():
    night = Rehearsal()
    await night.hedge.drop()
    await night.hedge.close()
    assert (night.server.dropped, night.server.closed) == (1, 1)


# In a run


class Straggling(Scripted):
    """One request of a hundred takes a hundred times as long."""

    async def complete(self, request):
        if len(self.times) % 100 == 50:
            self.acts = [30.0]
        return await super().complete(request)


async def night_of(count, *, hedged):
    night = Night(client=Straggling(), concurrency=PLACES)
    hedge = Hedge(night.client, night.lane)
    if hedged:
        night.route.completer = hedge
    await night.run(jobs(count))
    assert night.tally.answered == count
    assert len(night.answers) == count
    assert night.lane.concurrency.held == 0
    return now(), hedge


@pytest.mark.parametrize("count", [600, 2000])
def test_a_run_with_stragglers_ends_sooner(count):
    plain, _ = in_virtual_time(night_of)(count, hedged=False)
    quick, hedge = in_virtual_time(night_of)(count, hedged=True)
    assert quick < 0.7 * plain
    assert hedge.sent <= SHARE * hedge.requests + SPARE


def test_the_command_tells_what_was_sent_twice(shell):
    """Request 130 hangs for a minute; its duplicate is answered after a second."""
    shell.jobs(140)
    slow = Delay(60.0)
    with Server(faults=lambda asked: slow if asked.number == 130 else None) as server:
        done = shell("run", "jobs.jsonl", *openai(server), "--hedge")
    assert done.code == 0
    assert "hedged 1 request, 1 duplicate answered first" in done.err
    assert len({line["id"] for line in shell.lines()}) == len(shell.lines()) == 140
    assert server.arrived == 141


def test_without_the_option_nothing_is_sent_twice(shell):
    shell.jobs(140)
    slow = Delay(1.2)
    with Server(faults=lambda asked: slow if asked.number == 130 else None) as server:
        done = shell("run", "jobs.jsonl", *openai(server))
    assert done.code == 0
    assert "hedged" not in done.err
    assert server.arrived == 140
