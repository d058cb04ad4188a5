"""Pieces of a text, word for word: addresses, dates, names, keywords, central sentences.

The prompt is split into an instruction and the text that it is about. What the instruction asks
for beyond extraction (translating, writing, judging …) is refused. Every pattern is bounded or
possessive, so that the time grows with the text and no faster.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from ...errors import Rejected

LONG_ENOUGH = 120  # characters: from here on what follows an instruction is a text to work on
INSTRUCTION = 2000  # characters: no instruction is longer
SENTENCE = 1000  # characters: what has no sentence end for longer is no sentence
KEYWORDS = 8  # unless the instruction names a number
SENTENCES = 2  # the same for summaries

NO_TEXT = (
    "offline has no model: it measures images and extracts from a given text; "
    "use --provider NAME for this prompt"
)

LABEL = r"(?:text|article|document|passage|input|transcript)"
ONLY_LABEL = re.compile(rf"(?i)\W*(?:(?:the|this|following|here|is) )*{LABEL}\W*")
ENDS_IN_LABEL = re.compile(rf"(?i)\b{LABEL}\W*$")
STARTS_WITH_LABEL = re.compile(rf"(?i)\s{{0,20}}{LABEL}[ \t]*:")
FENCE_NAME = re.compile(r"\A\w{0,20}\n")
BREAK = re.compile(r"[.!?:][ \t]*\n|\n[ \t]*\n|:[ \t]")
MORE_ORDERS = re.compile(
    r"(?i)\s{0,9}(?:use|return|answer|give|only|do not|don't|please|output|keep|one) .{0,150}\n"
)
SUMMARY_ORDER = re.compile(
    r"(?i)\b(?:write|give|make|create|provide|produce|generate|return)(?: me| us)?(?: an?| the)?"
    r"(?: [\w-]{1,20}){0,3} (?:summary|overview|abstract|tl;?dr)\b"
)
BEYOND = re.compile(
    r"(?i)\b(?:translat|re-?writ|rephras|paraphras|classif|categori[sz]|sentiment|expla[in]"
    r"|compos|generat|creat|continu|correct|improv|simplif|convert|evaluat|compar|describ|analy[sz]"
    r"|suggest|recommend|comput|calculat|decid|judg|critici|opinion|invent|guess"
    r"|answer(?!s? (?:only|with|in|just)\b)|writ(?:e|ing)\b|fix\b|why\b|how\b|who\b|score\b|rate\b"
    r"|act as|role-?play|story|poem|joke|essay|sort|rank\b|count\b|total\b|average\b|sum of"
    r"|except\b|excluding|without\b|other than|(?:fewer|less) than|\d+ (?:words|characters)\b"
    r"|(?:larg|bigg|small|high|low|earli|lat|old|new|cheap)est\b|(?:after|before|since|until) \d"
    r"|(?:as|in|into|to) (?:an? |valid )*(?:json|csv|xml|yaml|markdown|html|table)\b"
    r"|(?:in|into|to) (?:english|german|french|spanish|italian|portuguese|dutch|polish|russian"
    r"|ukrainian|turkish|arabic|hindi|chinese|japanese|korean)\b)"
)
WORLD = re.compile(r"(?i)\b(?:of|about|for|on|behind)\b|\bsummari[sz]e (?:the|how|an?|\w+'s)\b")
POINTS = re.compile(
    rf"(?i)\b(?:{LABEL}|this|these|following|below|above|given|user|message|e-?mail|report|page"
    r"|letter|notes|content|conversation|review|minutes|chapter|paragraph|block)s?\b|:\s*$"
)
EXTRACTS = re.compile(r"(?i)\b(?:extract|find|get|pull|collect|give|return|select)\b")
ASKS = re.compile(rf"{EXTRACTS.pattern}|\b(?:list|name|show|identify|what|which|print|output)\b")
ORDER = re.compile(rf"{ASKS.pattern}|summari[sz]|tl;?dr|please\b")
IS_SOURCE = re.compile(
    r"(?i)\b(?:from|in|(?<!list )of|this|these|those)(?: (?:the|this|these|following|my))*+ $"
)
NOUNS = {
    "email": r"e-?mail(?: address(?:es)?|s)?",
    "url": r"urls?|links?|web ?addresses|web ?sites?",
    "date": r"dates?",
    "amount": r"amounts?|prices?|sums|costs?",
    "phone": r"(?:tele)?phone numbers?|phones?",
    "number": r"(?<!phone )numbers?(?! of)|figures",
    "name": r"(?:proper )?names|proper nouns|named entities",
    "keyword": r"key-? ?words?|key terms|tags",
    "title": r"(?:title|headline)(?! of (?:the |this )?+(?!text|article|document))|first sentence",
    "question": r"questions?",
    "longest": r"longest quot(?:e|ation)",
    "shortest": r"shortest quot(?:e|ation)",
    "quote": r"(?<!longest )(?<!shortest )(?:quotes|quotations)",
}
ALONE = ("title", "longest", "shortest")
ASKED = {kind: re.compile(rf"(?i)\b(?:{nouns})\b") for kind, nouns in NOUNS.items()}
SUMMARY = re.compile(
    r"(?i)\b(?:summari[sz]|summary\b|tl;?dr\b|shorten\b|condense\b|gist\b"
    r"|(?:key|main|central|most important) (?:points?|ideas?|sentences?|statements?)\b)"
)
DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
COUNT = re.compile(
    rf"(?i)\b({'|'.join(DIGITS)}|single|\d{{1,2}})(?:[ -]\w{{1,20}}){{0,3}}?[ -](?:sent|point|key)"
)

MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
FIGURE = r"\d{1,20}(?:[.,]\d{1,20}){0,8}"
SIGNS = r"$\u20ac\u00a3\u00a5\u20b9"
SCALE = r"(?: (?:million|billion|thousand)\b)?"
QUOTES = (
    r"\"[^\"\n]{3,500}\"|\u201c[^\u201c\u201d\n]{3,500}\u201d|\u00ab[^\u00ab\u00bb\n]{3,500}\u00bb"
)
PATTERNS = {
    "email": r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[a-zA-Z0-9-]{1,63}\.){1,8}[a-zA-Z]{2,24}\b",
    "url": r"\b(?:https?://|www\.)[^\s<>\"`{}|\\^]{3,2000}",
    "date": r"(?<![\w./-])(?:\d{4}-\d{2}-\d{2}|\d{1,2}([./])\d{1,2}\1\d{2,4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {MONTH}(?:,? \d{{4}})?"
    rf"|{MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?|{MONTH} \d{{4}})(?!\w|[/-]\d)",
    "number": rf"(?<![\w.,])[-+]?{FIGURE}(?!\w)(?: ?%)?",
    "amount": rf"(?:[{SIGNS}]|\b(?:USD|EUR|GBP|CHF|JPY)) ?{FIGURE}(?:{SCALE}|[kmM]\b)"
    rf"|(?<![\w.,]){FIGURE}{SCALE} ?(?:[{SIGNS}]|(?:USD|EUR|GBP|CHF|JPY|dollars|euros|pounds)\b)",
    "phone": r"(?<![\w+.-])[+(]?\d[\d ()./-]{5,20}\d(?![\w-])",
    **dict.fromkeys(("quote", "longest", "shortest"), QUOTES),
}
FOUND = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}
NO_PHONE = re.compile(  # dates, ranges of years, addresses of hosts, plain numbers
    r"\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4} ?- ?\d{4}|\d{1,3}(?:\.\d{1,3}){3}"
    r"|[1-9]\d*|\d+\.\d+|[1-9]\d{0,2}(?:[. ]\d{3})+|\D*(?:\d\D*){,6}|\D*(?:\d\D*){16,}"
)
UPPER = r"[A-Z\u00c0-\u00d6\u00d8-\u00de\u0391-\u03a9\u0410-\u042f]"
NAME_DOT = rf"(?:\.(?<=\b{UPPER}\.)|\.(?<=\b[DMS][rst]\.)|\.(?<=\bMrs\.)|\.(?<=\bProf\.))?"
NAME = re.compile(
    rf"(?<!\w){UPPER}[\w'\u2019-]{{0,40}}+(?:{NAME_DOT} (?:(?:van|von|de|der|del|da|di|la|of) )?"
    rf"{UPPER}[\w'\u2019-]{{0,40}}+){{0,5}}"
)
CALENDAR = re.compile(rf"{MONTH}|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day")
WORD = re.compile(r"(?<![\w@./])[^\W\d_]++(?:['\u2019-][^\W\d_]++)*+(?!@|:/|[._]\w)")
SENTENCE_END = re.compile(
    r"(?:(?<=[.!?])|(?<=[.!?][\"')\]\u201d\u2019]))\s++|\n[ \t]*+\n\s*+|\n(?=[ \t]{0,8}[-*#\u2022])"
    r"|(?<=[\u3002\uff01\uff1f])"
)
NO_END = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|vs|No|Fig|e\.g|i\.e|cf|approx|Inc|Ltd)|\b[A-Z])\.$"
)
COMMON = """
a about above after again all also although am among an and any are as at be because been before
being below between both but by can could did do does done down during each either else even ever
every few for from get got had has have he her here him his how however i if in into is it its just
like made make many may me might more most much must my never new no nor not now of off on once one
only or other our out over own said same say says she should since so some still such than that the
their them then there these they this those through to too two under until up us use used very was
way we well were what when where whether which while who whose why will with would yes you your"""
STOP_WORDS = frozenset(COMMON.split())


def extract(messages: Sequence[str]) -> str:
    """The pieces of the text that the instruction asks for; both stand in `messages`.

    Kinds stand a line each, in the order asked for. Raises `Rejected` (`unsupported`) when there
    is no text, when the instruction asks for more than extraction, or when nothing is found.
    """
    prompt = "\n\n".join(part.strip() for part in messages if part.strip())
    instruction, text = split(prompt.replace("\r\n", "\n"))
    order = instruction.strip().rpartition("\n\n")[2]
    # "The key points of the French Revolution" asks for knowledge, whatever follows it.
    if is_beyond(instruction) or (WORLD.search(order) and not POINTS.search(order)):
        raise Rejected(NO_TEXT, "unsupported")
    found = [pieces(kind, instruction, text) for kind in asked(instruction) or ["summary"]]
    lines = [joined(part) for part in found if part]
    if not lines:
        raise Rejected("the text holds nothing of what the prompt asks to extract", "unsupported")
    return "\n".join(lines)


def split(prompt: str) -> tuple[str, str]:
    """The instruction and the text of a prompt; raises `Rejected` when it holds no text."""
    ways = (pair for pair in (*enclosed(prompt), *divided(prompt)) if is_task(pair[0]))
    instruction, text = next(ways, ("", ""))
    text = STARTS_WITH_LABEL.sub("", text, count=1).strip()
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
        if len(before) + len(after) <= INSTRUCTION and (apart or opening == "```"):
            inside = prompt[start + len(opening) : end]
            inside = FENCE_NAME.sub("", inside) if opening == "```" else inside
            yield f"{before}\n{after}".strip() or "text", inside


def divided(prompt: str) -> Iterator[tuple[str, str]]:
    """Ways to split a prompt at a colon or the end of a line; an order at its end comes first."""
    ways = []
    for gap in islice(BREAK.finditer(prompt, 0, INSTRUCTION), 20):
        before, end = prompt[: gap.start() + 1], gap.end()
        inline = not gap[0].endswith("\n")
        line = before.rpartition("\n")[2]
        if inline and (line.count("(") > line.count(")") or not is_task(line)):
            continue
        while not inline and (more := MORE_ORDERS.match(prompt, end)):
            end = more.end()
        if is_long_enough(prompt[end:]) or ENDS_IN_LABEL.search(before):
            ways.append((prompt[:end], prompt[end:]))
    text, _, last = prompt.rpartition("\n\n")
    at_head = any(asked(before) and not is_beyond(before) for before, _ in ways)
    if not at_head and len(last) < 300 and is_long_enough(text) and ORDER.match(last):
        yield last, text
    yield from ways


def is_long_enough(text: str) -> bool:
    """Whether what follows an instruction is a text of its own."""
    head = text[: 4 * LONG_ENOUGH].strip()
    return len(head) >= LONG_ENOUGH or len(re.findall(r"[.!?](?:\s|$)", head)) > 1


def is_task(instruction: str) -> bool:
    """Whether a piece of the prompt says what to do, or only that a text follows."""
    named = ONLY_LABEL.fullmatch(instruction) or asked(instruction)
    return bool(named) or is_beyond(instruction)


def is_beyond(instruction: str) -> bool:
    """Whether it takes more than extraction to follow the instruction."""
    return BEYOND.search(SUMMARY_ORDER.sub("summarise", instruction)) is not None


def asked(instruction: str) -> list[str]:
    """The kinds of pieces that the instruction asks for, in the order of their mention."""
    summary = SUMMARY.search(instruction)
    found = {"summary": summary.start()} if summary else {}
    if ASKS.search(instruction):
        for kind, pattern in ASKED.items():
            for noun in pattern.finditer(instruction):
                # "the date" of something is one date among many, which to pick takes a reader.
                many = kind in ALONE or noun[0][-1] in "sS" or EXTRACTS.search(instruction)
                if many and not IS_SOURCE.search(instruction[: noun.start()][-40:]):
                    found.setdefault(kind, noun.start())
    return sorted(found, key=lambda kind: found[kind])


def pieces(kind: str, instruction: str, text: str) -> list[str]:
    """The pieces of one kind, each once, in the order in which they stand in the text."""
    if kind == "summary":
        return summary(text, count(instruction, SENTENCES))
    if kind == "keyword":
        return keywords(text, count(instruction, KEYWORDS))
    if kind in WHOLE:
        return list(dict.fromkeys(WHOLE[kind](text)))
    found = (piece[0].rstrip(".,;:!?'*_") for piece in FOUND[kind].finditer(text))
    if kind == "phone":
        found = (piece for piece in found if not NO_PHONE.fullmatch(piece))
    unlike = list(dict.fromkeys(found))
    if kind in ("longest", "shortest"):
        return sorted(unlike, key=len, reverse=kind == "longest")[:1]
    return [piece if "(" in piece else piece.rstrip(").,]") for piece in unlike]


def joined(found: list[str]) -> str:
    """The pieces in one line when they are short and hold no comma, else a line each."""
    short = all(len(piece) <= 60 and "," not in piece for piece in found)
    return (", " if short else "\n").join(found)


def count(instruction: str, default: int) -> int:
    """The number of sentences or keywords that the instruction names."""
    found = COUNT.search(instruction)
    if not found:
        return default
    word = found[1].lower()
    number = int(word) if word.isdecimal() else DIGITS.index(word) + 1 if word in DIGITS else 1
    return max(1, number)


def names(text: str) -> Iterator[str]:
    """Capitalised words and their sequences, less those that only begin a sentence."""
    for found in NAME.finditer(text):
        words = re.split(r"(?<=\s)", found[0])
        while words and words[0].strip().lower() in STOP_WORDS:
            del words[0]
        name = re.sub("['\u2019]s?$", "", "".join(words))
        before = text[max(0, found.start() - 8) : found.start()].rstrip(" \"'(\u201c")
        begins = len(words) == 1 and name == found[0] and before[-1:] in ("", ".", "!", "?", "\n")
        shouted = name.isupper() and len(name) > 6
        if len(name) > 1 and not (begins or shouted or CALENDAR.fullmatch(name)):
            yield name


def title(text: str) -> Iterator[str]:
    """The first line when it is short and no sentence, else the first sentence."""
    line = text.partition("\n")[0].strip("# ")
    plain = line != text and 0 < len(line) <= LONG_ENOUGH and line[-1] not in ".!?:"
    yield from [line] if plain else islice(sentences(text), 1)


def questions(text: str) -> Iterator[str]:
    """The sentences that end in a question mark."""
    return (part for part in sentences(text) if part.endswith(("?", "\uff1f")))


def sentences(text: str) -> Iterator[str]:
    """The sentences, white space as single spaces; none longer than `SENTENCE`."""
    start = 0
    for end in SENTENCE_END.finditer(f"{text}\n\n"):
        near = text[max(start, end.start() - 8) : end.start()]
        if "\n" not in end[0] and NO_END.search(near):
            continue
        words = text[start : min(end.start(), start + SENTENCE + 1)].split()
        bullet = bool(words) and not words[0].strip("-*#\u2022")
        if words[bullet:] and end.start() - start <= SENTENCE:
            yield " ".join(words[bullet:])
        start = end.end()


def content(text: str) -> Iterator[str]:
    """The words of a text that carry its content, as they stand."""
    for word in WORD.finditer(text):
        if 2 < len(word[0]) <= 40 and word[0].lower() not in STOP_WORDS:
            yield word[0]


def keywords(text: str, wanted: int) -> list[str]:
    """The most frequent content words, each in the form in which it stands first."""
    forms: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for word in content(text):
        counts[forms.setdefault(word.lower(), word).lower()] += 1
    # Where English stop words are rare the short words are another language's.
    head = [word[0].lower() for word in islice(WORD.finditer(text), 1000)]
    if sum(word in STOP_WORDS for word in head) < len(head) * 0.15:
        counts = Counter({word: n for word, n in counts.items() if len(word) > 4})
    return [forms[word] for word, _ in counts.most_common(wanted)]


def summary(text: str, wanted: int) -> list[str]:
    """The most central sentences in the order of the text.

    A sentence is central when its content words stand in many sentences, after Luhn, "The
    Automatic Creation of Literature Abstracts", 1958; very short sentences gain nothing by it.
    """
    found = [part for part in dict.fromkeys(sentences(text)) if len(part) > 12]
    whole = [part for part in found if part[-1] in ".!?\u2026\"')\u201d\u3002\uff01\uff1f"]
    found = whole if len(whole) >= wanted else found
    spread = Counter(word for part in found for word in {w.lower() for w in content(part)})

    def centrality(at: int) -> tuple[float, int]:
        words = {word.lower() for word in content(found[at])}
        return sum(spread[word] for word in words) / (len(words) + 5), -at

    best = heapq.nlargest(wanted, range(len(found)), key=centrality)
    return [found[at] for at in sorted(best)]


WHOLE = {"name": names, "title": title, "question": questions}
