"""A file that only grows by whole lines, on disks that fill up and names that go away."""

import errno
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from processes import lead_to_nothing
from samples import small_files

from batch.errors import OutputError
from batch.results.append import RESERVE, AppendFile, Reserve


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.jsonl"


@pytest.fixture
def file(path):
    opened = AppendFile(path)
    yield opened
    opened.close()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_can_be_read_by_its_owner_alone(file, path):
    assert mode(path) == 0o600


def test_the_mode_of_a_file_that_stands_already_is_kept(path):
    path.touch(0o640)
    path.chmod(0o640)
    AppendFile(path).close()
    assert mode(path) == 0o640


def test_lines_follow_what_stands_already(path):
    path.write_bytes(b"1\n")
    file = AppendFile(path)
    file.append(b"2\n")
    file.append(b"3\n")
    file.close()
    assert file.began == 2
    assert path.read_bytes() == b"1\n2\n3\n"


def test_a_line_is_in_the_file_when_append_returns(file, path):
    for n in range(50):
        file.append(b"%d\n" % n)
        assert path.read_bytes().endswith(b"\n%d\n" % n if n else b"0\n")


def test_a_line_is_written_by_one_call(tmp_path):
    script = (
        "from pathlib import Path; from batch.results.append import AppendFile\n"
        f"file = AppendFile(Path({str(tmp_path / 'a')!r}))\n"
        "for n in range(5): file.append(b'line %d ' % n + b'x' * 9000 + b'\\n')"
    )
    trace = ["strace", "-f", "-qq", "-e", "trace=write", "-s", "12", "-o", tmp_path / "calls"]
    try:
        subprocess.run([*trace, sys.executable, "-c", script], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be traced here")
    calls = re.findall(r"write\(.*line (\d) x.*= (\d+)", (tmp_path / "calls").read_text())
    assert calls == [(str(n), "9008") for n in range(5)]


def test_a_short_write_is_cut_back_and_the_next_line_that_fits_follows_whole(file, path):
    with small_files(1000):
        file.append(b"a" * 899 + b"\n")
        with pytest.raises(OSError, match="No space left") as caught:
            file.append(b"b" * 299 + b"\n")
        assert caught.value.errno == errno.ENOSPC
        assert path.read_bytes() == b"a" * 899 + b"\n"
        file.append(b"c" * 98 + b"\n")
        with pytest.raises(OSError, match="No space left"):
            file.append(b"dd\n")
        with pytest.raises(OSError, match="File too large"):
            [file.append(b"\n") for _ in range(5)]
        assert path.read_bytes().startswith(b"a" * 899 + b"\n" + b"c" * 98 + b"\n")
        assert b"d" not in path.read_bytes()


def test_what_another_program_appended_survives_a_short_write(file, path):
    with small_files(1000):
        file.append(b"ours\n")
        with path.open("ab") as other:
            other.write(b"theirs\n")
        with pytest.raises(OSError, match="No space left"):
            file.append(b"b" * 2000 + b"\n")
        assert path.read_bytes() == b"ours\ntheirs\n"


def test_syncing_while_lines_are_appended_finds_no_fault(file):
    over = threading.Event()
    errors = []

    def sync_all_the_time():
        while not over.is_set():
            try:
                file.sync()
            except OSError as error:
                errors.append(error)

    thread = threading.Thread(target=sync_all_the_time)
    thread.start()
    for n in range(20_000):
        file.append(b"%d\n" % n)
    over.set()
    thread.join()
    assert errors == []


def test_a_file_that_was_removed_is_noticed_and_put_back_with_every_line(file, path):
    file.append(b"1\n")
    path.unlink()
    file.append(b"2\n")
    with pytest.raises(OSError, match="removed or replaced"):
        file.sync()
    assert file.put_back() == path
    assert path.read_bytes() == b"1\n2\n"
    assert mode(path) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_that_was_replaced_is_saved_beside_the_other_which_stays(file, path):
    file.append(b"1\n")
    path.unlink()
    path.write_bytes(b"other")
    with pytest.raises(OSError, match="removed or replaced"):
        file.sync()
    saved = file.put_back()
    assert saved.parent == path.parent
    assert saved.read_bytes() == b"1\n"
    assert path.read_bytes() == b"other"
    assert not list(path.parent.glob(".*"))


def test_a_file_that_was_moved_away_is_noticed_and_needs_no_saving(file, path):
    file.append(b"1\n")
    path.rename(path.with_suffix(".1"))
    with pytest.raises(OSError, match="removed or replaced"):
        file.sync()
    assert file.put_back() is None
    assert not path.exists()


def test_a_file_that_was_cut_by_another_program_is_noticed(file, path):
    file.append(b"1\n")
    os.truncate(path, 0)
    with pytest.raises(OSError, match="cut by another program"):
        file.sync()


def test_a_sync_that_failed_fails_for_ever_and_asks_the_disk_no_more(path):
    file = AppendFile(path)
    lead_to_nothing(path)
    with pytest.raises(OSError, match="Invalid argument") as first:
        file.sync()
    with pytest.raises(OSError, match="Invalid argument") as again:
        file.sync()
    assert again.value is first.value
    file.close()


def test_a_file_that_cannot_be_made_ends_with_73(tmp_path):
    with pytest.raises(OutputError, match="cannot create") as caught:
        AppendFile(tmp_path / "missing" / "a.jsonl")
    assert caught.value.exit_code == 73


def test_the_reserve_holds_real_blocks_until_it_is_released_once(path):
    reserve = Reserve(path)
    assert path.stat().st_size == RESERVE
    assert path.stat().st_blocks * 512 >= RESERVE
    assert mode(path) == 0o600
    assert reserve.release()
    assert not path.exists()
    assert not reserve.release()


def test_a_disk_without_room_for_the_reserve_ends_with_74_before_anything_is_sent(path):
    with small_files(1000):
        with pytest.raises(OutputError, match="nothing was sent") as caught:
            Reserve(path)
        assert caught.value.exit_code == 74
        assert not path.exists()


def test_a_file_system_without_reserving_goes_without():
    assert not Reserve(Path("/proc/self/reserve")).release()
