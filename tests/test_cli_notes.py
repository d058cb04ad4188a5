"""What was set to no effect is told, and nothing else."""

import pytest

FAKE = ("--provider", "fake")


def noted(done):
    return [line for line in done.err.splitlines() if line.startswith("note: ")]


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_model_typed_beside_a_provider_without_models_is_told(shell, command):
    shell.picture("photos/a.png")
    done = shell(command, "photos", "-m", "llava")
    assert done.code == 0
    told = "offline takes no model, so -m llava does nothing: say who answers with --provider NAME"
    assert noted(done) == [f"note: {told}"]


def test_a_command_without_a_place_for_a_model_is_told_where_it_goes(shell):
    shell.jobs(1)
    [note] = noted(shell("run", "jobs.jsonl", "--provider", "exec:cat", "-m", "small"))
    assert note.endswith("-m small does nothing: write {model} in its command")
    assert noted(shell("run", "jobs.jsonl", "--provider", "exec:echo {model}", "-m", "small")) == []


@pytest.mark.parametrize("words", [(), ("-m", "facts-1"), (*FAKE, "-m", "any")])
def test_a_model_that_is_asked_and_none_at_all_need_no_note(shell, words):
    shell.picture("photos/a.png")
    assert noted(shell("run", "photos", "-p", "What?", *words)) == []


def test_a_model_of_the_configuration_needs_no_note(shell, monkeypatch):
    shell.picture("photos/a.png")
    monkeypatch.setenv("OVERNIGHT_RUN_MODEL", "llava")
    assert noted(shell("run", "photos")) == []


def test_a_variable_that_is_no_option_is_told_with_the_nearest_name(shell, monkeypatch):
    shell.jobs(1)
    monkeypatch.setenv("OVERNIGHT_RUN_CONCURENCY", "4")
    monkeypatch.setenv("OVERNIGHT_RUN_XYZZY", "4")
    monkeypatch.setenv("OVERNIGHT_RUN_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OVERNIGHT_RUN_CONFIG", "")
    monkeypatch.setenv("OVERNIGHT_CAPTION_CONCURENCY", "4")
    done = shell("run", "jobs.jsonl", *FAKE)
    assert done.code == 0
    first, second = noted(done)
    assert first.startswith("note: OVERNIGHT_RUN_CONCURENCY is no option of `run` and does nothing")
    assert first.endswith(": did you mean OVERNIGHT_RUN_CONCURRENCY?")
    assert second == "note: OVERNIGHT_RUN_XYZZY is no option of `run` and does nothing"
    assert noted(shell("status", "jobs.jsonl")) == []


def test_a_quiet_run_tells_notes_only_when_it_fails(shell, monkeypatch):
    monkeypatch.setenv("OVERNIGHT_RUN_PROMT", "What is it?")
    shell.jobs(1)
    done = shell("run", "jobs.jsonl", "-q", *FAKE)
    assert (done.code, done.out, done.err) == (0, "", "")
    shell.write("jobs.jsonl", {"id": "a"})
    done = shell("run", "jobs.jsonl", "-q", *FAKE)
    assert done.code == 2
    assert "did you mean OVERNIGHT_RUN_PROMPT?" in done.err
