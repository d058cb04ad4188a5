"""Searching texts of strangers: phrases as people mean them, and patterns that may never end."""

from __future__ import annotations

import functools
import re
import signal
import threading
import unicodedata
from types import FrameType

LONGEST_SEARCH = 0.5
"""Seconds of CPU time; a pattern that needs longer backtracks without end."""

APOSTROPHES = str.maketrans("’‘ʼ＇", "''''")

LETTER = r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""A letter or digit of a script that puts spaces between words.

Thai, Lao, Burmese, Khmer, kana, Han and Hangul are left out: there a phrase has no edges.
"""


class Endless(Exception):
    """A search took longer than `LONGEST_SEARCH`."""


def plain(text: str) -> str:
    """The text in Unicode's composed form, every apostrophe straight."""
    return unicodedata.normalize("NFC", text).translate(APOSTROPHES)


def holds(text: str, phrase: str) -> bool:
    """Whether a `plain` text holds a word or phrase, as whole words in upper or lower case.

    Between the words of the phrase may be any white space.
    """
    return phrase_pattern(phrase).search(text) is not None


@functools.lru_cache(maxsize=1024)
def phrase_pattern(phrase: str) -> re.Pattern[str]:
    """The pattern of a phrase, which has edges where it begins or ends with a letter or digit."""
    words = plain(phrase).split()
    before = rf"(?<!{LETTER})" if re.match(LETTER, words[0]) else ""
    after = rf"(?!{LETTER})" if re.search(LETTER + r"\Z", words[-1]) else ""
    return re.compile(before + r"\s+".join(map(re.escape, words)) + after, re.IGNORECASE)


class Alarm:
    """Raises `Endless` inside its `with` block, once so much CPU time went by; main thread only."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed = False

    def __enter__(self) -> None:
        # It stays installed: one that rings late, with nobody there, would end the process.
        signal.signal(signal.SIGVTALRM, self._ring)
        self._armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        self._armed = False

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        """The time is over, if anybody still cares."""
        if self._armed:
            self._armed = False
            raise Endless


ALARM = Alarm(LONGEST_SEARCH)


def found(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a pattern is found in a text; raises `Endless`.

    A pattern such as `(a+)+$` can take longer than the night and holds the interpreter meanwhile,
    but the search looks for signals, so that an alarm ends it. Off the main thread, which alone
    gets signals, a search has no bound.
    """
    if threading.current_thread() is not threading.main_thread():
        return pattern.search(text) is not None
    with ALARM:
        return pattern.search(text) is not None
