"""Reads a prompt: which part is the instruction, which the text, and what is asked for.

An instruction is followed only when it is understood to its last word; one that asks for anything
beyond extraction (translating, writing, judging …) is refused, so that no answer is half of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from ...errors import Rejected
from . import phrases as known
from .patterns import FOUND

LONG_ENOUGH = 120  # characters: from here on what follows an instruction is a text to work on
INSTRUCTION = 2000  # characters: no instruction is longer
KEYWORDS = 8  # unless the instruction names a number
SENTENCES = 2  # the same for summaries

NO_TEXT = (
    "offline has no model: it measures images and extracts from a given text; "
    "use --provider NAME for this prompt"
)
IN_CONTEXT = {"number", "amount", "date", "time", "clock"}


class Order(Struct, frozen=True):
    """What an instruction asks for."""

    kinds: dict[str, bool]
    """Kinds of pieces in the order asked for; true for one piece ("the date"), false for all."""
    wanted: int | None
    """How many sentences or keywords."""
    term: str
    """The word that lines shall hold, or the one that goes before "number"."""
    within: str
    """The word that stands in the lines of the pieces asked for ("that were refused")."""
    context: bool
    """Whether each piece is wanted with the words around it."""
    paired: bool
    """Whether the pieces of the second kind belong to those of the first ("and their dates")."""
    between: str
    """What shall stand between the pieces; empty when the instruction does not say."""


def read(instruction: str) -> Order:
    """What `instruction` asks for; raises `Rejected` when that is more than extraction."""
    order = own_part(instruction)
    within = known.WITHIN.search(order)
    kinds = asked(order)
    result = Order(
        kinds=kinds or {"summary": False},
        wanted=count(order),
        term=term(order),
        within=within[1] if within else "",
        context=known.CONTEXT.search(order) is not None,
        paired=len(kinds) == 2 and known.PAIRED.search(order) is not None,
        between="\n" if known.APART.search(order) else ", " if known.COMMAS.search(order) else "",
    )
    if is_beyond(instruction) or not is_understood(order, result):
        raise Rejected(NO_TEXT, "unsupported")
    return result


def split(prompt: str) -> tuple[str, str]:
    """The instruction and the text of a prompt; raises `Rejected` when it holds no text."""
    ways = (pair for pair in (*enclosed(prompt), *divided(prompt)) if is_task(pair[0]))
    instruction, text = next(ways, ("", ""))
    label = known.STARTS_WITH_LABEL.match(text)
    text = text[label.end() if label else 0 :].strip()
    if not text:
        raise Rejected(NO_TEXT, "unsupported")
    return instruction, text


def enclosed(prompt: str) -> Iterator[tuple[str, str]]:
    """Ways to split a prompt at a fence or at quotes around its text."""
    for opening, closing in (("```", "```"), ('"""', '"""'), ('"', '"'), ("\u201c", "\u201d")):
        start, end = prompt.find(opening), prompt.rfind(closing)
        if start < 0 or end < start + len(opening):
            continue
        before, after = prompt[:start].rstrip(" \t"), prompt[end + len(closing) :].strip(" \t.")
        apart = before[-1:] in ("", ":", "\n") and after[:1] in ("", "\n")
        # A quotation inside a longer text is not all of it: the order stands right before its text.
        apart = apart and (not before or is_task(before.strip().rpartition("\n\n")[2]))
        if len(before) + len(after) <= INSTRUCTION and (apart or opening == "```"):
            inside = prompt[start + len(opening) : end]
            inside = known.FENCE_NAME.sub("", inside) if opening == "```" else inside
            yield f"{before}\n{after}".strip() or "text", inside


def divided(prompt: str) -> Iterator[tuple[str, str]]:
    """Ways to split a prompt at a colon or the end of a line; an order at its end comes first."""
    ways = []
    for gap in islice(known.BREAK.finditer(prompt, 0, INSTRUCTION), 20):
        before, end = prompt[: gap.start() + 1], gap.end()
        inline = not gap[0].endswith("\n")
        line = before.rpartition("\n")[2]
        if inline and (line.count("(") > line.count(")") or not is_task(line)):
            continue
        if inline and known.GOES_ON.match(prompt, end):
            continue
        while not inline and (more := known.MORE_ORDERS.match(prompt, end)):
            end = more.end()
        if is_long_enough(prompt[end:]) or known.ENDS_IN_LABEL.search(before):
            ways.append((prompt[:end], prompt[end:]))
    text, _, last = prompt.rpartition("\n\n")
    at_head = any(asked(before) and not is_beyond(before) for before, _ in ways)
    if not at_head and len(last) < 300 and is_long_enough(text) and known.ORDER.match(last):
        yield last, text
    yield from ways


def is_long_enough(text: str) -> bool:
    """Whether what follows an instruction is a text of its own."""
    head = text[: 4 * LONG_ENOUGH].strip()
    return len(head) >= LONG_ENOUGH or len(re.findall(r"[.!?](?:\s|$)", head)) > 1


def is_task(instruction: str) -> bool:
    """Whether a piece of the prompt says what to do, or only that a text follows."""
    named = known.ONLY_LABEL.fullmatch(instruction) or asked(instruction)
    return bool(named) or is_beyond(instruction)


def is_beyond(instruction: str) -> bool:
    """Whether it takes more than extraction to follow the instruction."""
    plain = known.SUMMARY_ORDER.sub("summarise", known.NO_MORE.sub(" ", instruction))
    return known.BEYOND.search(plain) is not None


def own_part(instruction: str) -> str:
    """The instruction from the paragraph on that asks, less sentences that only introduce."""
    paragraphs = known.ASIDE.sub(" ", instruction).strip().split("\n\n")
    first = next((at for at, part in enumerate(paragraphs) if asked(part)), -1)
    return "\n\n".join(paragraphs[first:])


def asked(instruction: str) -> dict[str, bool]:
    """The kinds of pieces that an instruction asks for, in the order of their mention.

    A kind is true when one piece is wanted: "the date", and not "dates" or "every date".
    """
    found = [(hit.start(), "summary", False) for hit in known.SUMMARY.finditer(instruction)]
    if known.ASKS.search(instruction):
        for noun in known.ASKED.finditer(instruction):
            before = instruction[: noun.start()][-40:]
            kind = str(noun.lastgroup)
            if not known.IS_SOURCE.search(before):
                found.append((noun.start(), kind, is_one(kind, noun[0], before, instruction)))
    kinds: dict[str, bool] = {}
    for _, kind, one in sorted(found):
        kinds.setdefault(kind, one)
    return kinds


def is_one(kind: str, noun: str, before: str, instruction: str) -> bool:
    """Whether a noun of an instruction stands for one piece."""
    words = noun.lower().split(" ")
    many = words[0].endswith("s") or (words[-1].endswith("s") and words[-1] != "address")
    if many or kind in known.ALONE or re.search(r"(?i)\b(?:every|each|any|all) $", before):
        return False
    # "Extract the date" wants what there is; which is "the date of the meeting" takes a reader.
    return bool(known.OF_ONE.search(instruction)) or not known.EXTRACTS.search(instruction)


def is_understood(order: str, found: Order) -> bool:
    """Whether no word of an instruction is left over when all that is known is taken out."""
    if known.ONLY_LABEL.fullmatch(order):
        return True
    kinds, rest = set(found.kinds), order
    for form in (known.APART, known.COMMAS, known.NO_MORE):
        rest = form.sub(" ", rest)
    if found.context and kinds <= IN_CONTEXT:
        rest = known.CONTEXT.sub(" ", rest)
    if found.paired:
        rest = known.PAIRED.sub(" ", rest)
    if found.within and kinds <= FOUND.keys():
        rest = known.WITHIN.sub(" ", rest)
    rest = known.SUMMARY_ORDER.sub(" ", known.SOURCE.sub(" ", rest))
    if kinds & {"summary", "keyword"}:
        rest = known.COUNT.sub(" ", rest)
    rest = known.ASKED.sub(lambda noun: " " if noun.lastgroup in kinds else noun[0], rest)
    if all(found.kinds.values()):
        rest = known.OF_ONE.sub(" ", rest)
    for part in (known.SUMMARY, known.ALLOWED, known.FILLER):
        rest = part.sub(" ", rest)
    return re.search(r"[^\W_]{2}|\d", rest) is None


def term(order: str) -> str:
    """The word that an instruction names for lines or numbers, empty when it names none."""
    for noun in known.ASKED.finditer(order):
        if found := noun["term"] or noun["label"]:
            return str(found).strip("\"'")
    return ""


def count(order: str) -> int | None:
    """The number of sentences or keywords that an instruction names."""
    found = known.COUNT.search(order)
    if not found:
        return None
    word = found[1].lower()
    digits = known.DIGITS
    number = int(word) if word.isdecimal() else digits.index(word) + 1 if word in digits else 1
    return max(1, number)
