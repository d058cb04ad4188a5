"""Which pictures are left out: the rules of a .gitignore."""

import shutil
import subprocess
import time

import pytest

from batch.errors import UsageError
from batch.sources.folder import FolderRules, image_files
from batch.sources.ignore import Ignore

PATHS = """
a.png b.png x/a.png x/b.png x/y/a.png x/y/z/c.png y/a.png draft/a.png x/draft/a.png img1.png
img10.png foo/bar.png foo/x/bar.png [a].png a!.png !b.png #c.png x/y/draft.png
""".split()


@pytest.fixture
def folder(tmp_path):
    for name in PATHS:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def taken(folder, *exclude):
    return image_files(str(folder), str(folder), FolderRules(exclude=exclude))


CASES = [
    "a.png",
    "*.png",
    "/a.png",
    "x/",
    "draft/",
    "draft",
    "/draft",
    "x/*",
    "x/*/a.png",
    "**/a.png",
    "x/**",
    "x/**/a.png",
    "foo/**/bar.png",
    "x/y",
    "img?.png",
    "img[0-9].png",
    "img[!1]*.png",
    "[[]a].png",
    "[]^&|~[]a].png",
    "[^!]b.png",
    "\\[a\\].png",
    "\\!b.png",
    "\\#c.png",
    "# a.png",
    "",
    "   ",
    "a.png   ",
    "*.png\n!a.png",
    "x/\n!x/a.png",
    "x/*\n!x/a.png",
    "!a.png\na.png",
    "*\n!*/\n!a.png",
    "a.png/",
    "foo**bar.png",
    "foo/**/**/bar.png",
    "**/**",
    "/**",
]


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git to compare with")
@pytest.mark.parametrize("lines", CASES)
def test_pictures_are_left_out_as_git_leaves_them_out(folder, lines):
    (folder / ".gitignore").write_text(f"{lines}\n")
    (folder / ".overnightignore").write_text(f"{lines}\n")
    git = ["git", "-C", folder, "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q"], check=True, capture_output=True)
    words = ["ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"]
    told = subprocess.run([*git, *words], check=True, capture_output=True, text=True)
    kept = {path for path in told.stdout.split("\0") if path.endswith(".png")}
    assert set(taken(folder)) == kept


def test_what_is_excluded_by_hand_comes_after_the_file(folder):
    (folder / ".overnightignore").write_text("*.png\n")
    assert taken(folder, "!a.png", "x/") == ["a.png", "draft/a.png", "y/a.png"]


def test_patterns_are_told_from_the_folder_and_not_from_the_root(folder):
    files = image_files(str(folder / "x"), str(folder), FolderRules(exclude=("/a.png", "y/")))
    assert files == ["x/b.png", "x/draft/a.png"]


def test_two_stars_beside_other_characters_are_one(folder):
    """As git's manual says; git itself takes `f**/` for any folders, and `*f**/` for one name."""
    assert set(taken(folder)) - set(taken(folder, "f**/bar.png")) == {"foo/bar.png"}
    assert taken(folder, "*o**/bar.png") == taken(folder, "f**/bar.png")


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 100 + "*b", "**/a/" * 300 + "b", "**/" * 300 + "b", " " * 60_000 + "b"],
    ids=["stars", "folders", "any folders", "blanks"],
)
def test_a_hostile_pattern_takes_no_long_time(pattern):
    began = time.process_time()
    ignore = Ignore([pattern])
    for path in ("a" * 250, "/".join("a" * 2_000)):
        assert not ignore.leaves_out(path, is_folder=False)
    assert time.process_time() - began < 5


def test_a_pattern_that_is_none_is_told():
    with pytest.raises(UsageError, match="is no pattern"):
        Ignore(["[z-a].png"])


def test_an_ignore_file_that_is_no_text_is_told(folder):
    (folder / ".overnightignore").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        taken(folder)
