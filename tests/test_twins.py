"""What several jobs ask alike is asked once."""

import asyncio

import pytest
from clock import in_virtual_time, now
from rehearsal import Night, Timed, job
from server import Server, Status

from batch.errors import Rejected
from batch.models import Reply, Usage


class Slow(Timed):
    """Answers after a second, or fails as often as it is told to."""

    def __init__(self, failures=0):
        super().__init__()
        self.failures = failures

    async def reply(self, request):
        await asyncio.sleep(1.0)
        if len(self.times) <= self.failures:
            raise Rejected("not you", "rejected", 422)
        return Reply(f"answer {len(self.times)}", "m", Usage(10, 5))


def alike(*names):
    return [job(name) for name in names]


def same(jobs):
    """The jobs with one prompt: their ids differ, their keys do not."""
    return [type(each)(**{**fields(each), "messages": jobs[0].messages}) for each in jobs]


def fields(each):
    return {name: getattr(each, name) for name in each.__struct_fields__}


@in_virtual_time
async def test_twins_in_flight_are_asked_once_and_all_have_the_answer():
    night = await Night(client=Slow(), dedupe=True).run(same(alike(*"abcdef")))
    assert len(night.client.times) == 1
    assert {answer.output for answer in night.answers.values()} == {"answer 1"}
    assert night.answers.keys() == set("abcdef")
    assert night.runner.twins.spared == 5
    assert now() < 2


@in_virtual_time
async def test_a_shared_answer_costs_no_tokens_and_no_attempt():
    night = await Night(client=Slow(), dedupe=True).run(same(alike("a", "b")))
    told = [
        (each.attempts, each.input_tokens, each.output_tokens) for each in night.records.answers
    ]
    assert told == [(1, 10, 5), (0, 0, 0)]
    assert (night.tally.input_tokens, night.tally.output_tokens) == (10, 5)


@in_virtual_time
async def test_a_twin_that_comes_later_has_the_answer_at_once():
    others = [job(f"other-{n}") for n in range(60)]
    first, last = same(alike("first", "last"))
    night = await Night(client=Slow(), dedupe=True).run([first, *others, last])
    assert len(night.client.times) == 61
    assert night.answers["last"].output == night.answers["first"].output


@in_virtual_time
async def test_a_twin_that_fails_answers_nobody_and_the_next_one_asks_for_itself():
    night = await Night(client=Slow(failures=2), dedupe=True).run(same(alike(*"abcd")))
    assert len(night.client.times) == 3
    assert len(night.failures) == 2
    assert len(night.answers) == 2


@in_virtual_time
async def test_without_the_option_every_job_is_asked_for_itself():
    night = await Night(client=Slow()).run(same(alike("a", "b")))
    assert len(night.client.times) == 2
    assert night.runner.twins.spared == 0


@pytest.mark.parametrize(("words", "requests"), [((), 1), (("--no-dedupe",), 3)])
def test_captions_of_equal_pictures_are_asked_for_once_unless_told_otherwise(
    shell, words, requests
):
    for name in "abc":
        shell.picture(f"photos/{name}.png", "red")
    with Server() as server:
        given = ("--provider", "openai", "-m", "m", "--base-url", server.url, *words)
        assert shell("caption", "photos", *given).code == 0
    assert server.arrived == requests
    assert all((shell.folder / f"photos/{name}.txt").read_text() for name in "abc")


@pytest.mark.parametrize("times", [1, 2])
def test_equal_pictures_are_sent_once_and_copies_of_answered_ones_not_at_all(shell, times):
    for name in "abcd":
        shell.picture(f"photos/{name}.png", "red")
    words = ("-p", "x", "--provider", "openai", "-m", "m", "--dedupe")
    with Server() as server:
        done = shell("run", "photos", *words, "--base-url", server.url)
        assert done.code == 0
        assert "3 requests spared" in done.err
        assert server.arrived == 1
    if times == 2:
        shell.picture("photos/e.png", "red")
        with Server(faults=lambda _: Status(500)) as server:
            done = shell("run", "photos", *words, "--base-url", server.url)
        assert (done.code, server.arrived) == (0, 0)
        assert "1 of them carried over" in done.err
