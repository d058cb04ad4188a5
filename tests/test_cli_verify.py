"""`overnight verify`: 0 when the results are whole and belong to the source, else 1 and why."""

import json

import pytest
from server import Server, Status
from shell import dynaspark, openai

FAKE = ("--provider", "fake")


@pytest.fixture
def results(shell):
    """The results file of three answered jobs."""
    shell.jobs(3)
    assert shell("run", "jobs.jsonl", *FAKE).code == 0
    return shell.folder / "jobs.results.jsonl"


def wrong(shell, *words):
    """What verify says is wrong, a line each; it changes nothing and ends with 1."""
    before = shell.files()
    done = shell("verify", "jobs.jsonl", *words)
    assert done.code == 1, done
    assert done.err == ""
    assert shell.files() == before
    *lines, step = done.out.splitlines()
    assert step.startswith("next: overnight ")
    assert shell("verify", "jobs.jsonl", "--json", *words).json == {
        "sound": False,
        "wrong": lines,
        **{k: shell("verify", "jobs.jsonl", "--json", *words).json[k] for k in COUNTS},
    }
    return lines


def step_of(shell, *words):
    """What verify says is to be typed next."""
    return shell("verify", "jobs.jsonl", *words).out.splitlines()[-1].removeprefix("next: ")


COUNTS = ("jobs", "answered", "failed", "orphans")


def test_sound_results_are_called_so(shell, results):
    done = shell("verify", "jobs.jsonl")
    assert (done.code, done.err) == (0, "")
    assert done.out == "sound: 3 answers and 0 failed of 3 jobs\n"
    assert shell("verify", "jobs.jsonl", "-q").out == ""
    facts = shell("verify", "jobs.jsonl", "--json").json
    assert facts == {
        "sound": True,
        "wrong": [],
        "jobs": 3,
        "answered": 3,
        "failed": 0,
        "orphans": 0,
    }


def test_failed_jobs_are_settled_jobs(shell):
    shell.jobs(3)
    with Server(script=[None, Status(422), Status(500)]) as server:
        shell("run", "jobs.jsonl", *dynaspark(server, "-j", "1", "--retries", "0"))
    done = shell("verify", "jobs.jsonl")
    assert (done.code, done.out) == (0, "sound: 1 answer and 2 failed of 3 jobs\n")


def test_bad_lines_that_were_recorded_are_settled(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"}, "{")
    shell("run", "jobs.jsonl", "--skip-bad-lines", *FAKE)
    assert shell("verify", "jobs.jsonl").code == 0
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"}, "{", "{")
    assert wrong(shell) == ["1 line of the source cannot run"]
    assert step_of(shell).endswith(" fake  # after mending the lines that cannot run")


def test_a_source_without_results_is_not_sound(shell):
    shell.jobs(2)
    missing, without = wrong(shell)
    assert missing == f"{shell.folder}/jobs.results.jsonl: there is no such file"
    assert without == "2 jobs without an answer"


def test_a_torn_tail_is_wrong_until_the_next_run_mends_it(shell, results):
    results.write_bytes(results.read_bytes()[:-40])
    lines = wrong(shell)
    assert any("jobs.results.jsonl:3:" in line for line in lines)
    assert any("no newline" in line for line in lines)
    assert "1 job without an answer" in lines
    assert shell("run", "jobs.jsonl", *FAKE).code == 0
    assert shell("verify", "jobs.jsonl").code == 0


def test_a_doubled_id_is_wrong(shell, results):
    first, *rest = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join([first, *rest, first]))
    assert [line for line in wrong(shell) if "stands on line 1 too" in line]
    assert shell("run", "jobs.jsonl", *FAKE).code == 0
    assert shell("verify", "jobs.jsonl").code == 0


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 50,
        b'{"id": "j1"}',
        b"not json",
        b'{"id":"j1","status":"ok","output":null}',
        b'{"id":"j1","status":"ok","key":"0","outpt":"lost"}',
        b"\xff",
    ],
)
def test_a_damaged_line_is_wrong(shell, results, damage):
    lines = results.read_bytes().splitlines()
    results.write_bytes(b"\n".join([lines[0], damage, lines[2], b""]))
    assert any("jobs.results.jsonl:2: " in line for line in wrong(shell))
    assert step_of(shell) == "overnight run jobs.jsonl --provider fake"
    done = shell("run", "jobs.jsonl", *FAKE)
    assert done.code == 0
    torn = shell.folder / "jobs.torn"
    assert f"repaired: 1 damaged line moved to {torn}; its job runs again" in done.err
    assert torn.read_bytes() == damage + b"\n"
    assert shell("verify", "jobs.jsonl").code == 0


def test_a_result_without_a_key_of_the_contract_is_wrong(shell, results):
    rows = shell.lines()
    del rows[1]["attempts"]
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert any("attempts" in line for line in wrong(shell))
    assert step_of(shell).endswith("  # after taking out the lines that are no sound records")


def test_missing_jobs_are_wrong(shell, results):
    lines = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(lines[0])
    assert wrong(shell) == ["2 jobs without an answer"]


def test_an_edited_prompt_is_wrong_until_it_ran(shell, results):
    jobs = shell.lines("jobs.jsonl")
    jobs[1]["prompt"] = "edited"
    shell.write("jobs.jsonl", *jobs)
    assert wrong(shell) == ["1 answer to a job that was edited since"]
    shell("run", "jobs.jsonl", *FAKE)
    assert shell("verify", "jobs.jsonl").code == 0


def test_a_replaced_image_is_wrong(shell):
    shell.picture("photos/a.png")
    shell("run", "photos")
    assert shell("verify", "photos").code == 0
    shell.picture("photos/a.png", "blue")
    done = shell("verify", "photos")
    told = "1 answer to a job that was edited since\nnext: overnight run photos\n"
    assert (done.code, done.out) == (1, told)


def test_orphans_are_told_and_not_wrong(shell, results):
    shell.jobs(2)
    done = shell("verify", "jobs.jsonl")
    assert done.code == 0
    assert done.out == (
        "sound: 2 answers and 0 failed of 2 jobs; 1 orphan: the job left the source (kept)\n"
    )


def test_keys_are_compared_with_options_that_are_given(shell, server):
    shell.write("jobs.jsonl", {"id": "a"})
    words = openai(server, "-j", "4", "--timeout", "9", "--max-outage", "0", "--retries", "1")
    assert shell("run", "jobs.jsonl", "-p", "x", *words).code == 0
    assert shell("verify", "jobs.jsonl", "-p", "x", *words).code == 0
    assert shell("verify", "jobs.jsonl").code == 0
    assert wrong(shell, "-p", "y", *words) == ["1 answer to a job that was edited since"]
    assert wrong(shell, *words, "-m", "other") == ["1 answer to a job that was edited since"]


def test_an_output_of_another_name_is_found_with_o(shell):
    shell.jobs(2)
    shell("run", "jobs.jsonl", "-o", "other.jsonl", *FAKE)
    assert shell("verify", "jobs.jsonl", "-o", "other.jsonl").code == 0
    assert len(wrong(shell)) == 2


def test_a_missing_source_ends_with_2(shell):
    done = shell("verify", "missing.jsonl")
    assert (done.code, done.out) == (2, "")
    assert "missing.jsonl" in done.err
