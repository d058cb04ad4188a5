"""`overnight run` as its users meet it: a folder of images, a night of prompts, a line of cron."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from server import Reply, Server, Status, expected_answer
from shell import OVERNIGHT, RESULT_KEYS, dynaspark, openai


def refused(done, *words):
    """Ended with 2, said why in one place, and left no trace of Python."""
    assert done.code == 2, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err


# What is given as a source


def test_a_missing_job_file_is_told_with_its_path_and_leaves_no_file(shell):
    before = shell.files()
    refused(shell("run", "night.jsonl"), "night.jsonl", "No such file or directory")
    assert shell.files() == before


def test_a_folder_without_images_holds_no_jobs(shell):
    (shell.folder / "photos").mkdir()
    done = shell("run", "photos")
    assert done.code == 0
    assert "0 jobs" in done.err


@pytest.mark.parametrize("content", ["", "\n", "\n \n\r\n", "\ufeff"])
def test_an_empty_job_file_holds_no_jobs(shell, content):
    (shell.folder / "jobs.jsonl").write_text(content, "utf-8")
    done = shell("run", "jobs.jsonl")
    assert done.code == 0
    assert "0 jobs" in done.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"id": "a", "prompt": "x"', "still being written"),
        ('["a"]', "a job is a JSON object"),
        ("null", "a job is a JSON object"),
        ('{"prompt": NaN}', "no valid JSON"),
        ('{"id": "a", "id": "b", "prompt": "x"}', "stands twice"),
        ('{"id": "", "prompt": "x"}', "an id is printable text"),
        ('{"id": "a\\nb", "prompt": "x"}', "an id is printable text"),
        ('{"id": 5, "prompt": "x"}', "`id`"),
        ('{"prompt": "x", "messages": []}', "`prompt` and `messages`"),
        ('{"id": "a"}', "no prompt"),
        ('{"id": "a", "prompt": "x", "headers": {}}', "unknown field `headers`"),
        ('{"id": "a", "prompt": "x", "base_url": "http://x"}', "unknown field `base_url`"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_nothing_is_sent(shell, server, line, words):
    shell.write("jobs.jsonl", {"id": "good", "prompt": "x"}, line)
    done = shell("run", "jobs.jsonl", *openai(server))
    refused(done, "jobs.jsonl:2: ", words, "1 line cannot run, so nothing was sent")
    assert server.requests == []
    assert set(shell.files()) == {"jobs.jsonl"}


def test_latin_1_is_told_with_its_line(shell):
    (shell.folder / "jobs.jsonl").write_bytes(
        '{"id": "a", "prompt": "caf\xe9"}\n'.encode("latin-1")
    )
    refused(shell("run", "jobs.jsonl"), "jobs.jsonl:1: ", "UTF-8")


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x1f\x8b\x08", "gunzip"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"PK\x03\x04", "zip"),
        (b"\x89PNG\r\n", "an image"),
    ],
)
def test_another_format_is_told_with_what_to_do(shell, head, words):
    (shell.folder / "jobs.jsonl").write_bytes(head + b"\0" * 64)
    refused(shell("run", "jobs.jsonl"), words)


def test_an_unknown_field_is_told_with_the_nearest_name(shell):
    shell.write("jobs.jsonl", {"promt": "x"})
    refused(shell("run", "jobs.jsonl"), "unknown field `promt`, did you mean `prompt`?")


def test_the_first_five_pairs_of_doubled_ids_are_told_by_both_line_numbers(shell):
    ids = [*"abcdefg", *"gfedcba"]
    shell.write("jobs.jsonl", *({"id": each, "prompt": "x"} for each in ids))
    done = shell("run", "jobs.jsonl")
    refused(done, "7 lines cannot run")
    told = done.err.splitlines()
    for later, first, name in [(8, 7, "g"), (9, 6, "f"), (10, 5, "e"), (11, 4, "d"), (12, 3, "c")]:
        (line,) = [line for line in told if line.startswith(f"jobs.jsonl:{later}:")]
        assert f"'{name}'" in line
        assert f"jobs.jsonl:{first})" in line


def test_doubled_ids_are_found_across_sources(shell):
    shell.write("a.jsonl", {"id": "x", "prompt": "p"})
    shell.write("b.jsonl", {"id": "x", "prompt": "p"})
    done = shell("run", "a.jsonl", "b.jsonl", "-o", "out.jsonl")
    refused(done, "b.jsonl:1:", "a.jsonl:1")


def test_skip_bad_lines_turns_them_into_failed_lines_and_goes_on(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"}, "{", {"id": "a", "prompt": "y"})
    done = shell("run", "jobs.jsonl", "--provider", "fake", "--skip-bad-lines")
    assert done.code == 1
    assert shell.outputs() == {"a": "echo: x"}
    assert shell.failures() == {"line-2": "bad_job", "line-3": "bad_job"}
    again = shell("run", "jobs.jsonl", "--provider", "fake", "--skip-bad-lines")
    assert again.code == 1
    assert shell.failures() == {"line-2": "bad_job", "line-3": "bad_job"}


def test_the_failed_file_of_bad_lines_can_be_run_and_they_are_passed_over(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"}, "{")
    shell("run", "jobs.jsonl", "--provider", "fake", "--skip-bad-lines")
    done = shell("run", "jobs.failed.jsonl", "--provider", "fake")
    assert done.code == 0
    assert "passed over" in done.err


# Images


def test_what_is_no_image_of_the_folder_fails_its_job_and_the_run_goes_on(shell, server):
    shell.picture("good.png")
    shell.write("text.png", "This is no picture.")
    (shell.folder / "folder.png").mkdir()
    os.mkfifo(shell.folder / "pipe.png")
    (shell.folder / "link.png").symlink_to("/etc/passwd")
    expected = {
        "../../etc/passwd": "not_allowed",
        "/etc/passwd": "not_allowed",
        "~/key.png": "not_allowed",
        "http://169.254.169.254/x.png": "not_allowed",
        "file:///etc/passwd": "not_allowed",
        "a\0b.png": "not_allowed",
        "link.png": "not_allowed",
        "pipe.png": "not_allowed",
        "text.png": "image_invalid",
        "missing.png": "image_unreadable",
        "folder.png": "image_unreadable",
    }
    jobs = [{"id": f"j{n}", "prompt": "?", "image": path} for n, path in enumerate(expected)]
    shell.write("jobs.jsonl", {"id": "good", "prompt": "?", "image": "good.png"}, *jobs)
    done = shell("run", "jobs.jsonl", *openai(server))
    assert done.code == 1
    assert list(shell.outputs()) == ["good"]
    assert shell.failures() == {f"j{n}": code for n, code in enumerate(expected.values())}
    assert len(server.requests) == 1


def test_two_images_for_a_provider_of_one_are_refused_before_any_request(shell, server):
    shell.picture("a.png")
    shell.write(
        "jobs.jsonl",
        {"id": "one", "prompt": "?", "image": "a.png"},
        {"id": "two", "prompt": "?", "images": ["a.png", "a.png"]},
    )
    done = shell("run", "jobs.jsonl", *dynaspark(server))
    refused(done, "jobs.jsonl:2: dynaspark takes one image a job, this one has 2")
    assert server.requests == []


def test_a_folder_is_captioned_with_the_prompt(shell, server):
    first, second = shell.picture("photos/a.png"), shell.picture("photos/sub/b.png", "blue")
    done = shell("run", "photos/", "-p", "Describe it.", *openai(server, "--original-bytes"))
    assert done.code == 0
    assert shell.outputs("photos.results.jsonl") == {
        "a.png": expected_answer("Describe it.", [first.read_bytes()]),
        "sub/b.png": expected_answer("Describe it.", [second.read_bytes()]),
    }


def test_a_folder_for_a_model_needs_a_prompt(shell, server):
    shell.picture("photos/a.png")
    refused(shell("run", "photos", *openai(server)), "give -p TEXT", "caption`")


def test_a_folder_outside_the_root_is_refused(shell):
    shell.picture("pics2/a.png")
    (shell.folder / "pics").mkdir()
    refused(shell("run", "pics2", "--root", "pics"), "is not inside --root")


# Providers, addresses and keys


def test_an_unknown_provider_is_told_with_the_nearest_name(shell):
    shell.jobs(1)
    refused(shell("run", "jobs.jsonl", "--provider", "opnai"), "did you mean openai?")


def test_dynaspark_must_be_given_a_server(shell):
    shell.jobs(1)
    refused(shell("run", "jobs.jsonl", "--provider", "dynaspark"), "--base-url URL")


def test_a_provider_that_needs_a_model_says_so_before_it_is_asked(shell, server):
    shell.jobs(2)
    done = shell("run", "jobs.jsonl", "--provider", "openai", "--base-url", server.url)
    refused(done, "openai needs a model: add -m MODEL (so for all")
    assert server.requests == []


def test_a_missing_key_ends_with_4_and_says_where_to_put_it(shell):
    shell.jobs(1)
    done = shell("run", "jobs.jsonl", "--provider", "openai", "-m", "m")
    assert done.code == 4
    assert "--key-file FILE or set OPENAI_API_KEY" in done.err
    assert set(shell.files()) == {"jobs.jsonl"}


def test_a_key_file_that_others_can_read_is_refused(shell, server):
    shell.jobs(1)
    shell.write("key", "sk-1").chmod(0o640)
    done = shell("run", "jobs.jsonl", *openai(server, "--key-file", "key"))
    refused(done, "others can read the key file key: chmod 600 key")
    assert server.requests == []


def test_a_key_does_not_go_over_plain_http_to_another_machine(shell):
    shell.jobs(1)
    shell.write("key", "sk-1").chmod(0o600)
    words = ("--provider", "openai", "-m", "m", "--base-url", "http://192.0.2.1", "--key-file")
    refused(shell("run", "jobs.jsonl", *words, "key"), "192.0.2.1 over plain http", "https")


def test_a_dead_port_without_patience_ends_with_3_and_fails_no_job(shell):
    shell.jobs(3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = dynaspark(type("Nobody", (), {"url": f"http://127.0.0.1:{port}"}), "--max-outage", "0")
    done = shell("run", "jobs.jsonl", *words)
    assert done.code == 3, done.err
    assert "overnight run jobs.jsonl" in done.err
    assert not (shell.folder / "jobs.failed.jsonl").exists()


def test_a_refused_key_ends_with_4_and_fails_no_job(shell):
    shell.jobs(30)
    with Server(key="right") as server:
        done = shell("run", "jobs.jsonl", *openai(server, "-j", "16"))
    assert done.code == 4
    assert "the server wants a key, none was given: give --key-file FILE or set OPENAI_API_KEY" in (
        done.err
    )
    assert not (shell.folder / "jobs.failed.jsonl").exists()
    assert len(server.requests) <= 3


# The output


def test_a_folder_as_output_is_refused(shell):
    shell.jobs(1)
    (shell.folder / "out").mkdir()
    refused(shell("run", "jobs.jsonl", "-o", "out"), "is a folder: name a file in it")


def test_an_output_in_a_missing_folder_ends_with_73(shell):
    shell.jobs(1)
    done = shell("run", "jobs.jsonl", "-o", "nowhere/out.jsonl")
    assert done.code == 73
    assert "create it first" in done.err


def test_the_source_cannot_be_its_own_output(shell):
    source = shell.jobs(1)
    before = source.read_bytes()
    refused(shell("run", "jobs.jsonl", "-o", "jobs.jsonl"), "is the source itself")
    (shell.folder / "link.jsonl").symlink_to("jobs.jsonl")
    refused(shell("run", "jobs.jsonl", "-o", "link.jsonl"), "is the source itself")
    assert source.read_bytes() == before


def test_somebody_elses_file_is_not_appended_to(shell):
    shell.jobs(1)
    other = shell.write("data.jsonl", {"id": "a", "text": "mine"}, {"id": "b", "text": "mine"})
    before = other.read_bytes()
    refused(shell("run", "jobs.jsonl", "-o", "data.jsonl"), "is no results file of ours")
    assert other.read_bytes() == before


def test_several_sources_need_an_output_of_their_own(shell):
    shell.jobs(1, "a.jsonl")
    shell.write("b.jsonl", {"id": "b", "prompt": "p"})
    refused(shell("run", "a.jsonl", "b.jsonl"), "give -o FILE")
    assert shell("run", "a.jsonl", "b.jsonl", "-o", "x.jsonl", "--provider", "fake").code == 0
    assert len(shell.lines("x.jsonl")) == 2


def test_only_result_lines_go_to_stdout_with_o_dash_and_no_file_is_written(shell):
    shell.jobs(2)
    shell.write("more.jsonl", {"id": "bad", "prompt": "x", "params": {"failures": ["rejected"]}})
    before = shell.files()
    done = shell("run", "jobs.jsonl", "more.jsonl", "--provider", "fake", "-o", "-")
    assert done.code == 1
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["id"] for row in rows] == ["j0", "j1"]
    assert all(list(row) == RESULT_KEYS for row in rows)
    failed = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert [line["failure"]["code"] for line in failed] == ["rejected"]
    assert shell.files() == before


def test_json_and_results_do_not_share_stdout(shell):
    shell.jobs(1)
    refused(shell("run", "jobs.jsonl", "-o", "-", "--json"), "both want stdout")


# Streams


def test_stdin_is_run_and_can_be_looked_at_from_another_folder(shell, monkeypatch):
    jobs = shell.jobs(2).read_text()
    words = ("run", "-", "-o", "out.results.jsonl", "--provider", "fake")
    done = shell.process(*words, typed=jobs)
    assert done.code == 0, done.err
    assert shell.outputs("out.results.jsonl") == {"j0": "echo: prompt 0", "j1": "echo: prompt 1"}
    again = shell.process(*words, typed=jobs)
    assert again.code == 0
    assert "2 jobs: 0 to do, 2 done" in again.err
    monkeypatch.chdir(shell.folder / "home")
    seen = shell("status", "-", "-o", "../out.results.jsonl", "--json")
    assert (seen.json["answered"], seen.json["left"]) == (2, 0)
    assert shell("verify", "-", "-o", "../out.results.jsonl").code == 0


def test_stdin_needs_an_output(shell):
    refused(shell.process("run", "-", typed="{}\n"), "give -o FILE, or -o -")


def test_a_process_substitution_is_a_source(shell):
    shell.jobs(2)
    line = f"{OVERNIGHT} run <(cat jobs.jsonl) -o out.jsonl --provider fake"
    done = shell.process("-c", line, program=("bash",))
    assert done.code == 0, done.err
    assert len(shell.lines("out.jsonl")) == 2


def test_a_pipe_with_a_name_is_a_source(shell):
    os.mkfifo(shell.folder / "pipe")
    with shell.start("run", "pipe", "-o", "out.jsonl", "--provider", "fake") as process:
        (shell.folder / "pipe").write_text('{"id": "a", "prompt": "x"}\n')
        assert process.wait(20) == 0
    assert shell.outputs("out.jsonl") == {"a": "echo: x"}


def test_two_streams_are_refused(shell):
    os.mkfifo(shell.folder / "pipe")
    refused(shell("run", "-", "pipe", "-o", "out.jsonl"), "only one source may be")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_that_waits_for_stdin(shell, number, code):
    words = ("run", "-", "-o", "out.jsonl", "--provider", "fake")
    with shell.start(*words, stdin=subprocess.PIPE) as process:
        shell.until((shell.folder / ".out.jobs.part").exists)
        started = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert time.monotonic() - started < 1
    assert err == "overnight: interrupted: nothing was sent\n"


# One run at a time


@contextlib.contextmanager
def locked(shell):
    """The lock of the output, held as another process would hold it."""
    with (shell.folder / "jobs.lock").open("w") as lock:
        lock.write('{"pid": 4711, "host": "elsewhere", "started_at": "today"}\n')
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def test_a_second_run_ends_with_75_and_says_who_runs(shell):
    shell.jobs(1)
    with locked(shell):
        before = shell.files()
        done = shell("run", "jobs.jsonl", "--provider", "fake")
        assert done.code == 75
        assert "pid 4711 on elsewhere, since today" in done.err
        assert done.err.endswith(
            ": `overnight status jobs.jsonl` tells how far it is, --if-locked wait waits\n"
        )
        assert shell.files() == before


def test_a_second_run_that_skips_ends_with_0_and_one_line(shell):
    shell.jobs(1)
    with locked(shell):
        done = shell("run", "jobs.jsonl", "--provider", "fake", "--if-locked", "skip")
        assert done.code == 0
        assert len(done.err.splitlines()) == 1
        quiet = shell("run", "jobs.jsonl", "--provider", "fake", "--if-locked", "skip", "-q")
        assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_second_run_that_waits_says_so_and_begins_when_the_first_ends(shell):
    shell.jobs(1)
    words = ("run", "jobs.jsonl", "--provider", "fake", "--if-locked", "wait")
    with locked(shell) as lock, shell.start(*words) as process:
        assert "waiting for its end" in process.stderr.readline()
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert process.wait(20) == 0
    assert len(shell.lines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_waiting_for_a_lock(shell, number, code):
    shell.jobs(1)
    words = ("run", "jobs.jsonl", "--provider", "fake", "--if-locked", "wait")
    with locked(shell), shell.start(*words) as process:
        process.stderr.readline()
        process.send_signal(number)
        assert process.wait(20) == code


# Which jobs


def test_limit_does_the_first_jobs_that_are_not_done_and_ends_with_0(shell):
    shell.jobs(5)
    for expected in (2, 4, 5):
        done = shell("run", "jobs.jsonl", "--provider", "fake", "--limit", "2")
        assert done.code == 0, done.err
        assert len(shell.lines()) == expected
    assert [row["id"] for row in shell.lines()] == [f"j{n}" for n in range(5)]


def test_a_finished_run_again_sends_nothing_and_ends_with_the_same_code(shell):
    shell.jobs(3)
    for status, code in ((Status(422), 1), (None, 0)):
        with Server(script=[None, status]) as server:
            first = shell("run", "jobs.jsonl", "--fresh", *dynaspark(server, "-j", "1"))
            assert first.code == code, first.err
        before = shell.lines()
        with Server() as server:
            again = shell("run", "jobs.jsonl", *dynaspark(server))
            assert again.code == code
            assert server.requests == []
        assert shell.lines() == before


def test_failures_are_tried_again_as_asked(shell):
    shell.jobs(3)
    script = [None, Status(422), Status(500), Status(500)]
    with Server(script=script) as server:
        words = dynaspark(server, "-j", "1", "--retries", "1")
        assert shell("run", "jobs.jsonl", *words).code == 1
        assert shell.failures() == {"j1": "rejected", "j2": "server_error"}
        assert shell("run", "jobs.jsonl", "--retry-failed", "none", *words).code == 1
        assert len(server.requests) == 4
        done = shell("run", "jobs.jsonl", *words)
        assert done.code == 1
        assert "overnight run jobs.jsonl" in done.err
        assert "--retry-failed all" in done.err.splitlines()[-1]
        assert shell.failures() == {"j1": "rejected"}
        assert shell("run", "jobs.jsonl", "--retry-failed", "all", *words).code == 0
    assert not (shell.folder / "jobs.failed.jsonl").exists()
    assert len(shell.lines()) == 3


def test_fresh_asks_everything_again_and_keeps_the_old_answers_aside(shell, server):
    shell.jobs(2)
    shell("run", "jobs.jsonl", *dynaspark(server))
    old = shell.lines()
    assert shell("run", "jobs.jsonl", "--fresh", *dynaspark(server)).code == 0
    assert len(server.requests) == 4
    assert shell.lines("jobs.superseded.jsonl") == old
    assert [row["id"] for row in shell.lines()] == ["j0", "j1"]


def test_the_command_to_go_on_does_not_begin_anew(shell):
    shell.jobs(1)
    with Server(key="right") as server:
        done = shell("run", "jobs.jsonl", "--fresh", *openai(server))
    assert done.code == 4
    assert "next: overnight run jobs.jsonl --provider openai" in done.err
    assert "--fresh" not in done.err


def test_a_dry_run_is_a_check(shell, server):
    shell.jobs(2)
    before = shell.files()
    done = shell("run", "jobs.jsonl", "-n", *dynaspark(server))
    assert done.code == 0
    assert "2 jobs: 2 new" in done.out
    assert (
        f"next: overnight run jobs.jsonl --provider dynaspark --base-url {server.url}" in done.out
    )
    assert server.requests == []
    assert shell.files() == before


# Manners


def test_quiet_is_silent_on_0_and_not_on_1(shell):
    shell.jobs(2)
    done = shell("run", "jobs.jsonl", "--provider", "fake", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    failing = {"id": "bad", "prompt": "x", "params": {"failures": ["rejected"]}}
    shell.write("jobs.jsonl", failing, {"id": "j0", "prompt": "prompt 0"})
    done = shell("run", "jobs.jsonl", "--provider", "fake", "-q")
    assert (done.code, done.out) == (1, "")
    assert "failed: rejected 1" in done.err
    assert str(shell.folder / "jobs.failed.jsonl") in done.err


def test_json_is_the_state_of_the_run_on_stdout(shell):
    shell.jobs(2)
    done = shell("run", "jobs.jsonl", "--provider", "fake", "--json")
    assert done.code == 0
    on_disk = json.loads((shell.folder / "jobs.run.json").read_text())
    assert done.json == on_disk
    assert (on_disk["jobs"], on_disk["answered"], on_disk["exit_code"]) == (2, 2, 0)


def test_the_summary_ends_with_the_command_to_type_next(shell):
    shell.jobs(2)
    done = shell("run", "jobs.jsonl", "--provider", "fake", "-o", "my out.jsonl")
    assert done.err.splitlines()[-1] == "next: overnight verify jobs.jsonl -o 'my out.jsonl'"


def test_python_m_batch_names_itself_in_what_to_type_next(shell):
    shell.jobs(2)
    program = (sys.executable, "-m", "batch")
    words = ("run", "jobs.jsonl", "--provider", "fake")
    limited = shell.process(*words, "--limit", "1", program=program)
    assert limited.err.endswith("next: python -m batch run jobs.jsonl --provider fake\n")
    assert "next: python -m batch verify jobs.jsonl" in shell.process(*words, program=program).err


def test_a_password_of_a_proxy_is_not_repeated(shell):
    shell.jobs(1)
    words = ("--provider", "fake", "--proxy", "http://me:hunter2@proxy.test:3128")
    done = shell("check", "jobs.jsonl", *words)
    assert "hunter2" not in done.out
    assert "http://me:…@proxy.test:3128" in done.out


def test_nobody_reading_stdout_is_no_error(shell):
    shell.jobs(1)
    line = f"{OVERNIGHT} run jobs.jsonl --provider fake --json -q | true; echo ${{PIPESTATUS[0]}}"
    done = shell.process("-c", line, program=("bash",))
    assert (done.out, done.err) == ("0\n", "")


# The prompt


def test_a_prompt_may_stand_in_a_file(shell):
    shell.write("jobs.jsonl", {"id": "a"})
    (shell.folder / "prompt.txt").write_bytes(b"\xef\xbb\xbfTwo\r\nlines \xe2\x98\x95.\r\n\r\n")
    assert shell("run", "jobs.jsonl", "--provider", "fake", "--prompt-file", "prompt.txt").code == 0
    assert shell.outputs() == {"a": "echo: Two\nlines ☕."}


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "not UTF-8")]
)
def test_a_prompt_file_that_cannot_be_used_is_told(shell, content, words):
    shell.jobs(1)
    if content is not None:
        (shell.folder / "prompt.txt").write_bytes(content)
    refused(shell("run", "jobs.jsonl", "--prompt-file", "prompt.txt"), "prompt.txt", words)


def test_a_prompt_and_a_prompt_file_of_one_place_are_refused(shell):
    shell.jobs(1)
    shell.write("prompt.txt", "x")
    done = shell("run", "jobs.jsonl", "-p", "x", "--prompt-file", "prompt.txt")
    refused(done, "two ways to give one thing")


def test_the_prompt_nearer_to_the_user_wins_be_it_text_or_file(shell, monkeypatch):
    shell.write("jobs.jsonl", {"id": "a"})
    shell.write("prompt.txt", "from the file")
    shell.write("overnight.toml", '[run]\nprompt = "from toml"')
    words = ("run", "jobs.jsonl", "--provider", "fake")
    shell(*words, "--prompt-file", "prompt.txt")
    assert shell.outputs() == {"a": "echo: from the file"}
    monkeypatch.setenv("OVERNIGHT_RUN_PROMPT_FILE", "prompt.txt")
    assert shell(*words, "-p", "typed").code == 0
    assert shell.outputs() == {"a": "echo: typed"}
    assert shell(*words).code == 0
    assert shell.outputs() == {"a": "echo: from the file"}


def test_line_beats_flag_beats_defaults_beats_environment_beats_file(shell, monkeypatch):
    words = ["run", "jobs.jsonl", "--provider", "fake"]
    shell.write("jobs.jsonl", {"id": "a"})

    def answer():
        assert shell(*words).code == 0
        return shell.outputs()["a"]

    shell.write("overnight.toml", '[run]\nprompt = "file"')
    assert answer() == "echo: file"
    monkeypatch.setenv("OVERNIGHT_RUN_PROMPT", "environment")
    assert answer() == "echo: environment"
    shell.write("jobs.jsonl", {"defaults": {"prompt": "defaults"}}, {"id": "a"})
    assert answer() == "echo: defaults"
    words += ["-p", "flag"]
    assert answer() == "echo: flag"
    shell.write("jobs.jsonl", {"defaults": {"prompt": "defaults"}}, {"id": "a", "prompt": "line"})
    assert answer() == "echo: line"


def test_the_environment_sets_options_and_says_so_when_it_is_wrong(shell, monkeypatch):
    shell.jobs(40)
    monkeypatch.setenv("OVERNIGHT_RUN_CONCURRENCY", "3")
    with Server(latency=0.002) as server:
        assert shell("run", "jobs.jsonl", *dynaspark(server)).code == 0
    assert server.peak == 3
    monkeypatch.setenv("OVERNIGHT_RUN_CONCURRENCY", "many")
    refused(shell("run", "jobs.jsonl"), "many", "comes from $OVERNIGHT_RUN_CONCURRENCY")


def test_a_timeout_of_nothing_is_refused(shell):
    shell.jobs(1)
    refused(shell("run", "jobs.jsonl", "--timeout", "0"), "--timeout", "no time at all")
    refused(shell("run", "jobs.jsonl", "--timeout", "soon"), "--timeout", "90s, 5m or 2h")
    refused(shell("run", "jobs.jsonl", "--max-line-bytes", "0"), "--max-line-bytes", "8MiB")


def test_a_full_stdout_ends_with_74(shell):
    shell.jobs(1)
    line = f"{OVERNIGHT} run jobs.jsonl --provider fake --json -q > /dev/full"
    done = shell.process("-c", line, program=("bash",))
    assert done.code == 74
    assert "cannot write to stdout" in done.err
    assert len(shell.lines()) == 1


def test_an_answer_that_cannot_be_read_is_told_and_not_recorded(shell):
    shell.jobs(1)
    with Server(faults=lambda _: Reply(b"<html>")) as server:
        done = shell("run", "jobs.jsonl", *openai(server, "--retries", "0"))
    assert done.code == 1
    assert shell.failures() == {"j0": "bad_response"}
    assert shell.lines() == []


@pytest.mark.parametrize("option", [("--base-url", "http://127.0.0.1:9"), ("--key-file", "key")])
def test_a_server_typed_without_its_provider_is_refused_before_it_replaces_answers(shell, option):
    shell.jobs(1)
    refused(shell("run", "jobs.jsonl", *option), "offline works on this machine", "--provider NAME")


def test_a_server_in_the_configuration_does_not_keep_offline_from_working(shell):
    shell.jobs(1)
    shell.write("overnight.toml", "[run]", 'base_url = "http://127.0.0.1:9"')
    assert shell("run", "jobs.jsonl").code == 1
