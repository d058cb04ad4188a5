"""Acceptance checks as the users of `overnight run` meet them."""

import json

import pytest
from server import Reply, expected_answer
from server import Server as Loopback
from shell import openai

FAKE = ("--provider", "fake")


def failure(shell, name="j"):
    """The failure of a job."""
    return {line["id"]: line["failure"] for line in shell.lines("jobs.failed.jsonl")}[name]


def test_what_passes_is_saved_what_never_does_is_a_line_that_runs_again(shell):
    shell.write(
        "jobs.jsonl",
        {"id": "good", "prompt": "1", "params": {"reply": "A cat."}},
        {"id": "late", "prompt": "2", "params": {"replies": ["A\ncat.", "A dog.", "One cat."]}},
        {"id": "never", "prompt": "3", "params": {"reply": "A dog.\nAnd a cat."}},
    )
    done = shell("run", "jobs.jsonl", *FAKE, "--one-line", "--require", "cat", "--json")
    assert done.code == 1, done.err
    assert (done.json["answered"], done.json["failed"], done.json["retries"]) == (2, 1, 4)
    assert done.json["failures"] == {"checks_failed": 1}
    assert shell.outputs() == {"good": "A cat.", "late": "One cat."}
    told = failure(shell, "never")
    assert (told["code"], told["attempts"], told["retryable"]) == ("checks_failed", 3, False)
    assert told["message"] == "--one-line: it has 2 lines; the answer was: A dog.\nAnd a cat."
    assert "--retry-failed all  # asks anew" in done.err
    again = shell("run", "jobs.failed.jsonl", "-o", "more.jsonl", *FAKE, "--require", "cat")
    assert again.code == 0, again.err
    assert shell.outputs("more.jsonl") == {"never": "A dog.\nAnd a cat."}


def test_the_same_command_again_asks_for_nothing_unless_it_is_told_to(shell, server):
    shell.jobs(1)
    words = ("run", "jobs.jsonl", *openai(server), "--max-chars", "5", "--check-retries", "1")
    assert shell(*words).code == 1
    assert len(server.requests) == 2
    assert shell(*words).code == 1
    assert len(server.requests) == 2
    assert shell(*words, "--retry-failed", "all").code == 1
    assert len(server.requests) == 4


def test_the_model_is_told_what_was_wrong_and_the_key_stays_that_of_the_job(shell):
    def answer(request):
        return "A cat." if "12 characters" in request.prompt else "a cat, I see"

    shell.write("jobs.jsonl", {"id": "j", "prompt": "What is it?", "system": "Be short."})
    with Loopback(answer=answer) as server:
        words = ("run", "jobs.jsonl", *openai(server))
        done = shell(*words, "--max-chars", "10", "--explain-retry", "-v")
        assert done.code == 0, done.err
        assert "at most 10 are allowed" in done.err
        first, second = (json.loads(request.body)["messages"] for request in server.requests)
        assert second[:2] == first
        assert second[2] == {"role": "assistant", "content": "a cat, I see"}
        assert second[3]["role"] == "user"
        assert "it has 12 characters, and at most 10 are allowed" in second[3]["content"]
        assert shell(*words).code == 0
        assert shell("verify", "jobs.jsonl", *words[2:]).code == 0
        assert len(server.requests) == 2
    (line,) = shell.lines()
    assert (line["output"], line["attempts"]) == ("A cat.", 2)


def test_a_batch_line_goes_out_as_it_is_written_every_time(shell, server):
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": "j", "method": "POST", "url": "/v1/chat/completions", "body": body}
    shell.write("jobs.jsonl", line)
    done = shell("run", "jobs.jsonl", *openai(server), "--max-chars", "5", "--explain-retry")
    assert done.code == 1
    assert [json.loads(request.body) for request in server.requests] == [body] * 3


def test_an_answer_that_was_recorded_is_not_judged_again(shell, server):
    shell.jobs(1)
    words = ("jobs.jsonl", *openai(server))
    assert shell("run", *words).code == 0
    assert shell("run", *words, "--max-chars", "5").code == 0
    assert shell("verify", *words, "--max-chars", "5").code == 0
    assert len(server.requests) == 1
    assert shell.outputs() == {"j0": expected_answer("prompt 0")}


def test_a_run_whose_every_answer_fails_a_check_goes_through_and_keeps_them(shell, server):
    shell.jobs(12)
    done = shell("run", "jobs.jsonl", *openai(server), "--max-chars", "5")
    assert done.code == 1, done.err
    assert len(server.requests) == 36
    assert set(shell.failures().values()) == {"checks_failed"}
    messages = [line["failure"]["message"] for line in shell.lines("jobs.failed.jsonl")]
    assert all("the answer was: sha256:" in message for message in messages)


@pytest.mark.parametrize("word", ["length", "max_tokens"])
def test_a_truncated_answer_is_saved_unless_it_is_refused(shell, word):
    shell.write("jobs.jsonl", {"id": "j", "prompt": "x", "params": {"finish_reason": word}})
    done = shell("run", "jobs.jsonl", *FAKE, "--fail-truncated", "--check-retries", "0")
    assert done.code == 1
    assert failure(shell)["message"].startswith("--fail-truncated: it was cut short")
    assert shell("run", "jobs.jsonl", *FAKE, "--retry-failed", "all").code == 0
    assert shell.outputs() == {"j": "echo: x"}


def test_a_refusal_in_words_is_saved_unless_it_is_refused(shell):
    answer = json.dumps({"choices": [{"message": {"content": "I’m sorry, but I can’t help."}}]})
    shell.jobs(1)
    with Loopback(faults=lambda _: Reply(answer.encode())) as server:
        words = ("run", "jobs.jsonl", *openai(server))
        assert shell(*words, "--refuse-refusals").code == 1
        assert shell.failures() == {"j0": "checks_failed"}
        allowed = ("--refuse-refusals", "--allow-refusals", "--retry-failed", "all")
        assert shell(*words, *allowed).code == 0
    assert shell.outputs() == {"j0": "I’m sorry, but I can’t help."}


def test_captions_that_decline_are_refused_unless_they_are_allowed(shell):
    shell.picture("photos/a.png")
    with Loopback(answer=lambda _: "I'm sorry, but I can't identify people.") as server:
        words = ("caption", "photos", *openai(server), "--check-retries", "1")
        assert shell(*words).code == 1
        assert shell.failures("photos.failed.jsonl") == {"a.png": "checks_failed"}
        assert len(server.requests) == 2
        assert not (shell.folder / "photos/a.txt").exists()
        done = shell(*words, "--allow-refusals", "--retry-failed", "all")
        assert done.code == 0, done.err
        assert len(server.requests) == 3
    assert (shell.folder / "photos/a.txt").read_text().startswith("I'm sorry")


def test_the_table_of_run_holds_checks(shell):
    shell.jobs(1)
    shell.write(
        "overnight.toml",
        "[run]",
        'ban = ["a dog", "prompt 0"]',
        "check-retries = 0",
        "max_words = 40",
        "refuse-refusals = true",
    )
    assert shell("run", "jobs.jsonl", *FAKE).code == 1
    assert failure(shell, "j0")["message"].startswith("--ban: it contains “prompt 0”")
    assert failure(shell, "j0")["attempts"] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--min-chars", "9", "--max-chars", "8"], "--min-chars 9 is more than --max-chars 8"),
        (["--max-words", "0"], "--max-words"),
        (["--require", " "], "--require is empty"),
        (["--require", "cat", "--ban", "CAT"], "asks for what --ban refuses"),
        (["--match", "[a"], "is no regular expression"),
        (["--check-retries", "-1"], "--check-retries"),
    ],
)
def test_checks_that_cannot_be_met_are_refused_and_nothing_is_sent(shell, server, words, told):
    shell.jobs(1)
    for command in ("run", "check"):
        done = shell(command, "jobs.jsonl", *openai(server), *words)
        assert done.code == 2
        assert told in done.err
    assert server.requests == []
    assert set(shell.files()) == {"jobs.jsonl"}
