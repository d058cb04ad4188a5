"""After `--fresh` nothing older is taken back, wherever that run was stopped."""

import json
import signal

import pytest
from server import Hold, Server, Status
from shell import openai

from batch.results.anew import begun_anew, telling_anew
from batch.results.lock import Lock


@pytest.fixture
def answered(shell):
    """A job file of six, of which all were answered by an earlier run."""
    shell.jobs(6)
    with Server(answer=lambda _: "old") as server:
        assert shell("run", "jobs.jsonl", *openai(server)).code == 0
    return shell


def began(shell, fault):
    """A --fresh run that gets three answers, then meets a fault with every request."""
    return Server(
        answer=lambda _: "new", faults=lambda request: fault if request.number > 3 else None
    )


def went_on(shell, *more):
    """The next run without --fresh: what it said, and how many requests it sent."""
    with Server(answer=lambda _: "newer") as server:
        done = shell("run", "jobs.jsonl", *openai(server, *more))
    assert done.code == 0, done.err
    return done, server.arrived


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_is_gone_on_with(answered, number):
    words = ("run", "jobs.jsonl", "--fresh", "--grace", "0", "-j", "1")
    server = began(answered, Hold())
    with server, answered.start(*words, *openai(server)) as process:
        server.wait_for(4)
        answered.until(lambda: len(answered.lines()) == 3)
        process.send_signal(number)
        assert process.wait(20) in (-9, 130, 143)
    assert sorted(answered.outputs().values()) == ["new"] * 3
    done, requests = went_on(answered)
    assert requests == 3
    assert "taken back" not in done.err
    assert sorted(answered.outputs().values()) == ["new"] * 3 + ["newer"] * 3
    assert went_on(answered)[1] == 0


@pytest.mark.parametrize(("fault", "code"), [(Status(402), 4), (Status(500), 3)])
def test_a_run_that_its_provider_ended_is_gone_on_with(answered, fault, code):
    with began(answered, fault) as server:
        words = openai(server, "-j", "1", "--max-outage", "0")
        done = answered("run", "jobs.jsonl", "--fresh", *words)
    assert done.code == code
    assert done.err.splitlines()[-1].startswith("next: overnight run jobs.jsonl --provider openai")
    check = answered("check", "jobs.jsonl", *openai(server), "--json").json
    assert (check["done"], check["restored"], check["to_do"]) == (3, 0, 3)
    assert went_on(answered)[1] == 3
    assert set(answered.outputs().values()) == {"new", "newer"}


def test_a_run_without_a_single_answer_has_replaced_nothing(answered):
    with Server(key="right") as server:
        assert answered("run", "jobs.jsonl", "--fresh", *openai(server)).code == 4
    assert answered.lines() == []
    done, requests = went_on(answered)
    assert requests == 0
    assert "6 of them taken back from earlier" in done.err
    assert set(answered.outputs().values()) == {"old"}


def test_neither_has_one_that_was_killed_before_its_first_answer(answered):
    server = Server(faults=lambda request: Hold())
    words = ("run", "jobs.jsonl", "--fresh")
    with server, answered.start(*words, *openai(server)) as process:
        server.wait_for(1)
        process.kill()
    assert went_on(answered)[1] == 0
    assert set(answered.outputs().values()) == {"old"}


def test_a_failure_from_before_it_that_was_settled_in_a_killed_run_leaves_its_file(shell):
    shell.jobs(3)
    with Server(script=[Status(422)]) as server:
        assert shell("run", "jobs.jsonl", *openai(server, "-j", "1")).code == 1
    assert shell.failures() == {"j0": "rejected"}
    server = began(shell, Hold())
    shell.jobs(4)
    words = ("run", "jobs.jsonl", "--fresh", "-j", "1")
    with server, shell.start(*words, *openai(server)) as process:
        server.wait_for(4)
        shell.until(lambda: len(shell.lines()) == 3)
        process.kill()
    assert went_on(shell)[1] == 1
    assert not (shell.folder / "jobs.failed.jsonl").exists()


def test_a_portion_of_the_jobs_is_no_beginning_for_the_others(shell):
    shell.jobs(4)
    with Server(script=[None, None, None, Status(422)]) as server:
        assert shell("run", "jobs.jsonl", *openai(server, "-j", "1")).code == 1
        assert shell("run", "jobs.jsonl", "--fresh", "--limit", "1", *openai(server)).code == 0
        assert shell("run", "jobs.jsonl", *openai(server)).code == 1
        assert server.arrived == 5


def test_an_older_beginning_holds_after_a_run_without_an_answer(answered):
    with began(answered, Status(402)) as server:
        answered("run", "jobs.jsonl", "--fresh", *openai(server, "-j", "1"))
    with Server(key="right") as server:
        assert answered("run", "jobs.jsonl", "--fresh", *openai(server)).code == 4
    done, requests = went_on(answered)
    assert requests == 3
    assert "3 of them taken back from earlier" in done.err
    assert set(answered.outputs().values()) == {"new", "newer"}


def test_answers_from_after_it_come_back_as_ever(answered):
    with Server(answer=lambda _: "new") as server:
        words = ("run", "jobs.jsonl", *openai(server))
        assert answered(*words, "--fresh").code == 0
        assert answered(*words, "-s", "Another question.").code == 0
        before = server.arrived
        assert answered(*words).code == 0
        assert server.arrived == before == 12
    assert set(answered.outputs().values()) == {"new"}


def test_failures_from_before_it_are_tried_again(shell):
    shell.jobs(4)
    with Server(script=[None, None, None, Status(422)]) as server:
        assert shell("run", "jobs.jsonl", *openai(server, "-j", "1")).code == 1
    with Server(script=[None, Status(402)]) as server:
        assert shell("run", "jobs.jsonl", "--fresh", *openai(server, "-j", "1")).code == 4
    state = shell("status", "jobs.jsonl", "--json").json
    assert (state["answered"], state["failed"], state["left"]) == (1, 0, 3)
    assert went_on(shell)[1] == 3
    assert not (shell.folder / "jobs.failed.jsonl").exists()


def test_an_old_answer_to_a_renamed_picture_does_not_come_over_a_second_time(shell):
    for colour in ("red", "blue"):
        shell.picture(f"photos/{colour}.png", colour)
    words = ("run", "photos", "-p", "What?")
    with Server(answer=lambda _: "old") as server:
        assert shell(*words, *openai(server)).code == 0
        (shell.folder / "photos/red.png").rename(shell.folder / "photos/sunset.png")
        done = shell(*words, *openai(server))
        assert "1 of them carried over" in done.err
        assert server.arrived == 2
    with Server(answer=lambda _: "new", script=[None, Status(402)]) as server:
        assert shell(*words, "--fresh", *openai(server, "-j", "1")).code == 4
    with Server(answer=lambda _: "newer") as server:
        assert shell(*words, *openai(server)).code == 0
        assert server.arrived == 1
    outputs = shell.outputs("photos.results.jsonl")
    # Which of the two was asked first is for the threads that load them.
    assert {outputs["blue.png"], outputs["sunset.png"]} == {"new", "newer"}


def test_what_cannot_be_read_as_a_moment_is_none(tmp_path):
    assert begun_anew({}) == begun_anew({"fresh": 5}) == ""
    assert begun_anew({"fresh": "2026-01-02T03:04:05.678Z"}) == "2026-01-02T03:04:05.678Z"


def test_a_run_that_breaks_without_an_answer_leaves_the_older_moment(tmp_path):
    lock = Lock(tmp_path / "night.lock")
    lock.acquire({"pid": 1, "fresh": "2026"})
    with pytest.raises(KeyError, match="2027"), telling_anew(lock, "2027", lambda: 0):
        raise KeyError(lock.facts()["fresh"])
    assert json.loads((tmp_path / "night.lock").read_bytes()) == {"pid": 1, "fresh": "2026"}
    with telling_anew(lock, "2027", lambda: 1):
        pass
    assert lock.facts()["fresh"] == "2027"
    lock.release()
