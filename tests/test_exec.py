"""`--provider exec:COMMAND`: a command of the user's answers."""

import errno
import json
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import pytest
from processes import PYTHON, children, is_gone, open_files, pid_in, wait_until

from batch.errors import Crowded, Halt, Rejected, UsageError
from batch.providers.exec import not_started, secrets_of
from batch.providers.registry import find_provider

LOOK = """
import json, os, stat, sys
from pathlib import Path
files = [Path(word) for word in sys.argv[1:]]
print(json.dumps({
    "asked": sys.stdin.read(),
    "here": os.getcwd(),
    "words": sys.argv[1:],
    "modes": [oct(stat.S_IMODE(each.stat().st_mode)) for f in files for each in (f, f.parent)],
    "heads": [each.read_bytes()[:4].hex() for each in files],
}))
"""
TWICE = """
import pathlib, sys
seen = pathlib.Path("seen")
if not seen.exists():
    seen.write_text("once")
    sys.exit("the model is still loading") if "--fail" in sys.argv else sys.exit(75)
print("at last")
"""


@pytest.fixture
def run(shell, monkeypatch):
    """A run by a command, whose temporary files are in a folder of the test."""
    (shell.folder / "home" / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(shell.folder / "home" / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)

    def run(command, *words, source="jobs.jsonl"):
        return shell("run", source, "--provider", f"exec:{command}", *words)

    return run


def python(shell, script, *words):
    """A command that runs a script."""
    (shell.folder / "home" / "script.py").write_text(script)
    return shlex.join([PYTHON, str(shell.folder / "home" / "script.py"), *words])


def left(shell):
    """The temporary files that are still there."""
    return list((shell.folder / "home" / "tmp").iterdir())


def failure(shell):
    """The one failure of the failed file."""
    [line] = shell.lines("jobs.failed.jsonl")
    return line["failure"]


def test_the_prompt_goes_to_stdin_and_stdout_is_the_answer(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "Grüße, 世界", "model": "m"})
    assert run("cat").code == 0
    [line] = shell.lines()
    told = [line[name] for name in ("output", "provider", "model", "source", "attempts", "media")]
    assert told == ["Grüße, 世界", "exec:cat", "cat", "command", 1, []]


@pytest.mark.parametrize(
    ("job", "asked"),
    [
        ({"prompt": "one\n"}, "one\n"),
        ({"prompt": "two", "system": "be brief"}, "be brief\n\ntwo"),
        ({"prompt": "nul \0 and \x1b"}, "nul \0 and \x1b"),
        (
            {
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "c"},
                ]
            },
            "be brief\n\nUser: a\nAssistant: b\nUser: c\nAssistant:",
        ),
    ],
)
def test_a_command_is_asked_in_plain_text_the_system_message_first(shell, run, job, asked):
    shell.write("jobs.jsonl", {"id": "a", **job})
    assert run(python(shell, LOOK)).code == 0
    assert json.loads(shell.outputs()["a"])["asked"] == asked


def test_a_command_may_open_its_stdin_and_stdout_by_name(shell, run):
    shell.jobs(1)
    assert run("sh -c 'cat /dev/stdin >/dev/stdout'").code == 0
    assert shell.outputs() == {"j0": "prompt 0"}


def test_an_image_is_a_private_file_that_is_gone_afterwards(shell, run):
    shell.picture("in.png")
    shell.write("jobs.jsonl", {"id": "a", "prompt": "what", "image": "in.png"})
    assert run(python(shell, LOOK, "{image}")).code == 0
    told = json.loads(shell.outputs()["a"])
    assert told["here"] == str(shell.folder)
    assert told["modes"] == ["0o600", "0o700"]
    assert told["heads"] == ["89504e47"]
    assert told["words"][0].endswith(".png")
    assert not Path(told["words"][0]).exists()
    assert left(shell) == []
    assert shell.lines()[0]["media"][0]["path"] == "in.png"


def test_several_images_are_several_words(shell, run):
    shell.picture("a b.png")
    shell.picture("c.png", "blue")
    shell.write(
        "jobs.jsonl",
        {"id": "two", "prompt": "compare", "images": ["a b.png", "c.png"]},
        {"id": "none", "prompt": "compare"},
    )
    assert run(python(shell, LOOK, "{images}")).code == 0
    told = {name: json.loads(text) for name, text in shell.outputs().items()}
    assert {name: len(each["heads"]) for name, each in told.items()} == {"two": 2, "none": 0}


def test_a_folder_of_images_needs_no_prompt(shell, run):
    shell.picture("photos/a.png")
    shell.picture("photos/b.png", "blue")
    assert run(python(shell, LOOK, "{image}"), source="photos").code == 0
    told = [json.loads(text) for text in shell.outputs("photos.results.jsonl").values()]
    assert [each["asked"] for each in told] == ["Describe this image."] * 2


def test_a_model_is_told_where_the_command_has_a_place_for_it(shell, run):
    shell.write(
        "jobs.jsonl", {"id": "a", "prompt": "x", "model": "a/b:c"}, {"id": "b", "prompt": "x"}
    )
    assert run("echo -m {model}", "-m", "small").code == 0
    assert shell.outputs() == {"a": "-m a/b:c", "b": "-m small"}
    assert [line["model"] for line in shell.lines()] == ["a/b:c", "small"]


@pytest.mark.parametrize(
    ("command", "job", "words"),
    [
        ("cat", {"image": "in.png"}, "the command has no {image} to put it in"),
        ("cat {image}", {}, "the command has {image} and the job has none"),
        ("cat {image}", {"images": ["in.png", "in.png"]}, "{image} takes one image a job"),
        ("cat", {"schema": {"type": "object"}}, "cannot follow a schema"),
        ("echo {model}", {}, "needs a model: add -m MODEL"),
        ("echo {model}", {"model": "--output=/etc/passwd"}, "is not put into a command"),
        ("sh -c 'echo {model}'", {"model": "x; touch hacked"}, "is not put into a command"),
    ],
)
def test_a_job_that_the_command_cannot_do_is_refused_before_anything_is_started(
    shell, run, command, job, words
):
    shell.picture("in.png")
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x", **job})
    before = set(shell.files())
    done = run(command)
    assert done.code == 2
    assert words in done.err
    assert set(shell.files()) == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-command-here {image}", "the command 'no-such-command-here' is not on the PATH"),
        ("./no/such", "the command './no/such' is no file that can be executed"),
        ("", "a command is missing: --provider 'exec:COMMAND'"),
        ("cat 'x", "cannot be split: No closing quotation"),
        ("{image}", "would let a job choose the program"),
    ],
)
@pytest.mark.parametrize("name", ["run", "check"])
def test_a_command_that_cannot_be_started_ends_with_2_before_the_run(shell, name, command, words):
    shell.jobs(2)
    before = set(shell.files())
    done = shell(name, "jobs.jsonl", "--provider", f"exec:{command}")
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert set(shell.files()) == before


def test_exec_without_a_command_says_how_it_is_written(shell):
    shell.jobs(1)
    done = shell("run", "jobs.jsonl", "--provider", "exec")
    assert done.code == 2
    assert "a command is missing: --provider 'exec:COMMAND'" in done.err


def test_no_job_file_names_a_command(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x", "provider": "exec:touch hacked"})
    assert shell("run", "jobs.jsonl").code == 2
    assert "hacked" not in shell.files()


def test_a_command_that_fails_is_told_with_the_last_line_of_its_complaint(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    script = """import sys
sys.stderr.write("first\\n 10%\\r 20%\\rno \\x1b[31mmodel\\n\\n  \\n"); sys.exit(3)"""
    assert run(python(shell, script)).code == 1
    told = failure(shell)
    assert told["message"] == "exit code 3: no \\x1b[31mmodel"
    assert (told["code"], told["attempts"], told["retryable"]) == ("command_failed", 1, False)


def test_a_long_complaint_is_cut(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run("sh -c 'printf %01000d 7 >&2; exit 1'").code == 1
    assert failure(shell)["message"] == ("exit code 1: " + "0" * 1000)[:500]


def test_a_command_that_a_signal_ended_is_told_so(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run("sh -c 'kill -9 $$'").code == 1
    assert failure(shell)["message"] == "ended by signal 9 (Killed)"


def test_a_failed_job_is_tried_again_only_when_that_is_asked_for(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    command = python(shell, TWICE, "--fail")
    assert run(command).code == 1
    assert "the model is still loading" in failure(shell)["message"]
    assert run(command).code == 1
    assert run(command, "--retry-failed", "all").code == 0
    assert shell.outputs() == {"a": "at last"}


def test_exit_code_75_asks_for_another_try(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run(python(shell, TWICE)).code == 0
    assert [(line["output"], line["attempts"]) for line in shell.lines()] == [("at last", 2)]


def test_exit_code_75_to_the_end_is_a_failure_that_the_next_run_tries_again(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    command = python(shell, TWICE)
    assert run(command, "--retries", "0").code == 1
    told = failure(shell)
    assert (told["code"], told["retryable"]) == ("command_failed", True)
    assert run(command).code == 0


def test_ten_equal_failures_and_no_answer_are_the_command_s_fault_not_the_jobs(shell, run):
    shell.jobs(30)
    done = run("sh -c 'echo no such model >&2; exit 2'", "-j", "1")
    assert done.code == 4
    assert "every request is refused the same way: exit code 2: no such model" in done.err
    assert "jobs.failed.jsonl" not in shell.files()


def test_a_command_that_has_nothing_to_say_fails_its_job_at_once(shell, run):
    shell.jobs(30)
    done = run("echo")
    assert done.code == 1
    assert "--retry-failed all  # after mending what failed" in done.err
    failures = [line["failure"] for line in shell.lines("jobs.failed.jsonl")]
    assert {(each["code"], each["attempts"]) for each in failures} == {("empty_output", 1)}
    assert len(failures) == 30


def test_what_is_not_utf_8_is_no_answer(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run(r"printf ab\\377").code == 1
    told = failure(shell)
    assert (told["code"], told["attempts"]) == ("bad_response", 1)
    assert told["message"] == "the output of the command is not UTF-8 (byte 3)"


def test_the_ends_of_the_last_line_and_page_are_no_part_of_the_answer(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run(r"printf '\n two\nlines \r\n\n\f'").code == 0
    assert shell.outputs() == {"a": "\n two\nlines "}


def test_a_larger_answer_than_is_taken_ends_the_command(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run("yes", "--max-response-bytes", "10k").code == 1
    told = failure(shell)
    assert (told["code"], told["attempts"]) == ("response_too_large", 1)
    assert "larger than 10240 bytes (--max-response-bytes)" in told["message"]
    assert children() == []


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    script = "sleep 1000 & echo $! >pid; wait"
    assert run(f"sh -c '{script}'", "--timeout", "0.3", "--retries", "0").code == 1
    told = failure(shell)
    assert (told["code"], told["retryable"]) == ("timeout", True)
    assert told["message"] == "no whole reply within 0.3 s"
    pid = pid_in(shell.folder / "pid")
    wait_until(lambda: is_gone(pid))


def test_the_second_ctrl_c_ends_the_commands_that_run(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    script = "sleep 1000 & echo $! >pid; wait"
    with shell.start("run", "jobs.jsonl", "--provider", f"exec:sh -c '{script}'") as process:
        pid = pid_in(shell.folder / "pid")
        process.send_signal(signal.SIGINT)
        next(line for line in process.stderr if "interrupted" in line)
        assert not is_gone(pid)
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    wait_until(lambda: is_gone(pid))
    assert "jobs.failed.jsonl" not in shell.files()


def test_a_killed_run_s_images_are_removed_by_the_next_one(shell, run):
    shell.picture("in.png")
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x", "image": "in.png"})
    command = "sh -c 'echo $$ >pid; test -e go || exec sleep 1000; echo {image}'"
    with shell.start("run", "jobs.jsonl", "--provider", f"exec:{command}") as process:
        pid = pid_in(shell.folder / "pid")
        assert len(left(shell)) == 1
        process.kill()
    os.kill(pid, signal.SIGKILL)
    assert len(left(shell)) == 1
    (shell.folder / "go").touch()
    assert run(command).code == 0
    assert left(shell) == []


def test_hundreds_of_jobs_leave_no_process_and_no_open_file_behind(shell, run):
    shell.jobs(200)
    assert run("cat", "-n").code == 0
    before = open_files()
    assert run("cat", "-j", "16").code == 0
    assert shell.outputs() == {f"j{n}": f"prompt {n}" for n in range(200)}
    assert children() == []
    assert open_files() == before


def test_a_command_is_told_no_key_of_a_provider(shell, run, monkeypatch):
    for name in ("OPENAI_API_KEY", "gemini_api_key", "CREDENTIALS_DIRECTORY", "HF_TOKEN"):
        monkeypatch.setenv(name, "value-of-it")
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run("env").code == 0
    told = {line.partition("=")[0] for line in shell.outputs()["a"].splitlines()}
    assert {"HF_TOKEN", "HOME", "PATH"} <= told
    assert not told & {"OPENAI_API_KEY", "gemini_api_key", "CREDENTIALS_DIRECTORY"}


def test_no_secret_of_the_environment_stands_in_a_failure(shell, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"})
    assert run("sh -c 'echo refused: $HF_TOKEN >&2; exit 1'").code == 1
    assert failure(shell)["message"] == "exit code 1: refused: [key]"


def test_short_values_and_those_of_plain_names_are_no_secrets():
    assert (
        secrets_of({"API_KEY": "EMPTY", "HOME": "/home/somebody", "KEYBOARD": "a-long-layout"})
        == ()
    )
    assert "0123456789" in secrets_of({"DB_PASSWORD": "0123456789"})


def test_another_command_is_another_answer_and_the_way_back_costs_nothing(shell, run):
    shell.jobs(2)
    assert run("cat").code == 0
    first = shell.outputs()
    assert run("echo again").code == 0
    assert set(shell.outputs().values()) == {"again"}
    assert run("cat").code == 0
    assert shell.outputs() == first
    assert "2 done" in shell("check", "jobs.jsonl", "--provider", "exec:cat").out
    assert shell("verify", "jobs.jsonl").code == 0


def test_what_was_answered_is_told_also_where_the_command_is_missing_now(shell, run):
    tool = shell.folder / "tool"
    tool.write_text("#!/bin/sh\ncat\n")
    tool.chmod(0o755)
    shell.jobs(2)
    assert run("./tool").code == 0
    tool.unlink()
    assert "2 of 2 jobs answered by exec:./tool" in shell("status", "jobs.jsonl").out
    assert shell("verify", "jobs.jsonl").code == 0


def test_a_command_that_vanishes_or_is_no_program_ends_the_run_and_fails_no_job(shell, run):
    tool = shell.folder / "tool"
    tool.write_bytes(b"\x7fELF and nothing more")
    tool.chmod(0o755)
    shell.jobs(3)
    done = run("./tool")
    assert done.code == 4
    assert "the command cannot be started: Exec format error" in done.err
    assert "jobs.failed.jsonl" not in shell.files()


def test_words_that_are_too_long_fail_their_job_alone(shell, run):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x", "model": "m" * 3_000_000})
    assert run("echo {model}").code == 1
    told = failure(shell)
    assert told["code"] == "command_failed"
    assert "Argument list too long" in told["message"]


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, Halt, "there is no room in .*: No space left on device"),
        (errno.ENOENT, Halt, "cannot be started: No such file or directory"),
        (errno.EMFILE, Crowded, "cannot be started: Too many open files"),
        (errno.E2BIG, Rejected, "cannot be started: Argument list too long"),
    ],
)
def test_what_the_machine_lacks_is_told_and_passes_or_ends_the_run(number, kind, words):
    told = not_started(OSError(number, os.strerror(number)))
    assert type(told) is kind
    assert re.search(words, str(told))


def test_a_command_may_stand_in_the_configuration(shell):
    shell.jobs(1)
    config = shell.folder / "overnight.toml"
    config.write_text("[run]\nprovider = '''exec:sed \"s/^/> /\"'''\n")
    done = shell("run", "jobs.jsonl")
    assert done.code == 2
    assert "is not taken from the folder you are in" in done.err
    assert shell("run", "jobs.jsonl", "--config", "overnight.toml").code == 0
    assert shell.outputs() == {"j0": "> prompt 0"}


def test_a_command_may_stand_in_the_user_s_own_configuration(shell):
    shell.jobs(1)
    shell.write("home/.config/overnight.toml")  # makes no folder below it
    own = shell.folder / "home/.config/overnight"
    own.mkdir()
    (own / "overnight.toml").write_text('[run]\nprovider = "exec:cat"\n')
    assert shell("run", "jobs.jsonl").code == 0


def test_a_command_can_be_the_fallback(shell, run):
    shell.jobs(3)
    done = run("./missing-at-once", "--fallback", "exec:tr a-z A-Z")
    assert done.code == 2
    tool = shell.folder / "tool"
    tool.write_bytes(b"\x7fELF and nothing more")
    tool.chmod(0o755)
    assert run("./tool", "--fallback", "exec:tr a-z A-Z").code == 0
    assert shell.outputs() == {f"j{n}": f"PROMPT {n}" for n in range(3)}
    assert {line["provider"] for line in shell.lines()} == {"exec:tr a-z A-Z"}
    assert {line["model"] for line in shell.lines()} == {"tr"}


def test_a_fallback_command_has_no_place_for_a_model(shell, run):
    shell.jobs(1)
    done = run("cat", "--fallback", "exec:echo {model}")
    assert done.code == 2
    assert "write the model in place of {model}" in done.err


@pytest.mark.parametrize("option", ["--base-url", "--key-file"])
def test_a_command_has_no_server_and_no_key(shell, run, option):
    shell.jobs(1)
    done = run("cat", option, "http://127.0.0.1:1")
    assert done.code == 2
    assert f"takes no {option}" in done.err


def test_what_a_command_takes_is_told(shell):
    facts = shell("providers", "exec:tesseract {image} -").out
    assert "exec:tesseract {image} -" in facts
    assert "1 a job" in facts


def test_the_command_to_type_next_can_be_typed(shell, run):
    shell.jobs(2)
    done = run("sed 's/^/a b/'", "--limit", "1")
    [line] = [line for line in done.err.splitlines() if line.startswith("next: ")]
    words = shlex.split(line.removeprefix("next: "))
    assert "exec:sed 's/^/a b/'" in words
    assert shell(*words[1:]).code == 0
    assert len(shell.outputs()) == 2


def test_the_commands_of_the_docs_run_as_they_stand(shell):
    page = (Path(__file__).parent.parent / "docs" / "exec.md").read_text("utf-8")
    recipes = [shlex.split(line) for line in page.splitlines() if line.startswith("overnight run")]
    assert len(recipes) == 2
    shell.picture("photos/a.png")
    shell.write("night.jsonl", {"id": "a", "prompt": "four words are these"})
    for words in recipes:
        if "tesseract" not in words[-1] or shutil.which("tesseract"):
            assert shell(*words[1:]).code == ("tesseract" in words[-1])
    assert shell.outputs("night.results.jsonl") == {"a": "4"}


async def test_a_command_answers_a_single_call_from_python():
    provider = find_provider("exec:tr a-z {model}")
    messages = [{"role": "user", "content": "loud"}]
    answers = provider.create_async_generator(model="A-Z", messages=messages)
    assert [answer async for answer in answers] == ["LOUD"]
    with pytest.raises(UsageError):
        find_provider("exec:")


async def test_a_lone_surrogate_in_a_prompt_is_no_trouble():
    messages = [{"role": "user", "content": "half \ud800"}]
    answers = find_provider("exec:cat").create_async_generator(model="", messages=messages)
    assert [answer async for answer in answers] == ["half \\ud800"]
