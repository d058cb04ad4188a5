"""Searching texts of strangers: phrases as people mean them, and patterns that may never end."""

import re
import signal
import threading
import unicodedata

import pytest

from batch.patterns import Endless, found, holds, plain


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("cat", "A CAT sits."),
        ("a cat", "There is a\n  cat."),
        ("can't", "It can’t fly."),
        ("ｶ", "ｶ"),
        ("café", unicodedata.normalize("NFD", "Le Café noir")),
        ("#1", "We are #1!"),
        ("c++", "written in C++, mostly"),
        ("猫", "一只猫在桌上"),
        ("iPhone", "一部iPhone的照片"),
        ("고양이", "고양이가 앉아 있다"),
        ("แมว", "นี่คือแมวดำ"),
        ("42", "room 42."),
    ],
)
def test_a_text_holds_a_phrase(phrase, text):
    assert holds(plain(text), phrase)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("cat", "cats concatenate"),
        ("a cat", "a black cat"),
        ("cat", "le catégorie"),
        ("42", "room 421"),
        (".", "no full stop"),
        ("a.b", "axb"),
    ],
)
def test_a_text_does_not_hold_a_phrase(phrase, text):
    assert not holds(plain(text), phrase)


def test_a_pattern_that_would_take_the_whole_night_is_given_up():
    with pytest.raises(Endless):
        found(re.compile(r"(a+)+$"), "a" * 60 + "b")
    assert found(re.compile("b$"), "a" * 60 + "b")
    assert not found(re.compile("c"), "a" * 60 + "b")


def test_an_alarm_that_rings_late_hurts_nobody():
    assert found(re.compile("a"), "a")
    signal.raise_signal(signal.SIGVTALRM)


def test_a_thread_searches_too():
    told = []
    thread = threading.Thread(target=lambda: told.append(found(re.compile("b+"), "abba")))
    thread.start()
    thread.join()
    assert told == [True]
