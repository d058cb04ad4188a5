"""The job files that ship: each runs as it stands."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

JOBS = Path(__file__).parent.parent / "jobs"


@pytest.fixture
def jobs(tmp_path):
    return shutil.copytree(JOBS, tmp_path / "jobs")


def overnight(*words):
    command = [sys.executable, "-m", "batch", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", ["photos", "captions.jsonl"])
def test_every_picture_is_measured(jobs, name):
    done = overnight("run", jobs / name)
    assert done.returncode == 0, done.stderr
    results = lines(jobs / f"{name.removesuffix('.jsonl')}.results.jsonl")
    pictures = [path for path in (jobs / "photos").rglob("*") if path.suffix != ".md"]
    assert len(results) == len([path for path in pictures if path.is_file()])
    assert {result["source"] for result in results} == {"measured"}


def test_prompts_that_carry_a_text_are_extracted_and_the_others_fail_as_unsupported(jobs):
    done = overnight("run", jobs / "prompts.jsonl")
    assert done.returncode == 1, done.stderr
    results = lines(jobs / "prompts.results.jsonl")
    failed = lines(jobs / "prompts.failed.jsonl")
    assert len(results) >= 15
    assert len(results) + len(failed) == len(lines(jobs / "prompts.jsonl"))
    assert {result["source"] for result in results} == {"extracted"}
    assert {line["failure"]["code"] for line in failed} == {"unsupported"}


def test_a_failed_file_is_a_job_file(jobs):
    overnight("run", jobs / "prompts.jsonl")
    done = overnight("check", jobs / "prompts.failed.jsonl")
    assert done.returncode == 0, done.stderr


def test_the_prompts_are_forty_and_more_with_ids_of_their_own():
    prompts = lines(JOBS / "prompts.jsonl")
    assert len(prompts) >= 40
    assert len({line["id"] for line in prompts}) == len(prompts)


def test_the_photographs_hold_what_the_tests_of_images_need():
    exif = {}
    modes = set()
    for path in (JOBS / "photos").rglob("*"):
        if path.is_file() and path.suffix != ".md":
            with Image.open(path) as picture:
                exif[path.name] = picture.getexif()
                modes.add(picture.mode)
    assert any(each.get(0x0112) == 6 for each in exif.values())
    assert any(each.get_ifd(0x8825) for each in exif.values())
    assert "RGBA" in modes


def test_every_photograph_has_its_source_and_licence():
    sources = (JOBS / "photos" / "SOURCES.md").read_text("utf-8")
    for path in (JOBS / "photos").rglob("*"):
        if path.is_file() and path.name != "SOURCES.md":
            assert path.name in sources


def test_the_table_names_every_job_file():
    table = (JOBS / "README.md").read_text("utf-8")
    for path in JOBS.iterdir():
        if path.name != "README.md":
            assert path.name in table
