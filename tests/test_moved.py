"""Pictures that were renamed, moved, touched, edited, added and deleted between two runs."""

import json
import os

import pytest
from server import Server

ASKED = ("-p", "Describe it.", "--provider", "openai", "-m", "m")


def lines(shell, name="photos.results.jsonl"):
    texts = (shell.folder / name).read_text().splitlines()
    return {line["id"]: line for line in map(json.loads, texts)}


def coloured(number):
    """A colour of its own for each number."""
    return f"#{(number * 2654435761) & 0xFFFFFF:06x}"


@pytest.fixture
def photos(shell):
    for number in range(40):
        shell.picture(f"photos/garden/{number}.png", coloured(number))
    return shell


def asked(shell, source, *more):
    with Server() as server:
        done = shell("run", source, *ASKED, "--base-url", server.url, *more)
    return done, server.arrived


def test_a_folder_that_was_renamed_touched_edited_and_filled_asks_only_for_what_is_new(photos):
    done, requests = asked(photos, "photos")
    assert (done.code, requests) == (0, 40)
    before = lines(photos)
    garden = photos.folder / "photos" / "garden"
    garden = garden.rename(garden.with_name("holiday in spring"))
    for number in range(10):
        os.utime(garden / f"{number}.png", (1, 1))
    photos.picture(f"photos/{garden.name}/20.png", "#ffffff")
    for number in range(100, 110):
        photos.picture(f"photos/{garden.name}/{number}.png", coloured(number))
    for number in range(30, 35):
        (garden / f"{number}.png").unlink()
    check = photos("check", "photos", *ASKED, "--base-url", "http://127.0.0.1:9", "--json").json
    assert (check["jobs"], check["done"]) == (45, 34)
    done, requests = asked(photos, "photos")
    assert (done.code, requests) == (0, 11)
    assert "34 of them carried over to a picture's new name" in done.err
    after = lines(photos)
    for number in {*range(30), *range(35, 40)} - {20}:
        old, new = before[f"garden/{number}.png"], after[f"{garden.name}/{number}.png"]
        path = f"{garden.name}/{number}.png"
        stat = (garden / f"{number}.png").stat()
        media = {"path": path, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        assert new["media"] == [media | {"sha256": old["media"][0]["sha256"]}]
        assert {**new, "id": old["id"], "media": old["media"]} == old
    assert photos("verify", "photos", "-q").code == 0
    done, requests = asked(photos, "photos")
    assert (done.code, requests) == (0, 0)


def test_another_prompt_carries_nothing_over(photos):
    asked(photos, "photos")
    garden = photos.folder / "photos" / "garden"
    garden.rename(garden.with_name("hall"))
    with Server() as server:
        words = ("--provider", "openai", "-m", "m", "--base-url", server.url)
        done = photos("run", "photos", "-p", "Describe it at length.", *words)
    assert (done.code, server.arrived) == (0, 40)
    assert "carried over" not in done.err


def test_fresh_carries_nothing_over(photos):
    asked(photos, "photos")
    (photos.folder / "photos/garden/0.png").rename(photos.folder / "photos/garden/zero.png")
    _, requests = asked(photos, "photos", "--fresh")
    assert requests == 40


def test_a_copy_of_a_picture_that_is_still_there_is_asked_for(photos):
    asked(photos, "photos")
    (photos.folder / "photos/copy.png").write_bytes(
        (photos.folder / "photos/garden/0.png").read_bytes()
    )
    _, requests = asked(photos, "photos")
    assert requests == 1


def test_looking_writes_nothing(photos):
    asked(photos, "photos")
    garden = photos.folder / "photos" / "garden"
    garden.rename(garden.with_name("hall"))
    before = (photos.folder / "photos.results.jsonl").read_bytes()
    photos("check", "photos", *ASKED, "--base-url", "http://127.0.0.1:9")
    photos("status", "photos")
    assert (photos.folder / "photos.results.jsonl").read_bytes() == before


def test_an_edited_picture_beside_a_renamed_one_mixes_up_nothing(photos):
    """The edited one's old answer leaves the results before the other goes over to its name."""
    done, _ = asked(photos, "photos")
    before = lines(photos)
    garden = photos.folder / "photos" / "garden"
    photos.picture("photos/garden/0.png", "#ffffff")
    for number in range(20, 40):
        (garden / f"{number}.png").rename(garden / f"new {number}.png")
    done, requests = asked(photos, "photos")
    assert (done.code, requests) == (0, 1)
    after = lines(photos)
    for number in range(20, 40):
        old, new = before[f"garden/{number}.png"], after[f"garden/new {number}.png"]
        assert (new["key"], new["output"]) == (old["key"], old["output"])
    assert photos("verify", "photos", "-q").code == 0
    assert asked(photos, "photos")[1] == 0


def test_a_failed_or_edited_picture_that_equals_an_answered_one_is_counted_once(photos):
    garden = photos.folder / "photos" / "garden"
    asked(photos, "photos")
    (garden / "1.png").write_bytes((garden / "2.png").read_bytes())
    done, _ = asked(photos, "photos", "--dedupe")
    assert done.code == 0
    results = (photos.folder / "photos.results.jsonl").read_text().splitlines()
    assert len(results) == len(lines(photos)) == 40
    assert photos("verify", "photos", "-q").code == 0
