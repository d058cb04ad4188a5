"""What comes of a job: its lines in the results and the failed file."""

import json
import re

import pytest

from batch.errors import Rejected
from batch.outcomes import Flight, RunRules, failed_of, now
from batch.sources.parse import LineParser


def failed_line(root, folder, **fields):
    job = LineParser(str(root), {}, {}).parse(json.dumps({"prompt": "x", **fields}).encode())
    rules = RunRules("run", "fake", lambda model: model, failed_folder=str(folder))
    return failed_of(rules, Flight(job, None), "key", Rejected("no", "rejected")).line()


def test_a_failed_line_names_its_image_from_where_it_stands(tmp_path):
    line = failed_line(tmp_path / "photos", tmp_path, image="garden/a.png")
    assert (line["id"], line["image"]) == ("garden/a.png", "photos/garden/a.png")


def test_a_failed_line_beside_its_source_repeats_the_job_as_written(tmp_path):
    line = failed_line(tmp_path, tmp_path, images=["./a.png", "b.png"])
    assert line["images"] == ["./a.png", "b.png"]


def test_several_images_are_moved_one_by_one(tmp_path):
    line = failed_line(tmp_path / "a", tmp_path, images=["1.png", "../2.png", "https://host/3.png"])
    assert line["images"] == ["a/1.png", "../2.png", "https://host/3.png"]


@pytest.mark.parametrize("path", ["/etc/passwd", "~/a.png", "../a.png", "file:///a.png"])
def test_a_reference_that_was_refused_stays_as_it_was(tmp_path, path):
    assert failed_line(tmp_path / "photos", tmp_path, image=path)["image"] == path


def test_an_image_outside_the_failed_files_folder_stays_as_written(tmp_path):
    assert failed_line(tmp_path / "in", tmp_path / "out", image="a.png")["image"] == "a.png"


def test_a_moment_is_utc_with_milliseconds():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())
