"""Whether an answer declines to answer, told from how it begins.

Only the opening is looked at, and only for what a model says of itself, so that a text which
quotes such words is not taken for a refusal. The wordings are those that people report of
assistants in English, and the plainest ones of nine other languages.
"""

from __future__ import annotations

import functools
import re

from .patterns import plain

OPENING = 300
"""Characters that are looked at."""

ORNAMENT = " \t\r\n\"'“”„«»*_#>`([-"
"""What may stand before the first word."""

ALAS = r"(?:unfortunately,? |regrettably,? |i(?: am|'m) afraid,? (?:that )?)"
HAVE_TO = r"(?: must| have to| need to)"
LOATH = r"(?: do(?: not|n't) feel comfortable|(?: am|'m|'re| are) not (?:\w+ )?comfortable)"
UNABLE = (
    r"(?: can(?:not| not|'t)| could(?: not|n't)| will not| won't"
    r"|(?: am|'m| are|'re) (?:\w+ )?(?:unable|not (?:\w+ )?(?:able|allowed|permitted))"
    rf"|{LOATH}|{HAVE_TO} (?:\w+ )?(?:decline|refuse))"
)
SERVE = (
    r"(?:\w+ly )?(?:assist|help|provide|describe|identify|recogni[sz]e|fulfil+|comply|create"
    r"|generate|discuss|answer|respond|analy[sz]e|process|access|interpret|complete|continue"
    r"|engage|support|offer|write|produce|share|caption|comment|determine|transcribe|do (?:that|so)"
    r"|(?:see|view|open|read|display) (?:\w+ )?(?:image|picture|photo|file|attachment)s?)\b"
)
MODEL = r"an? (?:ai\b(?!-)|artificial intelligence|(?:large )?language model)"
BUT = rf"(?:[,;]? but\b|[^\n]{{0,80}}?\b(?:i|we){UNABLE})"

WORDINGS = (
    rf"(?:(?:i|we)(?: am|'m| are|'re) )?(?:\w+ )?sorry\b{BUT}",
    rf"(?:(?:i|we) )?(?:my |our )?(?:sincere )?apolog(?:i[sz]e|ies)\b{BUT}",
    rf"{ALAS}?(?:i|we){UNABLE} (?:to )?{SERVE}",
    rf"{ALAS}?(?:i|we)(?:{LOATH}|{HAVE_TO} (?:\w+ )?decline)\b",
    rf"as {MODEL}[^.\n]{{0,80}}?\b(?:i|my)\b",
    rf"i(?: am|'m) (?:just|only|merely) {MODEL}",
    r"(?:this|your) (?:request|prompt|content|image) (?:(?:may |might )?violates?|goes against)\b",
    # German, French, Spanish, Portuguese, Italian, Russian
    r"(?:es )?tut mir leid,? (?:aber )?(?:\w+ )?(?:ich|kann|dabei)\b",
    r"(?:je suis )?(?:vraiment )?désolée?,? (?:mais )?je ne (?:peux|suis)\b",
    r"lo siento,? (?:pero )?no puedo\b",
    r"(?:desculpe|sinto muito|lamento),? (?:mas )?(?:eu )?não posso\b",
    r"mi dispiace,? (?:ma )?non posso\b",
    r"(?:извините|простите|к сожалению),? (?:но )?я не могу\b",
    # Chinese, Japanese, Korean
    r"(?:很|非常|十分)?(?:抱歉|对不起|對不起)[^\n]{0,12}?(?:无法|無法|不能)",
    r"申し訳(?:ありません|ございません)が",
    r"죄송(?:합니다만|하지만|합니다[.,])",
)


@functools.cache
def wordings() -> re.Pattern[str]:
    """The wordings as one pattern, made when it is first asked for."""
    return re.compile("|".join(WORDINGS), re.IGNORECASE)


def refusal(text: str) -> str:
    """The words with which an answer declines; empty when it does not."""
    opening = plain(text[: 2 * OPENING].lstrip(ORNAMENT)[:OPENING])
    told = wordings().match(opening)
    return told[0] if told else ""
