"""The ways to an answer: the model that is asked, and tokens that are thought and used."""

import asyncio
import re

import pytest
from clock import in_virtual_time
from rehearsal import Night, Timed, job, jobs

from batch.errors import Rejected
from batch.limits.lane import Lane
from batch.models import Message, Reply, Request, Usage
from batch.routes import Route

REQUEST = Request("model-1", (Message("user", "x" * 400),), {"top_p": 1})  # about 300 tokens


def route(tpm=None, **changed):
    lane = Lane(8, None, asyncio.get_running_loop().time, asyncio.sleep, tpm=tpm)
    return Route("fake", Timed(), lane, **changed)


def owed(way):
    """Tokens that the lane of a way waits for."""
    return way.lane.tokens.wait(asyncio.get_running_loop().time()) * way.lane.tokens.per_minute / 60


@in_virtual_time
async def test_a_request_is_asked_for_the_model_that_the_job_asks_for():
    way = route()
    assert (await way.completer.complete(way.fitted(REQUEST))).model == "model-1"
    assert way.completer.requests == [REQUEST]


@in_virtual_time
async def test_the_model_of_a_fallback_stands_in_the_request_and_nothing_else_changes():
    way = route(model="small")
    await way.completer.complete(way.fitted(REQUEST))
    [asked] = way.completer.requests
    assert asked.model == "small"
    assert (asked.messages, asked.params) == (REQUEST.messages, REQUEST.params)


@in_virtual_time
async def test_where_tokens_are_not_limited_nobody_counts_them():
    way = route()
    assert way.tokens_of(REQUEST) == 0.0
    way.correct(REQUEST, Reply("yes", usage=Usage(5, 5)), 0.0)
    assert way.lane.tokens is None


@in_virtual_time
async def test_a_request_that_is_larger_than_a_minute_lets_out_is_rejected_with_words():
    assert route(tpm=300).tokens_of(REQUEST) == 300
    words = "about 300 tokens are more than --tpm 299 lets out in a minute"
    with pytest.raises(Rejected, match=f"^{re.escape(words)}$") as caught:
        route(tpm=299).tokens_of(REQUEST)
    assert caught.value.code == "rejected"


@pytest.mark.parametrize(("used", "change"), [((400, 100), 200), ((10, 20), -270)])
@in_virtual_time
async def test_what_a_reply_used_corrects_what_was_thought(used, change):
    way = route(tpm=60_000)
    thought = way.tokens_of(REQUEST)
    await way.lane.acquire(thought)
    before = owed(way)
    way.correct(REQUEST, Reply("yes", usage=Usage(*used)), thought)
    assert owed(way) - before == pytest.approx(change)


@in_virtual_time
async def test_a_reply_that_tells_of_no_tokens_corrects_nothing():
    way = route(tpm=60_000)
    await way.lane.acquire(300)
    before = owed(way)
    way.correct(REQUEST, Reply("yes"), 300.0)
    assert owed(way) == before


@in_virtual_time
async def test_ten_replies_make_the_estimate_better():
    way = route(tpm=60_000)
    for _ in range(10):
        way.correct(REQUEST, Reply("yes", usage=Usage(500, 100)), 300.0)
    assert way.tokens_of(REQUEST) == 600


@in_virtual_time
async def test_what_was_learned_from_others_delays_a_request_and_rejects_none():
    way = route(tpm=500)
    for _ in range(10):
        way.correct(REQUEST, Reply("yes", usage=Usage(50_000, 100)), 300.0)
    assert way.tokens_of(REQUEST) == 500


@in_virtual_time
async def test_a_way_tells_its_provider_and_model():
    assert repr(route()).startswith("Route(fake, Lane(")
    assert repr(route(model="small")).startswith("Route(fake:small, Lane(")


# In a run


@in_virtual_time
async def test_a_job_that_is_larger_than_the_token_limit_fails_without_a_request():
    night = await Night(tpm=1000).run([job("x" * 4000), job("small")])
    failure = night.failures["x" * 4000]
    assert (failure.code, failure.attempts, failure.retryable) == ("rejected", 0, False)
    assert "--tpm 1000" in failure.message
    assert list(night.answers) == ["small"]
    assert len(night.client.requests) == 1


@in_virtual_time
async def test_tokens_a_minute_are_kept_as_replies_count_them():
    """Each job takes 60 tokens, which is far less than the rule of thumb thinks."""

    class Counting(Timed):
        async def reply(self, request):
            return Reply("yes", usage=Usage(50, 10))

    night = await Night(tpm=600, client=Counting()).run(jobs(100))
    times = night.client.times
    assert len(night.answers) == 100
    assert times[-1] - times[20] == pytest.approx(79 * 6, rel=0.03)
