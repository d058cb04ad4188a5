"""Finds answers that say nearly the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

SIMILAR = 0.8
"""Jaccard index of the sets of words from which two answers count as nearly the same."""

FEWEST_WORDS = 5
"""Shorter answers are labels: that they repeat is what they are for."""

MOST_LOOKS = 40
"""Groups that one answer is compared with, so that no set of answers takes quadratic time."""

SYLLABLES = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
WORD = re.compile(rf"[{SYLLABLES}]|[^\W{SYLLABLES}]+")
"""A word; of scripts that write no spaces, a character."""


def words_of(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return WORD.findall(text.casefold())


def alike(texts: Sequence[str]) -> list[int]:
    """The group of each text, counted from 1; 0 for a text that nobody resembles.

    A text joins the first group whose first member it resembles. Two sets with a Jaccard index of
    at least `SIMILAR` share one of their rarest words, so only groups that have one of those in
    common are compared (prefix filtering: Chaudhuri, Ganti and Kaushik 2006).
    """
    sets = [frozenset(words_of(text)) for text in texts]
    frequency = Counter(word for words in sets for word in words)
    leaders: list[frozenset[str]] = []
    known: dict[frozenset[str], int] = {}
    places: dict[str, list[int]] = {}
    joined = []
    for words in sets:
        if len(words) < FEWEST_WORDS:
            joined.append(-1)
            continue
        group = known.get(words)
        if group is None:
            ordered = sorted(words, key=lambda word: (frequency[word], word))
            rare = ordered[: len(words) - int(SIMILAR * len(words)) + 1]
            group = nearest(words, rare, places, leaders)
            if group is None:
                group = len(leaders)
                leaders.append(words)
                for word in rare:
                    places.setdefault(word, []).append(group)
            known[words] = group
        joined.append(group)
    return numbered(joined)


def nearest(
    words: frozenset[str],
    rare: Collection[str],
    places: dict[str, list[int]],
    leaders: Sequence[frozenset[str]],
) -> int | None:
    """The first group that a set of words resembles; None when there is none."""
    looks = dict.fromkeys(group for word in rare for group in places.get(word, ())[:MOST_LOOKS])
    for group in list(looks)[:MOST_LOOKS]:
        other = leaders[group]
        shared = len(words & other)
        if shared >= SIMILAR * (len(words) + len(other) - shared):
            return group
    return None


def numbered(joined: Sequence[int]) -> list[int]:
    """Groups of two and more, numbered from 1 in the order in which they appear; others 0."""
    sizes = Counter(joined)
    numbers: dict[int, int] = {}
    return [
        numbers.setdefault(group, len(numbers) + 1) if group >= 0 and sizes[group] > 1 else 0
        for group in joined
    ]
