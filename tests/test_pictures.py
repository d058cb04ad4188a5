"""What a prompt may say of the picture that it is about."""

import os

import pytest

from batch.sources.pictures import picture_vars


def test_a_picture_at_the_top_is_in_the_folder_of_the_root(tmp_path):
    found = picture_vars(str(tmp_path / "photos"), "my.cat.png", ())
    assert (found["name"], found["stem"], found["folder"]) == ("my.cat.png", "my.cat", "photos")


def test_a_name_that_is_no_utf_8_is_text_all_the_same(tmp_path):
    found = picture_vars(str(tmp_path), os.fsdecode(b"d\xff/caf\xe9.png"), ())
    assert (found["stem"], found["folder"]) == ("caf\ufffd", "d\ufffd")


@pytest.mark.parametrize(
    ("content", "caption", "tags"),
    [
        (b"\xef\xbb\xbfa cat,\r\n on a mat ,,", "a cat, on a mat ,,", "a cat, on a mat"),
        (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}", "caf\N{REPLACEMENT CHARACTER}"),
        (b"a\0b", "ab", "ab"),
        (b" \n", "", ""),
    ],
)
def test_the_text_beside_it_is_its_caption_and_its_tags(tmp_path, content, caption, tags):
    (tmp_path / "a.txt").write_bytes(content)
    found = picture_vars(str(tmp_path), "a.png", {"tags"})
    assert (found["caption"], found["tags"]) == (caption, tags)


def test_no_text_is_read_that_nobody_asked_for_or_that_is_no_file(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert picture_vars(str(tmp_path), "a.png", {"name"})["tags"] == ""
    os.mkfifo(tmp_path / "b.txt")
    (tmp_path / "c.txt").mkdir()
    for name in ("b.png", "c.png", "d.png"):
        assert picture_vars(str(tmp_path), name, {"tags"})["tags"] == ""
