"""Answers that were set aside come back when their job is again what it was."""

import json
import os

from samples import key_of, line, output

from batch.results.archive import Archive, take_back
from batch.results.repair import append_synced


def ids(path):
    return [json.loads(row)["id"] for row in path.read_text("utf-8").splitlines()]


def test_an_archive_knows_an_answer_by_id_and_key(tmp_path):
    paths = output(tmp_path)
    append_synced(paths.superseded, [line("a", key=key_of("1")), line("a", key=key_of("2"))])
    archive = Archive.scan(paths.superseded)
    assert (len(archive), archive.holds("a"), archive.holds("b")) == (2, True, False)
    assert archive.offset("a", key_of("1")) == 0
    assert archive.offset("a", key_of("3")) is None


def test_answers_that_are_damaged_or_older_than_a_moment_are_passed_over(tmp_path):
    paths = output(tmp_path)
    old = line("old", finished_at="2026-01-01T00:00:00.000Z")
    lost = line("lost", finished_at="2026-01-03T00:00:00.000Z").replace(b'"output"', b'"outpt"')
    append_synced(paths.superseded, [old, lost, line("new")])
    archive = Archive.scan(paths.superseded, "2026-01-02T00:00:00.000Z")
    assert [name for name in ("old", "lost", "new") if archive.holds(name)] == ["new"]
    assert Archive.scan(paths.superseded).holds("old")


def test_what_is_taken_back_leaves_the_superseded_file(tmp_path):
    paths = output(tmp_path, line("b"))
    append_synced(paths.superseded, [line("a", key=key_of("1")), line("c", key=key_of("2"))])
    take_back(paths, {0})
    assert ids(paths.results) == ["b", "a"]
    assert ids(paths.superseded) == ["c"]


def test_a_superseded_file_that_is_empty_goes(tmp_path):
    paths = output(tmp_path)
    append_synced(paths.superseded, [line("a")])
    take_back(paths, {0})
    assert not paths.superseded.exists()


def test_going_back_to_an_earlier_prompt_or_model_sends_nothing(shell, server):
    jobs = shell.jobs(3)
    words = ("run", jobs, "--provider", "openai", "--base-url", server.url, "-q")
    assert shell(*words, "-m", "right").code == 0
    results = jobs.with_name("jobs.results.jsonl")
    first = sorted(results.read_text("utf-8").splitlines())
    assert shell(*words, "-m", "wrong").code == 0
    assert len(server.requests) == 6
    assert shell(*words, "-m", "right").code == 0
    assert len(server.requests) == 6
    assert sorted(results.read_text("utf-8").splitlines()) == first
    assert shell("verify", jobs).code == 0


def test_a_forgotten_flag_costs_nothing_once_it_is_remembered(shell, server):
    jobs = shell.jobs(3)
    asked = ("run", jobs, "--provider", "openai", "--base-url", server.url, "-m", "m")
    assert shell(*asked).code == 0
    assert shell("run", jobs).code == 1
    done = shell(*asked)
    assert done.code == 0
    assert "3 of them taken back from earlier" in done.err
    assert len(server.requests) == 3
    assert not jobs.with_name("jobs.failed.jsonl").exists()


def test_an_image_that_is_what_it_was_is_not_paid_again(shell, server):
    picture = shell.picture("a.png", "red")
    before = picture.read_bytes()
    jobs = shell.write("jobs.jsonl", {"id": "a", "prompt": "x", "image": "a.png"})
    words = ("run", jobs, "--provider", "dynaspark", "--base-url", server.url, "-q")
    assert shell(*words).code == 0
    shell.picture("a.png", "blue")
    assert shell(*words).code == 0
    picture.write_bytes(before)
    os.utime(picture, ns=(1, 1))
    assert shell(*words).code == 0
    assert len(server.requests) == 2
    assert len(ids(jobs.with_name("jobs.superseded.jsonl"))) == 1


def test_fresh_takes_nothing_back(shell, server):
    jobs = shell.jobs(2)
    words = ("run", jobs, "--provider", "openai", "--base-url", server.url, "-m", "m", "-q")
    assert shell(*words).code == 0
    assert shell(*words, "--fresh").code == 0
    assert len(server.requests) == 4
