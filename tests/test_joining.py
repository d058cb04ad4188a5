"""A text of ours is put beside somebody's, found again, and taken away without a word of theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.results.joining import Joint
from batch.results.wording import Wording

JOINING = ("append", "prepend")
LINE = st.text(st.characters(categories=["L", "P", "Zs"]), min_size=1).map(str.strip)


def joint(existing, **how):
    return Joint(existing, Wording(), **how)


@pytest.mark.parametrize("existing", JOINING)
@given(LINE.filter(bool), LINE.filter(bool))
def test_a_text_that_was_joined_is_found_again(existing, old, text):
    how = joint(existing, keeps_lines=True)
    assert how.holds(how.joined(old, text), how.piece(text))


@pytest.mark.parametrize(
    ("existing", "whole", "rest"), [("append", "Old. New.", "Old."), ("prepend", "New. Old", "Old")]
)
def test_what_stands_beside_our_text_is_left(existing, whole, rest):
    how = joint(existing)
    assert how.rest(whole, how.piece("New.")) == rest


def test_a_whole_text_is_ours_only_when_it_is_the_same():
    how = joint("overwrite")
    assert how.holds("a", how.piece("a"))
    assert not how.holds("b. a", how.piece("a"))


def test_line_breaks_of_others_stay_where_a_file_can_hold_them():
    assert joint("append", keeps_lines=True).joined("one\n\ntwo", "three") == "one\n\ntwo. three"
    assert joint("append").joined("one\n\ntwo", "three") == "one two. three"


@pytest.mark.parametrize(
    ("existing", "whole"), [("append", "Dog\ncat\nmat"), ("prepend", "mat\nDog\ncat")]
)
def test_keywords_are_added_once_whatever_their_case(existing, whole):
    how = joint(existing, keywords=True)
    assert how.joined("Dog\ncat", "dog\nmat") == whole
    assert how.holds(whole, how.piece("dog\nmat"))
    assert not how.holds("Dog\ncat", how.piece("dog\nmat"))
    assert how.rest(whole, how.piece("dog\nmat")) == whole


def test_keywords_that_replace_others_are_compared_as_they_stand():
    how = joint("overwrite", keywords=True)
    assert how.holds("a\nb", how.piece("a\nb"))
    assert not how.holds("a\nb\nc", how.piece("a\nb"))
