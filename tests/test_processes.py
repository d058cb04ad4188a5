"""Commands are waited for so long and no longer, and are told no keys."""

import os
import signal
import subprocess
import tempfile
import time

import pytest
from processes import is_gone, pid_in, wait_until

from batch.processes import ended, is_alive, send, start, without_keys


@pytest.fixture
def shell(tmp_path):
    """Start a script in the folder of the test."""
    with tempfile.TemporaryFile() as typed, tempfile.TemporaryFile() as told:

        def call(script):
            return start(("/bin/sh", "-c", script), typed, os.environ, told, told, tmp_path)

        yield call


def test_a_command_that_ends_is_waited_for(shell, tmp_path):
    process = shell("echo done > here; exit 3")
    assert ended(process, 20)
    assert process.returncode == 3
    assert (tmp_path / "here").read_text() == "done\n"


def test_one_that_does_not_is_ended_with_all_that_it_started(shell, tmp_path):
    process = shell("sleep 60 & echo $! > inner; sleep 60")
    inner = pid_in(tmp_path / "inner")
    begun = time.monotonic()
    assert not ended(process, 0.1)
    assert time.monotonic() - begun < 10
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: is_gone(inner))


def test_what_a_command_left_running_ends_with_it(shell, tmp_path):
    process = shell("sleep 60 & echo $! > inner")
    inner = pid_in(tmp_path / "inner")
    assert ended(process, 20)
    wait_until(lambda: is_gone(inner))


def test_a_signal_to_one_that_is_gone_is_no_trouble(shell):
    process = shell("true")
    process.wait()
    send(process, signal.SIGTERM)
    assert not is_alive(process.pid)


def test_a_command_that_cannot_be_started_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        start(["/nowhere"], subprocess.DEVNULL, {}, subprocess.DEVNULL, subprocess.DEVNULL)


def test_keys_are_not_passed_on():
    told = {"PATH": "/bin", "OPENAI_API_KEY": "x", "my_api_key": "y", "CREDENTIALS_DIRECTORY": "z"}
    assert without_keys(told) == {"PATH": "/bin"}
