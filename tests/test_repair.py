"""Torn, damaged and outdated lines: whatever a crash left, the next run loads all and loses none.

Crashes are made with `fork`: a profiler in the child counts the calls that touch files, and the
child kills itself with -9 before the one that is asked for.
"""

import contextlib
import json
import os
import signal
import stat
import sys
import warnings

import pytest
from oracle import parsed
from samples import failed_line, key_of, line, mend, output

from batch.errors import OutputError
from batch.files import part_of
from batch.lines import Line
from batch.results.failed import forget_failures, settle_failures
from batch.results.index import Index
from batch.results.repair import clean_up, drop_lines, raw_pieces, repair_tails, set_aside

RECORDS = [line(f"id-{n}", f"answer {n} \u00e9\U0001f319", meta={"n": n}) for n in range(4)]
WHOLE = b"".join(RECORDS)
KEPT = b"".join(RECORDS[:2])


def files_after(work, call):
    """Do `work` in a child that is killed before its `call`-th call to files; whether it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads of other tests
        pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            sys.setprofile(killer(call))
            work()
        sys.setprofile(None)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def killer(call):
    """A profiler that kills the process before a call to files."""
    left = call

    def profile(frame, event, function):
        nonlocal left
        if event != "c_call":
            return
        owner = getattr(function, "__module__", None) or type(function.__self__).__module__
        if owner in ("posix", "_io"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return profile


def crashes(work, restore):
    """Crash before every call to files that `work` makes, each time from the restored state."""
    for call in range(1, 500):
        restore()
        if files_after(work, call):
            assert call > 5
            return
        yield call
    pytest.fail("the work does not end")


def ids_in(path):
    rows, broken = parsed(path)
    assert broken == []
    return [row["id"] for row in rows]


def write_all(folder, files):
    for path in folder.iterdir():
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)


def test_blocks_of_nul_in_the_middle_are_set_aside(tmp_path):
    damaged = b"\0" * 100 + RECORDS[1][100:]
    paths = output(tmp_path, RECORDS[0], damaged, RECORDS[2])
    mend(paths)
    assert paths.results.read_bytes() == RECORDS[0] + RECORDS[2]
    assert paths.torn.read_bytes() == damaged


def test_a_bad_line_in_the_middle_is_set_aside_as_it_stood(tmp_path):
    bad = b'{"id":"x","status":"ok","key":"0","output":"\xff"}\n'
    paths = output(tmp_path, RECORDS[0], bad, RECORDS[1])
    mend(paths)
    assert paths.results.read_bytes() == RECORDS[0] + RECORDS[1]
    assert paths.torn.read_bytes() == bad


def test_a_record_too_long_to_be_held_is_copied_with_every_byte(tmp_path):
    long = line("long", "x" * (3 << 20))
    paths = output(tmp_path, RECORDS[0], long, RECORDS[1])
    told = Line(len(RECORDS[0]), 2, None)
    assert b"".join(raw_pieces(paths.results, told)) == long


def test_of_a_doubled_id_the_last_answer_stays_and_the_first_is_superseded(tmp_path):
    newer = line("id-0", "newer")
    paths = output(tmp_path, RECORDS[0], RECORDS[1], newer)
    mend(paths)
    assert paths.results.read_bytes() == RECORDS[1] + newer
    assert paths.superseded.read_bytes() == RECORDS[0]


def test_a_sound_file_is_not_touched(tmp_path):
    paths = output(tmp_path, *RECORDS)
    before = paths.results.stat()
    mend(paths)
    after = paths.results.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in tmp_path.iterdir()] == [paths.results.name]


def test_an_edited_job_moves_its_answer_and_new_files_are_private(tmp_path):
    paths = output(tmp_path, *RECORDS)
    paths.results.chmod(0o640)
    mend(paths, changed=["id-1", "id-3"])
    assert ids_in(paths.results) == ["id-0", "id-2"]
    assert paths.superseded.read_bytes() == RECORDS[1] + RECORDS[3]
    assert stat.S_IMODE(paths.results.stat().st_mode) == 0o640
    assert stat.S_IMODE(paths.superseded.stat().st_mode) == 0o600


def test_a_file_that_changed_while_it_was_counted_is_not_replaced(tmp_path):
    paths = output(tmp_path, *RECORDS)
    with pytest.raises(OutputError, match="1 lines would have gone instead of 2"):
        drop_lines(paths.results, {0, 7})
    assert paths.results.read_bytes() == WHOLE
    assert not part_of(paths.results).exists()


def test_a_torn_tail_is_mended_in_every_file_that_is_appended_to(tmp_path):
    paths = output(tmp_path, RECORDS[0], RECORDS[1][:30])
    paths.failed.write_bytes(failed_line("f") + failed_line("g")[:40])
    paths.superseded.write_bytes(line("s") + line("t")[:-1])
    assert repair_tails(paths) == 2
    assert paths.results.read_bytes() == RECORDS[0]
    assert paths.failed.read_bytes() == failed_line("f")
    assert paths.superseded.read_bytes() == line("s") + line("t")
    assert paths.torn.read_bytes() == RECORDS[1][:30] + b"\n" + failed_line("g")[:40] + b"\n"
    assert repair_tails(paths) == 0


def test_what_a_killed_run_left_behind_is_cleaned_up(tmp_path):
    paths = output(tmp_path, *RECORDS)
    for path in (paths.results, paths.failed, paths.state):
        part_of(path).write_bytes(b"half")
    paths.reserve.write_bytes(b"\0" * 100)
    clean_up(paths)
    assert [path.name for path in tmp_path.iterdir()] == [paths.results.name]


def test_a_rewrite_that_meets_a_full_disk_leaves_the_file_and_no_litter(tmp_path):
    paths = output(tmp_path, *RECORDS)
    os.mkfifo(part_of(paths.results))  # whatever stands under the name of the copy goes away
    mend(paths, changed=["id-0"])
    assert ids_in(paths.results) == ["id-1", "id-2", "id-3"]
    part_of(paths.results).mkdir()
    with pytest.raises(OSError, match="directory"):
        mend(paths, changed=["id-1"])
    assert ids_in(paths.results) == ["id-1", "id-2", "id-3"]


def test_a_crash_before_any_call_of_superseding_loses_and_doubles_no_answer(tmp_path):
    paths = output(tmp_path)
    files = {paths.results: WHOLE + RECORDS[0][:99], paths.superseded: line("old")[:-9]}
    every = {"id-0", "id-1", "id-2", "id-3"}
    points = []
    for point in crashes(
        lambda: mend(paths, changed=["id-1", "id-2"]), lambda: write_all(tmp_path, files)
    ):
        whole = paths.results.read_bytes()
        now = [json.loads(each)["id"] for each in whole[: whole.rfind(b"\n") + 1].splitlines()]
        assert len(now) == len(set(now))
        clean_up(paths)
        mend(paths, changed=["id-1", "id-2"])
        assert ids_in(paths.results) == ["id-0", "id-3"]
        assert set(ids_in(paths.superseded)) >= {"id-1", "id-2"}
        assert set(ids_in(paths.results) + ids_in(paths.superseded)) == every
        assert line("old")[:-9] in paths.torn.read_bytes()
        assert not list(tmp_path.glob(".*"))
        points.append(point)
    assert len(points) > 20


def test_a_crash_before_any_call_of_settling_keeps_the_word_of_every_open_failure(tmp_path):
    paths = output(tmp_path)
    files = {
        paths.results: RECORDS[0] + RECORDS[1],
        paths.failed: b"".join(
            [
                failed_line("id-0"),
                failed_line("x"),
                failed_line("id-1"),
                failed_line("x", "timeout"),
            ]
        ),
    }
    for _ in crashes(
        lambda: settle_failures(paths, len(RECORDS[0])), lambda: write_all(tmp_path, files)
    ):
        rows, broken = parsed(paths.failed)
        assert broken == []
        assert {"id-0", "x"} <= {row["id"] for row in rows}
        clean_up(paths)
        settle_failures(paths, len(RECORDS[0]))
        assert paths.failed.read_bytes() == failed_line("id-0") + failed_line("x", "timeout")
        assert not list(tmp_path.glob(".*"))


def test_a_crash_before_any_call_of_forgetting_keeps_every_open_failure(tmp_path):
    paths = output(tmp_path)
    files = {
        paths.failed: failed_line("a") + b"damage\n" + failed_line("b") + failed_line("c")[:-1]
    }

    def work():
        repair_tails(paths)
        forget_failures(paths, {hash("a")})

    for _ in crashes(work, lambda: write_all(tmp_path, files)):
        clean_up(paths)
        work()
        assert ids_in(paths.failed) == ["b", "c"]
        assert b"damage\n" in paths.torn.read_bytes()


def test_superseding_names_answers_by_their_place_so_that_equal_ids_cannot_mislead(tmp_path):
    paths = output(tmp_path, *RECORDS)
    index = Index.scan(paths.results)
    set_aside(paths, index, [index.offset("id-2")])
    assert ids_in(paths.results) == ["id-0", "id-1", "id-3"]
    assert key_of("id-2") in paths.superseded.read_text()
