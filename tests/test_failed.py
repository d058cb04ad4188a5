"""The failed file: a line stays until its job is settled, and then it goes."""

import json
import stat

from samples import failed_line, line, output

from batch.results.failed import forget_failures, settle_failures


def names(path):
    return [json.loads(each)["id"] for each in path.read_bytes().splitlines()]


def test_without_a_failed_file_there_is_nothing_to_do(tmp_path):
    paths = output(tmp_path)
    forget_failures(paths, {1})
    settle_failures(paths, 0)
    assert list(tmp_path.iterdir()) == []


def test_lines_of_answered_jobs_go_and_the_others_keep_their_bytes_and_mode(tmp_path):
    paths = output(tmp_path)
    paths.failed.write_bytes(failed_line("a") + failed_line("b") + failed_line("c"))
    paths.failed.chmod(0o640)
    forget_failures(paths, {hash("b"), hash("no failure")})
    assert paths.failed.read_bytes() == failed_line("a") + failed_line("c")
    assert stat.S_IMODE(paths.failed.stat().st_mode) == 0o640


def test_a_file_with_nothing_out_of_date_is_not_rewritten(tmp_path):
    paths = output(tmp_path)
    paths.failed.write_bytes(failed_line("a"))
    before = paths.failed.stat()
    forget_failures(paths, {hash("b")})
    settle_failures(paths, 0)
    after = paths.failed.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_would_be_empty_is_removed(tmp_path):
    paths = output(tmp_path, line("a"))
    for end in (lambda: forget_failures(paths, {hash("a")}), lambda: settle_failures(paths, 0)):
        paths.failed.write_bytes(failed_line("a"))
        end()
        assert not paths.failed.exists()


def test_lines_of_bad_job_lines_go_because_they_are_met_again(tmp_path):
    paths = output(tmp_path)
    paths.failed.write_bytes(failed_line("line-3", "bad_job") + failed_line("a"))
    forget_failures(paths, set())
    assert names(paths.failed) == ["a"]


def test_damaged_lines_move_to_the_torn_file(tmp_path):
    paths = output(tmp_path)
    paths.failed.write_bytes(b'{"id":\n' + failed_line("a") + b"\xff\n")
    forget_failures(paths, set())
    assert names(paths.failed) == ["a"]
    assert paths.torn.read_bytes() == b'{"id":\n\xff\n'


def test_of_a_job_that_failed_again_the_newer_line_stays(tmp_path):
    paths = output(tmp_path, line("x"))
    for end in (lambda: forget_failures(paths, set()), lambda: settle_failures(paths, 0)):
        paths.failed.write_bytes(
            failed_line("a") + failed_line("b") + failed_line("a", "timeout", message="newer")
        )
        end()
        assert names(paths.failed) == ["b", "a"]
        assert b"newer" in paths.failed.read_bytes()


def test_only_answers_of_this_run_settle_a_failure(tmp_path):
    paths = output(tmp_path, line("earlier"), line("now"))
    paths.failed.write_bytes(failed_line("earlier") + failed_line("now"))
    settle_failures(paths, len(line("earlier")))
    assert names(paths.failed) == ["earlier"]
