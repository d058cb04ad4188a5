"""The image files of commands: private while in use, gone with the run, however it ended."""

import stat
from pathlib import Path

import pytest

from batch.models import Image
from batch.providers.exec.scratch import PREFIX, Scratch

PNG = Image(b"png bytes", "image/png")
JPEG = Image(b"jpeg bytes", "image/jpeg")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A temporary folder of the system with nothing in it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def remove(path):
    Path(path).unlink()


async def test_each_image_is_a_private_file_with_the_ending_of_its_type(place):
    scratch = Scratch()
    async with scratch.files([PNG, JPEG, PNG]) as paths:
        files = [Path(path) for path in paths]
        assert [file.suffix for file in files] == [".png", ".jpg", ".png"]
        assert [file.read_bytes() for file in files] == [PNG.data, JPEG.data, PNG.data]
        assert {mode(file) for file in files} == {0o600}
        assert {mode(file.parent) for file in files} == {0o700}
        assert {file.parent.parent for file in files} == {place}
    assert not any(file.exists() for file in files)
    scratch.close()
    assert list(place.iterdir()) == []


async def test_where_no_image_is_there_is_no_folder(place):
    scratch = Scratch()
    async with scratch.files([]) as paths:
        assert paths == []
    scratch.close()
    assert list(place.iterdir()) == []


async def test_a_file_that_the_command_removed_is_no_trouble(place):
    scratch = Scratch()
    async with scratch.files([PNG]) as [path]:
        remove(path)
    scratch.close()


async def test_the_folders_of_dead_runs_are_removed_and_those_of_living_ones_are_not(place):
    dead = place / f"{PREFIX}dead"
    dead.mkdir()
    (dead / "1.png").write_bytes(b"left behind")
    foreign = place / "overnight-of-somebody"
    foreign.mkdir()
    (place / f"{PREFIX}link").symlink_to(foreign)
    living, another = Scratch(), Scratch()
    async with living.files([PNG]), another.files([PNG]):
        assert not dead.exists()
        assert foreign.exists()
        assert len(list(place.glob(f"{PREFIX}*/1.png"))) == 2
    living.close()
    another.close()
