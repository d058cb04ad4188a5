"""What an answer must be like, what a check that fails costs, and what comes of its job."""

import asyncio
import math

import pytest
from clock import in_virtual_time, now
from msgspec.structs import replace
from rehearsal import Night, Timed, job, jobs

from batch.checks import KEPT, Checks, explained
from batch.errors import Unfit, UsageError
from batch.events import Paused, Retrying
from batch.keys import job_key
from batch.models import Message, Picture, Price, Reply, Request
from batch.retry import RetryPolicy

CUT = {"fail_truncated": True}
DECLINING = "I'm sorry, but I can't help with that."


def told(text, finish_reason="stop", **asked):
    """The option that an answer does not meet and what is said of it; empty when it passes."""
    problem = Checks(**asked).problem(Reply(text, finish_reason=finish_reason))
    return f"{problem.check}: {problem.words}" if problem else ""


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({}, ""),
        ({"min_chars": 3, "max_chars": 3}, " \n abc\n"),
        ({"max_chars": 2}, "日本"),
        ({"min_words": 2, "max_words": 2}, "a\u00a0b"),
        ({"require": ("a cat", "TABLE")}, "A  cat on the table."),
        ({"ban": ("cat",)}, "cats"),
        ({"match": r"^\d+ cats?$"}, "\n12 cats\n"),
        ({"match": r"(?i)\Aa"}, "An"),
        ({"one_line": True}, "\none line\n"),
        ({"refuse_refusals": True}, "A sign says: I'm sorry, but I can't."),
        (CUT, "whole"),
    ],
)
def test_an_answer_passes(asked, text):
    assert told(text, **asked) == ""


@pytest.mark.parametrize(
    ("asked", "text", "words"),
    [
        ({"min_chars": 4}, " abc ", "--min-chars: it has 3 characters, and at least 4 are asked"),
        ({"max_chars": 2}, "abc", "--max-chars: it has 3 characters, and at most 2 are allowed"),
        ({"min_words": 3}, "a b", "--min-words: it has 2 words, and at least 3 are asked for"),
        ({"max_words": 1}, "a\nb", "--max-words: it has 2 words, and at most 1 are allowed"),
        ({"require": ("cat", "dog")}, "a cat", "--require: it does not contain “dog”"),
        ({"ban": ("dog", "cat")}, "a CAT", "--ban: it contains “cat”"),
        ({"match": r"^\d+$"}, "12 cats", r"--match: it does not match ^\d+$"),
        ({"match": "(a+)+$"}, "a" * 60 + "b", "--match: looking for (a+)+$ in it takes too long"),
        ({"one_line": True}, "a\r\nb\u2028c", "--one-line: it has 3 lines"),
        (
            {"refuse_refusals": True},
            DECLINING,
            "--refuse-refusals: it declines to answer (“I'm sorry, but”)",
        ),
    ],
)
def test_an_answer_does_not_pass(asked, text, words):
    assert told(text, **asked).startswith(words)


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS"])
def test_an_answer_that_met_the_token_limit_does_not_pass(reason):
    words = f"--fail-truncated: it was cut short (finish reason {reason})"
    assert told("half an ans", reason, **CUT) == words
    assert told("half an ans", reason) == ""


def test_what_explains_most_is_told_first():
    asked = {"refuse_refusals": True, "max_words": 3, "require": ("cat",)}
    assert told(DECLINING, **asked).startswith("--refuse-refusals")
    assert told("I see no animal here", **asked).startswith("--max-words")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"min_chars": 5, "max_chars": 4}, "--min-chars 5 is more than --max-chars 4"),
        ({"min_words": 5, "max_words": 4}, "--min-words 5 is more than --max-words 4"),
        ({"require": ("",)}, "--require is empty"),
        ({"ban": (" ",)}, "--ban is empty"),
        ({"require": ("a Cat",), "ban": ("cat",)}, "--require 'a Cat' asks for what --ban refuses"),
        ({"match": "("}, "--match '(' is no regular expression: missing )"),
    ],
)
def test_checks_that_nothing_can_pass_are_refused(asked, words):
    with pytest.raises(UsageError) as caught:
        Checks(**asked).validate()
    assert words in str(caught.value)


def test_what_is_done_after_a_check_is_no_check():
    assert Checks(check_retries=5, explain_retry=True).asks_nothing
    assert not Checks(one_line=True).asks_nothing


def test_an_explained_request_keeps_its_pictures_and_gains_two_turns():
    asked = Request("m", (Message("user", (Picture(None),)),), {"seed": 1})
    request = explained(asked, Unfit("--one-line", "it has 2 lines", "a\nb"))
    assert request.messages[:1] == asked.messages
    assert [(each.role, each.content) for each in request.messages[1:]] == [
        ("assistant", "a\nb"),
        (
            "user",
            "That answer cannot be used: it has 2 lines. Answer again, with the new answer alone.",
        ),
    ]
    assert replace(request, messages=asked.messages) == asked


# In a run


@in_virtual_time
async def test_an_answer_that_does_not_pass_is_asked_for_again():
    asked = job("a", replies=["one\ntwo", "one"])
    night = await Night(checks=Checks(one_line=True)).run([asked])
    answer = night.answers["a"]
    assert (answer.output, answer.attempts) == ("one", 2)
    assert answer.key == job_key(asked, "fake", "fake-1", ())
    assert night.tally.retries == 1
    assert [event.reason for event in night.told(Retrying)] == ["--one-line: it has 2 lines"]
    assert now() == 0.0


@in_virtual_time
async def test_a_job_whose_answers_never_pass_fails_and_its_answer_is_kept():
    night = await Night(checks=Checks(max_words=2)).run([job("a", reply="a b c"), job("b")])
    failure = night.failures["a"]
    assert (failure.code, failure.attempts, failure.retryable) == ("checks_failed", 3, False)
    words = "--max-words: it has 3 words, and at most 2 are allowed; the answer was: a b c"
    assert failure.message == words
    assert failure.key == job_key(job("a", reply="a b c"), "fake", "fake-1", ())
    assert list(night.answers) == ["b"]
    assert night.told(Paused) == []


@in_virtual_time
async def test_of_a_long_answer_the_beginning_is_kept():
    night = await Night(checks=Checks(max_words=2)).run([job("a", reply="word " * 1000)])
    message = night.failures["a"].message
    assert len(message) == KEPT
    assert "the answer was: word word" in message


@in_virtual_time
@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (4, 5)])
async def test_the_number_of_tries_is_that_of_the_option(retries, attempts):
    checks = Checks(ban=("echo",), check_retries=retries)
    night = await Night(checks=checks).run([job("a")])
    assert night.failures["a"].attempts == attempts
    assert len(night.client.requests) == attempts


@in_virtual_time
async def test_trouble_on_the_wire_takes_no_try_of_the_checks_away():
    script = {"failures": ["server_error", "rate_limited"], "replies": ["a b", "a b", "a"]}
    policy = RetryPolicy(retries=1)
    night = await Night(checks=Checks(max_words=1), retry=policy).run([job("a", **script)])
    assert night.answers["a"].output == "a"
    assert night.answers["a"].attempts == 5


@in_virtual_time
async def test_every_answer_is_paid():
    checks = Checks(max_chars=9)
    todo = [job("four", replies=["x" * 40, "x" * 8]), job("none", reply="x" * 20)]
    night = await Night(checks=checks, price=Price(0.0, 1e6)).run(todo)
    assert night.answers["four"].output_tokens == 2
    assert night.tally.output_tokens == 10 + 2 + 3 * 5
    assert night.tally.cost == 27.0
    assert (night.tally.answered, night.tally.unfit) == (1, 4)


@in_virtual_time
async def test_no_attempt_begins_after_the_time_of_the_job():
    checks, policy = Checks(max_words=1, check_retries=9), RetryPolicy(job_timeout=15.0)
    night = await Night(checks=checks, retry=policy).run([job("a", reply="a b", delay=10.0)])
    assert night.failures["a"].code == "checks_failed"
    assert night.failures["a"].attempts == 2
    assert policy.patience < math.inf


@in_virtual_time
async def test_a_run_that_stops_leaves_a_job_whose_answer_did_not_pass():
    night = Night(checks=Checks(max_words=1))
    run = asyncio.create_task(night.run([job("a", reply="a b", delay=10.0)]))
    await asyncio.sleep(5.0)
    night.runner.stop("enough")
    await run
    assert (night.answers, night.failures) == ({}, {})
    assert len(night.client.requests) == 1


@in_virtual_time
async def test_answers_that_do_not_pass_are_no_refusals_of_the_provider():
    """Ten refusals without an answer end a run; what does not pass is an answer all the same."""
    night = await Night(checks=Checks(max_words=1)).run(jobs(30, reply="a b"))
    assert night.runner.ended_by is None
    assert len(night.failures) == 30


@in_virtual_time
async def test_the_model_is_told_what_was_wrong_only_when_that_is_asked_for():
    class Heedful(Timed):
        async def reply(self, request):
            self.requests.append(request)
            return Reply("cat" if "2 words" in request.messages[-1].text else "a cat")

    checks = Checks(max_words=1, explain_retry=True)
    heard = await Night(client=Heedful(), checks=checks).run([job("a")])
    assert heard.answers["a"].output == "cat"
    assert [len(request.messages) for request in heard.client.requests] == [1, 3]
    silent = await Night(client=Heedful(), checks=Checks(max_words=1)).run([job("a")])
    assert silent.failures["a"].attempts == 3
    assert len({request.messages for request in silent.client.requests}) == 1


@in_virtual_time
async def test_only_the_last_answer_is_explained():
    checks = Checks(max_words=1, check_retries=3, explain_retry=True)
    night = await Night(checks=checks).run([job("a", replies=["a b", "a b c", "a b c d"])])
    turns = [[each.text for each in asked.messages] for asked in night.client.requests]
    assert [len(each) for each in turns] == [1, 3, 3, 3]
    assert [each[1] for each in turns[1:]] == ["a b", "a b c", "a b c d"]
