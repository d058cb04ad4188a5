"""One writer an output."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batch.errors import Locked, OutputError
from batch.results.lock import Lock, holder, is_locked, lock_facts

HOLD = """
import sys
from pathlib import Path
from batch.results.lock import Lock
Lock(Path(sys.argv[1])).acquire({"pid": 4711, "host": "elsewhere", "started_at": "midnight"})
print("held", flush=True)
sys.stdin.read()
"""
LOOK = """
import sys
from pathlib import Path
from batch.results.lock import is_locked
print("looking", flush=True)
while True:
    is_locked(Path(sys.argv[1]))
"""
ME = {"pid": os.getpid(), "host": "here", "started_at": "now"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "night.lock"


@contextlib.contextmanager
def held(path):
    """Another process that holds the lock."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLD, path], **pipes) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_that_is_taken_is_refused_with_its_holder(path):
    with held(path), pytest.raises(Locked, match="pid 4711 on elsewhere, since midnight") as caught:
        Lock(path).acquire(ME)
    assert caught.value.exit_code == 75
    assert lock_facts(path)["pid"] == 4711


def test_after_kill_9_of_its_holder_a_lock_is_free_at_once(path):
    lock = Lock(path)
    with held(path) as process:
        inode = path.stat().st_ino
        assert is_locked(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        lock.acquire(ME)
    assert lock.held
    assert path.stat().st_ino == inode
    lock.release()


def test_the_lock_file_stays_when_the_lock_is_released(path):
    lock = Lock(path)
    lock.acquire(ME)
    inode = path.stat().st_ino
    lock.release()
    lock.release()
    assert not lock.held
    assert path.stat().st_ino == inode
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_locks_of_one_process_exclude_each_other(path):
    first, second = Lock(path), Lock(path)
    first.acquire(ME)
    with pytest.raises(Locked):
        second.acquire(ME)
    first.release()
    second.acquire(ME)
    second.release()


def test_looking_whether_it_is_locked_never_keeps_a_run_from_starting(path):
    path.touch()
    with subprocess.Popen([sys.executable, "-c", LOOK, path], stdout=subprocess.PIPE) as looker:
        assert looker.stdout.readline() == b"looking\n"
        try:
            end = time.monotonic() + 1.0  # some 2,000 looks meet in that time
            while time.monotonic() < end:
                lock = Lock(path)
                lock.acquire(ME)
                lock.release()
        finally:
            looker.kill()


def test_taking_the_lock_keeps_what_the_last_run_told_and_says_who_holds_it(path):
    lock = Lock(path)
    lock.acquire({"pid": 1})
    lock.tell({"pid": 1, "provider": "openai", "flags": {"prompt": "p" * 500}})
    lock.release()
    lock.acquire(ME)
    assert lock_facts(path) == {**ME, "provider": "openai", "flags": {"prompt": "p" * 500}}
    lock.tell({"pid": 2})
    assert path.read_bytes() == b'{"pid":2}\n'
    lock.release()


@pytest.mark.parametrize("content", [b"", b"\0\0", b"[1]\n", b"\xff", b"{"])
def test_facts_that_cannot_be_read_are_none(path, content):
    path.write_bytes(content)
    assert lock_facts(path) == {}
    assert holder(path) == f"another run is using this output ({path})"


def test_the_rest_of_longer_facts_that_a_crash_left_is_passed_over(path):
    path.write_bytes(b'{"pid":2}\ntold by the last run"}\n')
    assert lock_facts(path) == {"pid": 2}


def test_a_lock_that_does_not_exist_is_free_and_looking_makes_no_file(path):
    assert not is_locked(path)
    assert not path.exists()


def test_a_lock_that_cannot_be_made_ends_with_73(path):
    with pytest.raises(OutputError, match="cannot create") as caught:
        Lock(path / "below").acquire(ME)
    assert caught.value.exit_code == 73


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder where nobody may write")
def test_a_folder_that_is_not_ours_is_told_with_the_way_out():
    with pytest.raises(OutputError) as caught:
        Lock(Path("/sys/photos.lock")).acquire(ME)
    assert str(caught.value).endswith(": -o FILE writes elsewhere")


def test_a_child_process_does_not_inherit_the_lock(path):
    lock = Lock(path)
    lock.acquire(ME)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        assert not is_locked(path)
