"""Help and usage: complete, quick, and with a next step in every refusal."""

import contextlib
import os
import re
import signal
import subprocess
import sys

import click
import pytest
from shell import OVERNIGHT

from batch import __version__
from batch.cli import COMMANDS, cli
from batch.settings import Settings

HEAVY = (
    "aiohttp PIL rich jinja2 uvloop msgspec tenacity aiofiles asyncio ssl importlib.metadata "
    "batch.settings batch.session batch.providers batch.results batch.sources"
).split()


@pytest.mark.parametrize("words", [["-h"], ["--help"]])
def test_help_lists_exactly_the_commands_that_exist(shell, words):
    done = shell(*words)
    assert (done.code, done.err) == (0, "")
    listed = done.out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (\w+)", listed, re.MULTILINE) == list(COMMANDS)
    named = "run caption check status verify report export providers".split()
    assert list(COMMANDS) == named


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_help_of_a_command_names_every_option_and_examples_before_them(shell, name, word):
    done = shell(name, word)
    assert (done.code, done.err) == (0, "")
    command = COMMANDS[name]
    shown = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    for option in shown:
        assert max(option.opts, key=len) in done.out
        assert option.help
        assert option.help.endswith((".", "]."))
    assert done.out.index("Examples:") < done.out.index("  -h, --help")
    assert done.out.splitlines()[0].startswith(f"Usage: overnight {name} ")


@pytest.mark.parametrize("name", ["run", "check", "status", "verify"])
def test_every_option_stands_in_one_section(name):
    command = COMMANDS[name]
    listed = [option.name for options in command.sections.values() for option in options]
    assert len(listed) == len(set(listed))
    shown = [p.name for p in command.params if isinstance(p, click.Option) and not p.hidden]
    assert sorted(listed) == sorted(shown)


@pytest.mark.parametrize("name", ["check", "status", "verify"])
def test_the_options_of_run_are_taken_by_every_command_that_looks_at_its_job(name):
    def options(command):
        return {p.name: (p.opts, p.default) for p in command.params if isinstance(p, click.Option)}

    assert options(COMMANDS["run"]).items() <= options(COMMANDS[name]).items()


def test_options_and_settings_have_the_same_defaults(shell):
    context = click.Context(COMMANDS["run"])
    settings = Settings(sources=("x",))
    known = {*Settings.__struct_fields__} - {"sources"}
    for option in COMMANDS["run"].params:
        if option.name in known and option.show_default:
            expected = getattr(settings, option.name)
            assert option.type_cast_value(context, option.get_default(context)) == expected


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["status", "-h"], ["--version"]])
def test_help_imports_nothing_heavy(words):
    code = (
        f"import sys; from batch.cli import main; main({words!r}); "
        f"sys.stderr.write(' '.join(n for n in {HEAVY!r} if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout


def test_without_a_command_the_help_is_shown(shell):
    done = shell()
    assert done.code == 2
    assert done.out == ""
    assert "Commands:" in done.err


def test_the_version_is_told(shell):
    assert shell("--version").out == f"overnight, version {__version__}\n"


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["rum", "x"], "run"),
        (["stats", "x"], "status"),
        (["run", "x", "--concurency", "4"], "--concurrency"),
        (["run", "x", "--retry-faild", "all"], "--retry-failed"),
        (["run", "x", "--if-locked", "waite"], "wait"),
        (["verify", "x", "--ouput", "y"], "--output"),
    ],
)
def test_an_unknown_word_is_told_with_the_nearest_one(shell, words, nearest):
    done = shell(*words)
    assert (done.code, done.out) == (2, "")
    assert nearest in done.err.splitlines()[-1]


def test_there_is_no_option_that_takes_a_key(shell):
    done = shell("run", "x", "--key", "sk-1")
    assert done.code == 2
    assert "--key-file" in done.err
    names = {opt for command in COMMANDS.values() for p in command.params for opt in p.opts}
    assert not names & {"--key", "--api-key", "--token"}


@pytest.mark.parametrize("name", ["run", "check", "status", "verify"])
def test_a_missing_source_is_a_usage_error(shell, name):
    done = shell(name)
    assert (done.code, done.out) == (2, "")
    assert "Missing argument 'SOURCE…'" in done.err
    assert f"Try 'overnight {name} --help' for help." in done.err


def test_what_was_typed_is_taken_from_the_words_and_not_from_the_process(shell, monkeypatch):
    shell.jobs(2)
    monkeypatch.setattr(sys, "argv", ["pytest", "--some", "flags"])
    done = shell("run", "jobs.jsonl", "--provider", "fake", "--limit", "1")
    assert done.err.splitlines()[-1] == "next: overnight run jobs.jsonl --provider fake"


def test_the_words_of_the_process_are_the_default(shell):
    done = shell.process("--version")
    assert (done.code, done.err) == (0, "")
    assert __version__ in done.out


def test_signals_are_listened_to_before_the_command_line_is_loaded(shell):
    code = "import batch.__main__, sys; print('click' in sys.modules, 'batch.cli' in sys.modules)"
    done = shell.process("-c", code, program=(sys.executable,))
    assert (done.out, done.err) == ("False False\n", "")


def ended_by(process, number):
    """The exit code after a signal, sent again should it come just before a wait begins."""
    for _ in range(4):
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(5)
    return None


def test_ctrl_c_ends_any_command_with_130(shell):
    shell.jobs(1)
    os.mkfifo(shell.folder / "prompt")
    with shell.start("check", "jobs.jsonl", "--prompt-file", "prompt") as process:
        with (shell.folder / "prompt").open("w"):  # opens when the other side reads
            assert ended_by(process, signal.SIGINT) == 130
        assert process.stderr.read() == "\n"


def test_sigterm_ends_any_command_with_143(shell):
    shell.jobs(1)
    os.mkfifo(shell.folder / "prompt")
    with shell.start("check", "jobs.jsonl", "--prompt-file", "prompt") as process:
        with (shell.folder / "prompt").open("w"):
            assert ended_by(process, signal.SIGTERM) == 143
        assert process.stderr.read() == ""


def test_a_bug_ends_with_70_and_its_traceback(shell):
    code = (
        "import batch.cli.providers as p; from batch.__main__ import main; "
        "p.provider_names = lambda: 1 / 0; main()"
    )
    done = shell.process("providers", program=(sys.executable, "-c", code))
    assert done.code == 70
    assert "ZeroDivisionError" in done.err
    assert done.err.splitlines()[-1].startswith("overnight: this is a bug of ours")


@pytest.mark.parametrize("words", [["--help"], ["providers"], ["run", "-h"]])
def test_nobody_reading_on_is_no_error(shell, words):
    line = f"{OVERNIGHT} {' '.join(words)} | true; echo ${{PIPESTATUS[0]}}"
    done = shell.process("-c", line, program=("bash",))
    assert done.err == ""
    assert done.out in ("0\n", "1\n")  # click's own answer is 1


def test_every_command_has_a_summary_for_the_list():
    context = click.Context(cli)
    for name in COMMANDS:
        summary = cli.get_command(context, name).get_short_help_str(100)
        assert summary.endswith(".")
        assert not summary.endswith("...")


def test_a_response_cap_that_could_not_be_read_back_is_refused(shell):
    done = shell("run", "x.jsonl", "--max-response-bytes", "33MiB")
    assert done.code == 2
    assert "32 MiB" in done.err
