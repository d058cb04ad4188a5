"""Folders of a moment are private, and those that a killed run left behind are removed."""

import stat

import pytest

from batch.scratch import ScratchFolder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A temporary folder of the system with nothing in it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_private_and_gone_with_what_is_in_it(place):
    scratch = ScratchFolder("ours-")
    (scratch.path / "file").write_text("x")
    assert scratch.path.parent == place
    assert scratch.path.name.startswith("ours-")
    assert stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
    scratch.close()
    assert list(place.iterdir()) == []


def test_a_folder_that_nobody_holds_is_removed_by_the_next_and_one_in_use_is_not(place):
    (place / "ours-dead").mkdir()
    (place / "theirs").mkdir()
    (place / "ours-link").symlink_to(place / "theirs")
    living = ScratchFolder("ours-")
    another = ScratchFolder("ours-")
    names = {path.name for path in place.iterdir()}
    assert names == {"theirs", "ours-link", living.path.name, another.path.name}
    living.close()
    another.close()
