"""Pieces of a text, word for word: addresses, dates, names, keywords, central sentences."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from ...errors import Rejected
from .order import KEYWORDS, SENTENCES, Order, read, split
from .patterns import CLAUSE_END, CODE, FOUND, NO_PHONE, SENDER, hits
from .prose import keywords, names, people, questions, sentences, summary, title

NOTHING = "the text holds nothing of what the prompt asks to extract"
SEVERAL = "the text holds several of what the prompt asks one of; which it means takes a model"
NO_PAIRS = "the text does not hold what the prompt asks for in pairs; --provider NAME can read it"

NEGATED = re.compile(r"(?i)\b(?:not|no|never|un\w{3,20})\b|n't\b")
SPAN = 200  # characters: what belongs together stands no farther apart


def extract(messages: Sequence[str]) -> str:
    """The pieces of the text that the instruction asks for; both stand in `messages`.

    Kinds stand a line each, in the order asked for. Raises `Rejected` (`unsupported`) when there
    is no text, when the instruction asks for more than extraction, or when a kind is not found.
    """
    prompt = "\n\n".join(part.strip() for part in messages if part.strip())
    instruction, text = split(prompt.replace("\r\n", "\n"))
    order = read(instruction)
    if order.paired:
        return "\n".join(pairs(order, text))
    if order.context:
        return "\n".join(clauses(order, text))
    lines = []
    for kind, one in order.kinds.items():
        found = inside(kind, order, text) if order.within else pieces(kind, order, text)
        if not found:
            raise Rejected(NOTHING, "unsupported")
        if one and len(found) > 1:
            raise Rejected(SEVERAL, "unsupported")
        lines.append((order.between or between(kind, found)).join(found))
    return "\n".join(lines)


def pieces(kind: str, order: Order, text: str) -> list[str]:
    """The pieces of one kind, each once, in the order in which they stand in the text."""
    if kind == "summary":
        return summary(text, order.wanted or SENTENCES)
    if kind == "keyword":
        return keywords(text, order.wanted or KEYWORDS)
    if kind == "line":
        return lines_with(order.term, text)
    if kind == "labelled":
        return codes(order.term, text)
    if kind in WHOLE:
        return list(dict.fromkeys(WHOLE[kind](text)))
    return list(dict.fromkeys(piece for piece, _, _ in placed(kind, text)))


def placed(kind: str, text: str) -> Iterator[tuple[str, int, int]]:
    """The pieces that have a pattern, with their places, less what only looks like one."""
    for hit in hits(FOUND[kind], text):
        piece = hit[0].rstrip(".,;:!?'*_") if kind != "clock" else hit[0]
        if "(" not in piece:
            piece = piece.rstrip(").,]")
        if not (kind in UNLIKE and UNLIKE[kind](piece)):
            yield piece, hit.start(), hit.start() + len(piece)


def inside(kind: str, order: Order, text: str) -> list[str]:
    """The pieces in lines that hold a word; each of these lines must hold one piece."""
    found = []
    for line in lines_with(order.within, text):
        here = pieces(kind, order, line)
        if len(here) != 1 or NEGATED.search(line):
            raise Rejected(SEVERAL, "unsupported")
        found += here
    return list(dict.fromkeys(found))


def pairs(order: Order, text: str) -> list[str]:
    """What stands in the text from each piece of one kind to the one that belongs to it."""
    first, second = order.kinds
    found = []
    for sentence in sentences(text):
        ones, others = list(placed(first, sentence)), list(placed(second, sentence))
        if not ones:
            continue
        if len(ones) != 1 or len(others) != 1 or not ones[0][2] <= others[0][1] < SPAN:
            raise Rejected(NO_PAIRS, "unsupported")
        found.append(sentence[ones[0][1] : others[0][2]])
    if not found:
        raise Rejected(NOTHING, "unsupported")
    return found


def clauses(order: Order, text: str) -> list[str]:
    """The parts of sentences that hold pieces of the kinds asked for."""
    found, start = [], 0
    for end in chain(hits(CLAUSE_END, text), (None,)):
        clause = (
            text[start : end.start() if end else len(text)].strip(" \n.!?").removeprefix("and ")
        )
        if any(next(placed(kind, clause), None) for kind in order.kinds):
            found.append(" ".join(clause.split()))
        start = end.end() if end else start
    if not found:
        raise Rejected(NOTHING, "unsupported")
    return found


def lines_with(term: str, text: str) -> list[str]:
    """The lines that hold a word or its singular, however it is written."""
    word = term[:-1] if term.endswith("s") and len(term) > 3 else term
    holds = re.compile(rf"(?i)(?<!\w){re.escape(word)}s?(?!\w)")
    return [line.strip() for line in text.split("\n") if next(hits(holds, line), None)]


def codes(label: str, text: str) -> list[str]:
    """The numbers with letters or many digits in sentences that name a "serial number" or so."""
    named = re.compile(rf"(?i)\b{re.escape(label)} (?:numbers?|no\.?)(?!\w)")
    found = (CODE.findall(part) for part in sentences(text) if named.search(part))
    return list(dict.fromkeys(code for part in found for code in part))


def senders(text: str) -> Iterator[str]:
    """What the From lines of a mail thread name."""
    return (hit[1].strip() for hit in hits(SENDER, text))


def quoted(kind: str) -> Callable[[str], list[str]]:
    """The function that picks the longest or the shortest quotation of a text."""

    def pick(text: str) -> list[str]:
        found = list(dict.fromkeys(piece for piece, _, _ in placed("quote", text)))
        return sorted(found, key=len, reverse=kind == "longest")[:1]

    return pick


def no_address(piece: str) -> bool:
    """Whether a piece that looks like an IP address is none."""
    try:
        ipaddress.ip_address(piece)
    except ValueError:
        return True
    return False


def between(kind: str, found: list[str]) -> str:
    """A comma when the pieces are short and hold none, else the end of a line."""
    short = all(len(piece) <= 60 and "," not in piece for piece in found)
    return ", " if short and kind not in SENTENCE_KINDS else "\n"


WHOLE: dict[str, Callable[[str], Iterable[str]]] = {
    "name": names,
    "person": people,
    "title": title,
    "question": questions,
    "sender": senders,
    "longest": quoted("longest"),
    "shortest": quoted("shortest"),
}
UNLIKE: dict[str, Callable[[str], object]] = {"phone": NO_PHONE.fullmatch, "ip": no_address}
SENTENCE_KINDS = ("summary", "question", "line", "quote")
