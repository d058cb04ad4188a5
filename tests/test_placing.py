"""A sidecar is read as it is and written whole or not at all."""

import os

import pytest

from batch.results.placing import keep_backup, read_sidecar, write_sidecar


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.txt"


@pytest.mark.parametrize("content", [b"", b" \r\n\t", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_none(path, content):
    assert read_sidecar(path) is None
    path.write_bytes(content)
    assert read_sidecar(path) is None


def test_the_byte_order_mark_and_the_last_newlines_are_left_out(path):
    path.write_bytes(b"\xef\xbb\xbf a\nb\r\n\n")
    assert read_sidecar(path).text == " a\nb"


def test_bytes_that_are_no_utf_8_are_written_back_as_they_were(path):
    path.write_bytes(b"caf\xe9")
    write_sidecar(path, read_sidecar(path).text)
    assert path.read_bytes() == b"caf\xe9"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_an_error_and_nobody_waits_for_it(path, make):
    make(path)
    with pytest.raises(OSError, match="no regular file"):
        read_sidecar(path)


def test_a_half_file_of_a_killed_run_is_written_over(path, tmp_path):
    (tmp_path / ".a.txt.part").write_text("half")
    write_sidecar(path, "whole")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "whole"


def test_a_link_in_place_of_the_temporary_file_leads_nowhere(path, tmp_path):
    (tmp_path / "other").write_text("keep me")
    (tmp_path / ".a.txt.part").symlink_to(tmp_path / "other")
    write_sidecar(path, "whole")
    assert (tmp_path / "other").read_text() == "keep me"
    assert not path.is_symlink()


def test_a_file_that_cannot_take_its_place_leaves_nothing_behind(path, tmp_path):
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_sidecar(path, "text")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_that_is_replaced_keeps_its_mode(path):
    path.write_text("old")
    path.chmod(0o604)
    write_sidecar(path, "new", read_sidecar(path).mode)
    assert path.stat().st_mode & 0o777 == 0o604


def test_a_backup_never_takes_the_place_of_another(path, tmp_path):
    for number in range(3):
        path.write_text(f"text {number}")
        keep_backup(path)
        keep_backup(path)  # as after a kill between the two steps
        path.unlink()
    backups = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert backups == {"a.txt.bak": "text 0", "a.txt.bak2": "text 1", "a.txt.bak3": "text 2"}
