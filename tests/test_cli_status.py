"""`overnight status`: what is done, failed and left, told from files alone."""

import json
import signal
import subprocess

import pytest
from server import Hold, Server, Status
from shell import dynaspark, openai

KEYS = (
    "run_id version source provider model state reason exit_code pid host started_at updated_at "
    "jobs done_before answered failed left retries paused_s input_tokens output_tokens cost_usd "
    "rate_per_s latency_p50_s latency_p95_s in_flight oldest_in_flight failures lane"
).split()
FAKE = ("--provider", "fake")


def numbers(state):
    return tuple(state[key] for key in ("state", "jobs", "answered", "failed", "left"))


def status(shell, *words):
    """The state as JSON, which has the promised keys and whose numbers add up; nothing changes."""
    before = shell.files()
    done = shell("status", *words, "--json")
    assert done.code == 0, done.err
    assert list(done.json) == KEYS
    assert done.json["jobs"] == done.json["answered"] + done.json["failed"] + done.json["left"]
    if done.json["state"] != "running":
        assert shell.files() == before
    return done.json


def test_a_source_that_was_never_run_is_all_left(shell):
    shell.jobs(3)
    state = status(shell, "jobs.jsonl")
    assert numbers(state) == ("new", 3, 0, 0, 3)
    assert state["source"] == str(shell.folder / "jobs.jsonl")
    told = shell("status", "jobs.jsonl").out
    assert "jobs.jsonl: never run" in told
    assert "0 of 3 jobs answered, 0 failed, 3 left" in told
    assert told.splitlines()[-1] == "next: overnight run jobs.jsonl"


def test_a_source_whose_prompt_is_to_come_by_flag_can_be_looked_at(shell):
    shell.write("jobs.jsonl", {"id": "a"}, {"id": "b"})
    assert numbers(status(shell, "jobs.jsonl")) == ("new", 2, 0, 0, 2)
    shell.picture("photos/a.png")
    assert numbers(status(shell, "photos", "--provider", "openai", "-p", "?")) == (
        "new",
        1,
        0,
        0,
        1,
    )


def test_a_finished_run_is_told_with_its_numbers(shell):
    shell.jobs(3)
    with Server(script=[None, Status(422)]) as server:
        shell("run", "jobs.jsonl", *dynaspark(server, "-j", "1"))
    state = status(shell, "jobs.jsonl")
    assert numbers(state) == ("finished", 3, 2, 1, 0)
    assert state["failures"] == {"rejected": 1}
    assert (state["provider"], state["exit_code"]) == ("dynaspark", 1)
    assert state == json.loads((shell.folder / "jobs.run.json").read_text())
    told = shell("status", "jobs.jsonl").out
    assert "2 of 3 jobs answered by dynaspark, 1 failed, 0 left" in told
    assert "failed: rejected 1" in told
    assert "/s, latency p50" in told


def test_edited_and_added_lines_count_as_left(shell):
    shell.jobs(3)
    shell("run", "jobs.jsonl", *FAKE)
    jobs = shell.lines("jobs.jsonl")
    jobs[0]["prompt"] = "edited"
    shell.write("jobs.jsonl", *jobs, {"id": "new", "prompt": "x"})
    assert numbers(status(shell, "jobs.jsonl")) == ("finished", 4, 2, 0, 2)
    told = shell("status", "jobs.jsonl").out
    assert told.splitlines()[-1] == "next: overnight run jobs.jsonl --provider fake"


def test_what_was_given_by_flag_environment_and_file_need_not_be_repeated(shell, monkeypatch):
    shell.write("jobs.jsonl", {"id": "a"}, {"id": "b", "system": "s"})
    shell.write("overnight.toml", '[run]\nmodel = "from-the-file"')
    monkeypatch.setenv("OVERNIGHT_RUN_SYSTEM", "from the environment")
    assert shell("run", "jobs.jsonl", "-p", "by flag", *FAKE).code == 0
    (shell.folder / "overnight.toml").unlink()
    monkeypatch.delenv("OVERNIGHT_RUN_SYSTEM")
    assert numbers(status(shell, "jobs.jsonl")) == ("finished", 2, 2, 0, 0)
    assert numbers(status(shell, "jobs.jsonl", "-p", "another")) == ("finished", 2, 0, 0, 2)
    assert shell("verify", "jobs.jsonl").code == 0


def test_what_the_last_run_was_told_counts_more_than_the_configuration(shell):
    shell.write("jobs.jsonl", {"id": "a"})
    shell.write("overnight.toml", '[run]\nprovider = "offline"\nprompt = "one"\nmodel = "one"')
    assert shell("run", "jobs.jsonl", *FAKE, "-m", "two").code == 0
    assert numbers(status(shell, "jobs.jsonl")) == ("finished", 1, 1, 0, 0)
    shell.write("overnight.toml", '[run]\nprompt = "of another project"')
    assert numbers(status(shell, "jobs.jsonl")) == ("finished", 1, 1, 0, 0)
    assert shell("verify", "jobs.jsonl").code == 0


def test_a_root_is_known_from_another_folder_too(shell, monkeypatch):
    shell.picture("all/photos/a.png")
    assert shell("run", "all/photos", "--root", "all").code == 0
    monkeypatch.chdir(shell.folder / "home")
    assert numbers(status(shell, "../all/photos")) == ("finished", 1, 1, 0, 0)


def test_without_a_lock_file_ids_alone_are_compared(shell):
    shell.write("jobs.jsonl", {"id": "a"}, {"id": "b"})
    shell("run", "jobs.jsonl", "-p", "by flag", *FAKE)
    (shell.folder / "jobs.lock").unlink()
    assert numbers(status(shell, "jobs.jsonl")) == ("finished", 2, 2, 0, 0)


def test_every_option_of_run_is_taken(shell, server):
    shell.jobs(1)
    words = openai(server, "-j", "3", "--retries", "0", "--max-outage", "0", "--if-locked", "skip")
    shell("run", "jobs.jsonl", *words, "-q", "--progress", "none")
    assert numbers(status(shell, "jobs.jsonl", *words, "-q")) == ("finished", 1, 1, 0, 0)


def test_manners_set_for_run_are_not_those_of_status(shell):
    shell.jobs(1)
    shell.write("overnight.toml", '[run]\nquiet = true\njson = true\nprovider = "fake"')
    assert shell("run", "jobs.jsonl").err == ""
    assert "1 of 1 job answered by fake" in shell("status", "jobs.jsonl").out
    assert shell("check", "jobs.jsonl").out.startswith("1 job: 0 new")


@pytest.fixture
def live(shell):
    """A run of three jobs, of which one is answered and the others are held by the server."""
    shell.jobs(3)
    server = Server(faults=lambda request: Hold() if request.number > 1 else None)
    with server, shell.start("run", "jobs.jsonl", *dynaspark(server, "-j", "2")) as process:
        server.wait_for(2)
        shell.until(lambda: {"jobs.run.json", "jobs.results.jsonl"} <= set(shell.files()))
        shell.until(lambda: len(shell.lines()) == 1)
        yield process
        process.kill()


def test_a_live_run_is_told_by_its_own_word(shell, live):
    state = status(shell, "jobs.jsonl")
    assert state == json.loads((shell.folder / "jobs.run.json").read_text())
    assert (state["state"], state["jobs"], state["pid"]) == ("running", 3, live.pid)
    assert (state["exit_code"], state["reason"]) == (None, "")
    told = shell("status", "jobs.jsonl").out
    assert "/3 answered" in told
    assert f"pid {live.pid} on" in told


def test_verify_says_that_a_run_is_at_work(shell, live):
    done = shell("verify", "jobs.jsonl")
    assert done.code == 1
    assert "2 jobs without an answer" in done.out
    assert "a run is using this output now" in done.out


def test_watch_looks_until_the_run_ends_and_ctrl_c_leaves_it(shell, live):
    words = ("status", "jobs.jsonl", "--watch", "--json")
    with shell.start(*words, stdout=subprocess.PIPE) as watch:
        assert json.loads(watch.stdout.readline())["state"] == "running"
        watch.send_signal(signal.SIGINT)
        assert watch.wait(10) == 130
    live.kill()
    live.wait()
    assert status(shell, "jobs.jsonl", "--watch")["state"] == "died"


def test_a_killed_run_is_called_dead_and_its_files_are_counted(shell, live):
    live.kill()
    live.wait()
    state = status(shell, "jobs.jsonl")
    assert numbers(state) == ("died", 3, 1, 0, 2)
    assert (state["in_flight"], state["oldest_in_flight"]) == (0, None)
    told = shell("status", "jobs.jsonl").out
    assert "killed, or the machine went down" in told
    assert f"last run, as of its last sign of life {state['updated_at']}: " in told
    assert told.splitlines()[-1].startswith("next: overnight run jobs.jsonl --provider dynaspark")


def test_a_stopped_run_says_why(shell):
    shell.jobs(2)
    shell("run", "jobs.jsonl", "--limit", "1", *FAKE)
    state = status(shell, "jobs.jsonl")
    assert numbers(state) == ("stopped", 2, 1, 0, 1)
    assert "limit" in state["reason"]


def test_a_missing_source_and_a_stream_of_results_are_refused(shell):
    assert shell("status", "missing.jsonl").code == 2
    shell.jobs(1)
    done = shell("status", "jobs.jsonl", "-o", "-")
    assert done.code == 2
    assert "writes no files" in done.err


def test_names_that_steer_a_terminal_are_escaped(shell):
    shell.jobs(1, "\x1b[31mred.jsonl")
    done = shell("status", "\x1b[31mred.jsonl")
    assert done.code == 0
    assert "\x1b" not in done.out
