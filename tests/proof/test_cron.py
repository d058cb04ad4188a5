"""The real command as cron and services start it: no terminal, no home, no locale, no streams."""

import fcntl
import itertools
import json
import stat
import subprocess

import pytest
from server import Server, Status
from shell import OVERNIGHT, dynaspark

CRON = {"LANG": "C", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "FORCE_COLOR": "1"}
BARE = {
    "cron": CRON,
    "env -i": {},
    "no locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "latin 1": {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
    "no such home": {"HOME": "/nonexistent/home", "XDG_CONFIG_HOME": ""},
    "a home that takes nothing": {"HOME": "/proc", "TMPDIR": "/tmp"},
    "a home that is no folder": {"HOME": "/dev/null"},
    "a terminal's words": {"TERM": "xterm", "COLUMNS": "20", "CLICOLOR_FORCE": "1", **CRON},
}
every_environment = pytest.mark.parametrize("env", BARE.values(), ids=BARE)


def cron(shell, command, env=CRON, **how):
    """As cron starts it: hardly an environment, in /, without a terminal or stdin."""
    words = ["-c", command]
    return shell.process(*words, program=("/bin/sh",), env=env, cwd="/", text=False, **how)


def mixed(shell):
    """Two jobs that are answered and one that fails, with letters that are not ASCII."""
    failing = {"id": "schlecht ☠", "prompt": "x", "params": {"failures": ["rejected"]}}
    return shell.write(
        "jobs.jsonl", {"id": "naïve ☕", "prompt": "ça"}, failing, {"id": "a b", "prompt": "é"}
    )


@every_environment
def test_success_is_silent_and_its_files_are_utf_8(shell, env):
    path = shell.write("jobs.jsonl", {"id": "naïve ☕", "prompt": "ça \u2028 \U0001f319"})
    done = cron(shell, f"{OVERNIGHT} run {path} --provider fake -q", env)
    assert (done.code, done.out, done.err) == (0, b"", b"")
    assert shell.outputs() == {"naïve ☕": "echo: ça \u2028 \U0001f319"}
    again = cron(shell, f"{OVERNIGHT} run {path} --provider fake -q", env)
    assert (again.code, again.out, again.err) == (0, b"", b"")


@every_environment
def test_failure_is_told_in_plain_lines_with_whole_paths(shell, env):
    path = mixed(shell)
    done = cron(shell, f"{OVERNIGHT} run {path} --provider fake -q --progress bar", env)
    assert (done.code, done.out) == (1, b"")
    assert b"2 of 3 jobs answered" in done.err
    assert b"failed: rejected 1" in done.err
    for name in ("jobs.results.jsonl", "jobs.failed.jsonl"):
        assert str(shell.folder / name).encode() in done.err
    assert not [part for part in (b"\r", b"\x1b", b"Traceback") if part in done.err]
    assert shell.failures() == {"schlecht ☠": "rejected"}
    assert "naïve ☕".encode() in (shell.folder / "jobs.results.jsonl").read_bytes()


@every_environment
def test_pictures_with_any_name_get_their_captions(shell, env):
    shell.picture("photos/naïve ☕.png")
    done = cron(shell, f"{OVERNIGHT} caption {shell.folder}/photos -q", env)
    assert (done.code, done.out, done.err) == (0, b"", b"")
    assert list(shell.outputs("photos.results.jsonl")) == ["naïve ☕.png"]
    assert (shell.folder / "photos" / "naïve ☕.txt").read_text("utf-8")


CLOSED = [
    " ".join(words)
    for number in range(1, 4)
    for words in itertools.combinations(("<&-", ">&-", "2>&-"), number)
]


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams_do_no_harm_to_a_run_and_its_files(shell, closed):
    path = mixed(shell)
    done = cron(shell, f"{OVERNIGHT} run {path} --provider fake --json {closed}")
    assert done.code == 1
    assert len(shell.lines()) == 2
    assert shell.failures() == {"schlecht ☠": "rejected"}
    if ">&-" not in closed.replace("2>&-", ""):
        assert json.loads(done.out)["answered"] == 2
    assert b"Traceback" not in done.err


def test_a_closed_stdin_is_no_source(shell):
    done = cron(shell, f"{OVERNIGHT} run - -o {shell.folder}/out.jsonl --provider fake <&-")
    assert done.code == 2
    assert b"cannot read stdin: it is closed" in done.err


@pytest.mark.parametrize("mask", ["000", "022", "077"])
def test_files_are_for_the_eyes_of_their_owner_whatever_the_umask(shell, mask):
    path = mixed(shell)
    done = cron(shell, f"umask {mask}; {OVERNIGHT} run {path} --provider fake -q")
    assert done.code == 1
    for name in ("results.jsonl", "failed.jsonl", "run.json", "lock"):
        mode = stat.S_IMODE((shell.folder / f"jobs.{name}").stat().st_mode)
        assert mode == 0o600 & ~int(mask, 8), name
    done = cron(shell, f"umask {mask}; {OVERNIGHT} verify {path} --provider fake")
    assert done.code in (0, 1)


def namespaces():
    """Whether a process may be given another user in a namespace of its own."""
    probe = ["unshare", "--map-user=54321", "true"]
    try:
        return subprocess.run(probe, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not namespaces(), reason="no namespace with another user can be made here")
def test_a_user_whom_the_system_does_not_know_needs_no_home(shell):
    path = shell.jobs(2)
    command = f"/usr/bin/unshare --map-user=54321 {OVERNIGHT} run {path} --provider fake"
    done = cron(shell, f"{command} -q", {})
    assert (done.code, done.out, done.err) == (0, b"", b"")
    assert len(shell.lines()) == 2


CODES = {
    "run {}/missing.jsonl": (2, "missing.jsonl"),
    "run {0}/jobs.jsonl --provider fake -o {0}/none/x.jsonl": (73, "{0}/none"),
    "run {0}/jobs.jsonl --provider openai -m m": (4, "OPENAI_API_KEY"),
    "run {}/jobs.jsonl --provider dynaspark --base-url http://127.0.0.1:9 --max-outage 0": (
        3,
        "{0}/jobs.jsonl",
    ),
}


@pytest.mark.parametrize("words", CODES)
def test_every_way_to_end_has_its_code_and_its_words(shell, words):
    shell.jobs(2)
    code, told = CODES[words]
    done = cron(shell, f"{OVERNIGHT} {words.format(shell.folder)} -q")
    assert (done.code, done.out) == (code, b"")
    assert told.format(shell.folder).encode() in done.err


def test_a_run_that_finds_another_one_at_work_ends_with_75_or_silently_with_0(shell):
    path = shell.jobs(2)
    command = f"{OVERNIGHT} run {path} --provider fake -q"
    with (shell.folder / "jobs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = cron(shell, command)
        assert (done.code, done.out) == (75, b"")
        assert str(shell.folder / "jobs.lock").encode() in done.err
        done = cron(shell, f"{command} --if-locked skip")
        assert (done.code, done.out, done.err) == (0, b"", b"")


def test_a_night_that_was_refused_is_one_mail_and_the_next_one_is_silent(shell):
    path = shell.jobs(3)
    with Server(script=[None, Status(422)]) as server:
        command = " ".join([str(OVERNIGHT), "run", str(path), *dynaspark(server), "-q -j 1"])
        first = cron(shell, command)
        assert (first.code, first.out) == (1, b"")
        assert b"2 of 3 jobs answered" in first.err
        second = cron(shell, f"{command} --retry-failed all")
        assert (second.code, second.out, second.err) == (0, b"", b"")
    assert len(shell.lines()) == 3
