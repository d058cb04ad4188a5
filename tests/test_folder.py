"""A folder of images: natural order, every odd name, and nothing from outside."""

import json
import os
import random
import re
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import Rejected, UsageError
from batch.media.load import ImageRules, read_file
from batch.models import Failed, Failure
from batch.settings import Settings, open_source
from batch.sources.folder import FolderSource, natural, printable_id
from batch.sources.ids import Ids
from batch.sources.parse import LineParser

RULES = ImageRules()


def folder_source(folder, root=None, **fields):
    parser = LineParser(str(root or folder), {"prompt": "What is it?", **fields}, {})
    return FolderSource(str(folder), Path(folder), parser)


async def checked(source, ids=None):
    ids = ids or Ids()
    return [entry async for entries in source.entries(ids) for entry in entries]


async def jobs_of(source):
    """The jobs, which are the same when they are checked and when they are run."""
    entries = await checked(source)
    assert [entry.problem for entry in entries] == [None] * len(entries)
    addresses = array("Q", [entry.address for entry in entries])
    jobs = [job async for job in source.jobs(addresses)]
    assert jobs == [entry.job for entry in entries]
    return jobs


async def ids_of(source):
    return [job.id for job in await jobs_of(source)]


def fill(folder, *names):
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))


# Which files, in which order


async def test_images_come_in_natural_order(tmp_path):
    names = ["img_1.png", "img_2.png", "img_10.png", "IMG_11.png", "img_100.png"]
    fill(tmp_path, *random.Random(1).sample(names, len(names)))
    assert await ids_of(folder_source(tmp_path)) == names


async def test_folders_are_walked_and_sorted_with_their_files(tmp_path):
    names = ["1.png", "2/1.png", "2/9/x.png", "2/10/x.png", "2.png", "10/1.png"]
    fill(tmp_path, *names)
    found = await ids_of(folder_source(tmp_path))
    assert sorted(found) == sorted(names)
    assert found.index("2/9/x.png") < found.index("2/10/x.png") < found.index("10/1.png")


@pytest.mark.parametrize(
    "suffix",
    "jpg JPG jpeg JPE jfif png Png apng webp WEBP gif bmp BMP tif TIF tiff avif AVIF heic HEIC "
    "heif hif HIF".split(),
)
async def test_every_image_suffix_counts_in_any_case(tmp_path, suffix):
    fill(tmp_path, f"a.{suffix}")
    assert await ids_of(folder_source(tmp_path)) == [f"a.{suffix}"]


async def test_other_and_hidden_files_and_folders_are_left_out(tmp_path):
    fill(
        tmp_path, "a.txt", "png", "a.png.part", "a.", ".a.png", ".git/a.png", "sub/.x/a.png", ".png"
    )
    (tmp_path / "folder.png").mkdir()
    assert await ids_of(folder_source(tmp_path)) == []


async def test_an_empty_folder_has_no_jobs(tmp_path):
    assert await ids_of(folder_source(tmp_path)) == []


async def test_links_to_folders_are_not_followed(tmp_path):
    fill(tmp_path / "outside", "secret.png")
    fill(tmp_path / "root", "a.png")
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    (tmp_path / "root/loop").symlink_to(tmp_path / "root")
    assert await ids_of(folder_source(tmp_path / "root")) == ["a.png"]


async def test_a_link_to_a_file_is_a_job_and_is_held_to_the_root_when_it_is_opened(tmp_path):
    fill(tmp_path, "outside.png", "root/a.png")
    (tmp_path / "root/in.png").symlink_to("a.png")
    (tmp_path / "root/out.png").symlink_to(tmp_path / "outside.png")
    inside, same, outside = await jobs_of(folder_source(tmp_path / "root"))
    assert read_file(inside.root, same.images[0].source, RULES)[0] == b"root/a.png"
    with pytest.raises(Rejected) as told:
        read_file(outside.root, outside.images[0].source, RULES)
    assert told.value.code == "not_allowed"


async def test_a_file_that_vanished_is_still_a_job_that_fails_alone(tmp_path):
    fill(tmp_path, "a.png", "b.png")
    source = folder_source(tmp_path)
    (tmp_path / "a.png").unlink()
    first, _ = await jobs_of(source)
    with pytest.raises(Rejected) as told:
        read_file(first.root, first.images[0].source, RULES)
    assert told.value.code == "image_unreadable"


async def test_many_files_come_in_several_groups(tmp_path):
    names = [f"{at}.png" for at in range(4200)]
    for name in names:
        (tmp_path / name).touch()
    assert await ids_of(folder_source(tmp_path)) == names


def test_names_that_differ_only_in_form_are_always_in_the_same_order():
    names = ["a1.png", "a01.png", "A1.png", "a001.png", "A01.PNG"]
    orders = {tuple(sorted(random.Random(at).sample(names, 5), key=natural)) for at in range(20)}
    assert len(orders) == 1


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a1²٣/é0")), min_size=2, max_size=2))
def test_any_two_names_can_be_compared(names):
    one, two = names
    assert (natural(one) < natural(two)) + (natural(two) < natural(one)) == (one != two)


# Odd names


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("~a.png", "~a.png"),
        ("a:b.png", "a:b.png"),
        ("C:x.png", "C:x.png"),
        ("http:/x.png", "http:/x.png"),
        ("file://x.png", "file:/x.png"),
        ("data:image/png;base64,AA.png", "data:image/png;base64,AA.png"),
        ("-rf.png", "-rf.png"),
        (" a b .png", " a b .png"),
        ("é日本🙂.png", "é日本🙂.png"),
        ("²1.png", "²1.png"),
        ("{{a}}.png", "{{a}}.png"),
        ("100%.png", "100%.png"),
        ("a\\b.png", "a\\b.png"),
        ("a\nb.png", "a%0Ab.png"),
        ("\x1b[31m.png", "%1B%5B31m.png"),
        ("a\u202eb.png", "a%E2%80%AEb.png"),
        (os.fsdecode(b"caf\xe9.png"), "caf%E9.png"),
        (os.fsdecode(b"d\xff/\xfe.png"), "d%FF/%FE.png"),
    ],
)
async def test_a_file_of_any_name_is_a_job_with_a_printable_id(tmp_path, name, id_):
    fill(tmp_path, name)
    (job,) = await jobs_of(folder_source(tmp_path))
    assert job.id == id_
    data, _ = read_file(job.root, job.images[0].source, RULES)
    assert data == os.fsencode(name)


async def test_an_ordinary_name_is_the_image_reference_as_it_is(tmp_path):
    fill(tmp_path, "sub/a.png")
    (job,) = await jobs_of(folder_source(tmp_path))
    assert job.fields["image"] == "sub/a.png"


async def test_a_failed_line_of_an_odd_name_names_the_same_job(tmp_path):
    fill(tmp_path, "~a:b.png", "a\nb.png")
    for job in await jobs_of(folder_source(tmp_path)):
        failure = Failure("timeout", "m", None, 1, True, "", "", "")
        line = json.dumps(Failed(job.id, job.fields, failure).line()).encode()
        assert LineParser(str(tmp_path), {}, {}).parse(line).messages == job.messages


@pytest.mark.parametrize("part", ["x", "é", "\n", os.fsdecode(b"\xff")])
def test_an_id_has_never_more_than_512_bytes(part):
    for length in (1, 100, 170, 171, 200, 255, 256, 400, 511, 512, 513, 4000):
        name = printable_id(part * length)
        assert name.isprintable()
        assert 0 < len(name.encode()) <= 512


def test_a_long_path_has_a_hash_for_an_id():
    one, two = (printable_id("é" * 300 + end) for end in "ab")
    assert re.fullmatch("r-[0-9a-f]{12}", one)
    assert one != two


def test_hardly_any_two_paths_share_an_id():
    names = ["a\n.png", "a.png", "a\r.png", os.fsdecode(b"a\xff.png"), "aÿ.png"]
    assert len({printable_id(name) for name in names}) == len(names)


# The root


async def test_ids_are_relative_to_the_root(tmp_path):
    fill(tmp_path, "photos/2024/a.png", "photos/b.png")
    source = folder_source(tmp_path / "photos/2024", tmp_path)
    (job,) = await jobs_of(source)
    assert (job.id, job.root) == ("photos/2024/a.png", str(tmp_path))
    assert read_file(job.root, job.images[0].source, RULES)[0] == b"photos/2024/a.png"


@pytest.mark.parametrize("root", ["photos", "pho", "other", "photos/2024/deeper"])
def test_a_folder_outside_the_root_is_refused(tmp_path, root):
    fill(tmp_path, "photos2/a.png", "photos/2024/deeper/a.png", "other/a.png", "pho/a.png")
    folder = "photos2" if root != "photos/2024/deeper" else "photos/2024"
    settings = Settings(sources=(), root=str(tmp_path / root))
    with pytest.raises(UsageError, match="is not inside --root"):
        open_source(str(tmp_path / folder), settings)


async def test_two_folders_need_a_root_that_holds_both_when_names_repeat(tmp_path):
    fill(tmp_path, "one/a.png", "two/a.png")
    ids = Ids()
    assert [entry.job.id for entry in await checked(folder_source(tmp_path / "one"), ids)] == [
        "a.png"
    ]
    (entry,) = await checked(folder_source(tmp_path / "two"), ids)
    assert entry.job is None
    assert entry.problem.taken == "a.png"
    assert entry.problem.id != "a.png"
    assert "--root" in entry.problem.message
    ids = Ids()
    for name in ("one", "two"):
        (entry,) = await checked(folder_source(tmp_path / name, tmp_path), ids)
        assert entry.job.id == f"{name}/a.png"


# What cannot be


def test_a_missing_folder_is_told_with_its_path(tmp_path):
    with pytest.raises(UsageError) as told:
        folder_source(tmp_path / "none")
    assert str(told.value) == f"cannot read {tmp_path}/none: No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_an_unreadable_folder_inside_is_told_with_its_path(tmp_path):
    fill(tmp_path, "sub/a.png")
    (tmp_path / "sub").chmod(0)
    with pytest.raises(UsageError) as told:
        folder_source(tmp_path)
    (tmp_path / "sub").chmod(0o700)
    assert str(told.value) == f"cannot read {tmp_path}/sub: Permission denied"


async def test_an_image_without_a_prompt_is_a_problem_of_its_file(tmp_path):
    fill(tmp_path, "a\nb.png")
    (entry,) = await checked(folder_source(tmp_path, prompt=""))
    assert entry.job is None
    assert entry.problem.id == "a%0Ab.png"
    assert "no prompt" in entry.problem.message


async def test_a_folder_that_gains_or_loses_an_image_has_grown(tmp_path):
    fill(tmp_path, "a.png", "b.png")
    source = folder_source(tmp_path)
    fill(tmp_path, "notes.txt", "a.png")
    assert not source.grown()
    fill(tmp_path, "sub/c.png")
    assert source.grown()
    assert await ids_of(source) == ["a.png", "b.png"]
    (tmp_path / "sub/c.png").unlink()
    assert not source.grown()
    (tmp_path / "a.png").unlink()
    assert source.grown()


async def test_a_folder_that_went_away_has_grown(tmp_path):
    fill(tmp_path, "photos/a.png")
    source = folder_source(tmp_path / "photos")
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert source.grown()
    await source.close()
