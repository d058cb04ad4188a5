"""What a text is made of: sentences, words, names; and which of them matter most."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from .patterns import (
    ARTICLES,
    AT_A_PLACE,
    CALENDAR,
    CUE,
    ENDS_IN_DAY,
    GERMAN,
    LANGUAGES,
    MONTH_NEXT,
    NAME,
    NO_END,
    NO_KEYWORD,
    NO_NAME,
    PLACE_WORD,
    SENTENCE_END,
    SPEAKER,
    STOP_WORDS,
    WORD,
    hits,
)

SENTENCE = 1000  # characters: what has no sentence end for longer is no sentence
CUE_WEIGHT = 6  # shared words that "most important" and the like are worth
HEADLINE = 120  # characters: no title is longer


def names(text: str) -> Iterator[str]:
    """Capitalised words and their sequences, less those that only begin a sentence."""
    return (name for name, _ in proper(text))


def people(text: str) -> list[str]:
    """The names, less those that are a place's or a body's by a word of theirs or before them."""
    found = list(proper(text))
    places = {name for name, before in found if AT_A_PLACE.search(before)}
    return [name for name, _ in found if name not in places and not PLACE_WORD.search(name)]


def proper(text: str) -> Iterator[tuple[str, str]]:
    """Each name with the characters before it."""
    for line in text.split("\n"):
        words = line.count(" ") + 1
        # German writes every noun with a capital: there a name is two such words in a row.
        least = 2 if sum(1 for _ in hits(GERMAN, line)) > words / 8 else 1
        for found in hits(NAME, line):
            before = line[max(0, found.start() - 16) : found.start()]
            begins = before.rstrip(" \"'(\u201c\u201e\u00ab")[-1:] in ("", ".", "!", "?")
            name = trimmed(found[0], begins=begins, least=least)
            if name:
                yield name, before


def trimmed(found: str, *, begins: bool, least: int) -> str:
    """A name without the words around it that are none; empty when nothing is left.

    `begins` says that it begins a sentence, `least` how many words a name has.
    """
    words = found.split(" ")
    whole = len(words)
    while words and is_plain(words[0]):
        del words[0]
    while words and words[-1].lower() in CALENDAR:
        del words[-1]
    if begins and len(words) == whole and whole <= least:
        return ""
    name = re.sub("['\u2019]s?$", "", " ".join(words))
    shouted = name.isupper() and len(name) > 6
    plain = len(name) < 2 or shouted or re.search(r"[\d_]", name)
    return "" if plain or len(words) < least or name.lower() in LANGUAGES else name


def is_plain(word: str) -> bool:
    """Whether a capitalised word is no name by itself."""
    return re.split("['\u2019]", word.lower(), maxsplit=1)[0].rstrip(".") in NO_NAME


def title(text: str) -> Iterator[str]:
    """The first line when it is short and no sentence, else the first sentence."""
    line = text.partition("\n")[0].strip("# ")
    plain = line != text and 0 < len(line) <= HEADLINE and line[-1] not in ".!?:"
    yield from [line] if plain else islice(sentences(text), 1)


def questions(text: str) -> Iterator[str]:
    """The sentences that end in a question mark."""
    return (part for part in sentences(text) if part.endswith(("?", "\uff1f")))


def sentences(text: str) -> Iterator[str]:
    """The sentences, white space as single spaces; none longer than `SENTENCE`."""
    start = 0
    for end in hits(SENTENCE_END, f"{text}\n\n"):
        near = text[max(start, end.start() - 8) : end.start()]
        if "\n" not in end[0] and no_end(near, text, end.end()):
            continue
        words = text[start : min(end.start(), start + SENTENCE + 1)].split()
        bullet = bool(words) and not words[0].strip("-*#\u2022")
        if words[bullet:] and end.start() - start <= SENTENCE:
            yield " ".join(words[bullet:])
        start = end.end()


def no_end(near: str, text: str, after: int) -> bool:
    """Whether the dot at the end of `near` belongs to its word, as in "Dr." or "9. Mai"."""
    if NO_END.search(near):
        return True
    return ENDS_IN_DAY.search(near) is not None and MONTH_NEXT.match(text, after) is not None


def content(text: str) -> Iterator[str]:
    """The words of a text that carry its content, as they stand."""
    for word in hits(WORD, text):
        if 2 < len(word[0]) <= 40 and word[0].lower() not in STOP_WORDS:
            yield word[0]


def keywords(text: str, wanted: int) -> list[str]:
    """The most frequent content words, each as it stands first; what looks a noun counts more."""
    forms: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for word in content(text):
        if word.lower() not in NO_KEYWORD:
            counts[forms.setdefault(word.lower(), word).lower()] += 2
    for word in heads(text) & counts.keys():
        counts[word] += 1
    # Where English stop words are rare the short words are another language's.
    head = [word[0].lower() for word in islice(hits(WORD, text), 1000)]
    if sum(word in STOP_WORDS for word in head) < len(head) * 0.15:
        counts = Counter({word: n for word, n in counts.items() if len(word) > 4})
    return [forms[word] for word, _ in counts.most_common(wanted)]


def heads(text: str) -> set[str]:
    """Words that look like nouns: last after an article, or with a capital inside a sentence."""
    found = set()
    open_for, word, end = 0, "", 0  # words that may still follow an article; the word before
    for hit in hits(WORD, text):
        adjacent = text[end : hit.start()] == " "
        here = hit[0].lower()
        if word and not (adjacent and here not in STOP_WORDS) and is_head(word, open_for):
            found.add(word)
        if adjacent and hit[0][0].isupper():
            found.add(here)
        if here in ARTICLES:
            open_for = 3
        else:
            open_for = max(0, open_for - 1) if adjacent and here not in STOP_WORDS else 0
        word, end = "" if here in STOP_WORDS else here, hit.end()
    if word and is_head(word, open_for):
        found.add(word)
    return {word for word in found if not word.endswith(("ly", "ing", "ed"))}


def is_head(word: str, open_for: int) -> bool:
    """Whether a word so near to an article is its noun; "the pool sells" ends in a verb."""
    return open_for == 2 or (open_for == 1 and not word.endswith("s"))


def summary(text: str, wanted: int) -> list[str]:
    """The most central sentences in the order of the text.

    A sentence is central when its content words stand in others too, after Luhn, "The Automatic
    Creation of Literature Abstracts", 1958; the first few weigh more, very short ones less, and
    those more that call themselves important, after Edmundson, "New Methods in Automatic
    Extracting", 1969.
    """
    found = [part for part in dict.fromkeys(sentences(text)) if len(part) > 12]
    bags = [{word.lower() for word in content(SPEAKER.sub("", part))} for part in found]
    spread = Counter(word for bag in bags for word in bag)
    told = [at for at, part in enumerate(found) if is_told(part)]

    def centrality(at: int) -> tuple[float, int]:
        shared = sum(spread[word] - 1 for word in bags[at])
        cue = CUE_WEIGHT if CUE.search(found[at]) else 0
        return (shared + cue) / (len(bags[at]) + 5) * (1 + 1 / (at + 2)), -at

    places = told if len(told) >= wanted else range(len(found))
    return [found[at] for at in sorted(heapq.nlargest(wanted, places, key=centrality))]


def is_told(sentence: str) -> bool:
    """Whether a sentence is whole and says something: no headline, no question."""
    return not sentence[-1].isalnum() and sentence[-1] not in ",:;-?\uff1f"
