"""What of an answer goes into a sidecar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.results.wording import Wording, one_line, tags_of


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("  a  b \n", "a  b"),
        ("a\r\n\r\n\tb\x0bc\x85d\u2028e", "a b c d e"),
        ("\ufeffa\x00b\x1b[31mc\x7f", "ab[31mc"),
        ("a\ud800b", "a\N{REPLACEMENT CHARACTER}b"),
        ("👩\u200d👧 é 日本", "👩\u200d👧 é 日本"),
        ("\n\t ", ""),
    ],
)
def test_a_text_becomes_one_line(output, line):
    assert one_line(output) == line


@given(st.text())
def test_any_text_becomes_one_line_that_stays_as_it_is(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    assert one_line(line) == line
    assert line.encode("utf-8").decode("utf-8-sig") == line


def test_prefix_and_suffix_are_put_on_as_they_are():
    wording = Wording(prefix="ohwx, ", suffix=", 4k")
    assert wording.caption("a cat\n") == "ohwx, a cat, 4k"
    assert Wording(prefix="<", suffix=">").caption("a cat") == "<a cat>"


def test_nothing_is_not_dressed_up():
    wording = Wording(prefix="ohwx, ", suffix=".", strip_phrases=("a cat",))
    assert wording.caption("A CAT") == ""


def test_phrases_go_wherever_they_stand_and_leave_no_double_space():
    wording = Wording(strip_phrases=("the image shows", "(sic)"))
    assert wording.caption("The image shows a (sic) cat (SIC)") == "a cat"


def test_without_phrases_spaces_stay():
    assert Wording().caption("a  cat") == "a  cat"


@pytest.mark.parametrize(
    ("output", "tags"),
    [
        ("a, b,,  c ,", ["a", "b", "c"]),
        ("- a\n* b\n• c\n1. d\n22) e", ["a", "b", "c", "d", "e"]),
        ("Cat, cat, CAT, dog.", ["Cat", "dog"]),
        ("1girl, 3d, -5 degrees, x-ray", ["1girl", "3d", "-5 degrees", "x-ray"]),
        (" , \n", []),
    ],
)
def test_tags_are_told_from_a_list_of_any_form(output, tags):
    assert tags_of(output) == tags
    assert Wording(tags=True).caption(output) == ", ".join(tags)


@pytest.mark.parametrize(
    ("first", "second", "tags", "joined"),
    [
        ("A cat", "A dog.", False, "A cat. A dog."),
        ("A cat.", "A dog", False, "A cat. A dog"),
        ("A cat!", "A dog", False, "A cat! A dog"),
        ("猫。", "犬", False, "猫。 犬"),
        ("a, b, ", "c, d", True, "a, b, c, d"),
        ("a", ", c", True, "a, c"),
    ],
)
def test_two_texts_are_joined_as_sentences_or_as_tags(first, second, tags, joined):
    assert Wording(tags=tags).joined(first, second) == joined
