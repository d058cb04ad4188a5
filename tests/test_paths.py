"""Where each file of a run stands."""

import os

import pytest

from batch.errors import OutputError, UsageError
from batch.results.paths import Paths, check_output, default_results, shortest


@pytest.mark.parametrize(
    "name", ["night.results.jsonl", "night.jsonl", "night.results", "night"], ids=str
)
def test_every_file_is_named_after_the_stem(tmp_path, name):
    paths = Paths.beside(tmp_path / name)
    assert paths.results.name == name
    assert [
        path.name for path in (paths.failed, paths.superseded, paths.torn, paths.state, paths.lock)
    ] == [
        "night.failed.jsonl",
        "night.superseded.jsonl",
        "night.torn",
        "night.run.json",
        "night.lock",
    ]
    assert {path.parent for path in (paths.failed, paths.reserve, paths.spool)} == {tmp_path}


def test_the_results_stand_beside_the_source(tmp_path):
    photos = tmp_path / "photos.jsonl"  # a folder may be called so
    photos.mkdir()
    assert default_results(tmp_path / "night.jsonl") == tmp_path / "night.results.jsonl"
    assert default_results(photos) == tmp_path / "photos.jsonl.results.jsonl"
    with pytest.raises(UsageError, match="no name"):
        default_results(photos.parent.__class__("/"))


def test_a_link_stands_for_the_file_that_it_leads_to(tmp_path):
    target = tmp_path / "elsewhere" / "real.results.jsonl"
    target.parent.mkdir()
    for exists in (False, True):
        link = tmp_path / f"latest-{exists}.results.jsonl"
        link.symlink_to(target)
        assert Paths.beside(link) == Paths.beside(target)
        target.touch()


def test_a_folder_as_output_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        check_output(tmp_path)


def test_an_output_in_a_folder_that_does_not_exist_cannot_be_created(tmp_path):
    with pytest.raises(OutputError, match="create it first") as caught:
        check_output(tmp_path / "none" / "a.results.jsonl")
    assert caught.value.exit_code == 73


def test_pipes_devices_and_hard_links_are_no_output(tmp_path):
    pipe, one, two = tmp_path / "pipe", tmp_path / "one", tmp_path / "two"
    os.mkfifo(pipe)
    one.touch()
    two.hardlink_to(one)
    for path, words in ((pipe, "no regular file"), (two, "hard link")):
        with pytest.raises(OutputError, match=words) as caught:
            check_output(path)
        assert caught.value.exit_code == 73
    check_output(tmp_path / "new.results.jsonl")


def test_a_detour_is_taken_out_of_a_path_unless_it_leads_elsewhere(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    assert shortest(tmp_path / "a/../c.jsonl") == tmp_path / "c.jsonl"
    assert Paths.beside(tmp_path / "a/b/../c.jsonl").results == tmp_path / "a/c.jsonl"
    over = tmp_path / "link/../c.jsonl"  # the system means a/c.jsonl
    assert str(shortest(over)) == str(over)
