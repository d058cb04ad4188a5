"""What stands in texts: the shapes of addresses, dates, amounts …; names, words and sentences.

Every pattern is bounded or possessive, so that the time grows with the text and no faster. Whole
texts are searched with `hits`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

WINDOW = 1 << 16  # characters of a text that are searched at a time
REACH = 1 << 12  # characters: no piece is longer


def hits(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Like `finditer`, a window at a time: a search holds the GIL until it is through."""
    at = 0
    while at < len(text):
        stop = at + WINDOW
        for hit in pattern.finditer(text, at, stop + REACH):
            if hit.start() >= stop:
                break
            yield hit
            at = hit.end()
        at = max(at, stop)


# --- the shapes of pieces ---

MONTH = (
    r"(?:Jan(?:uary|uar)?|J\u00e4nner|Feb(?:ruary|ruar)?|Mar(?:ch)?|M\u00e4rz|Apr(?:il)?|May|Mai"
    r"|June?|Juni|July?|Juli|Aug(?:ust)?|Sept?(?:ember)?|O[ck]t(?:ober)?|Nov(?:ember)?"
    r"|De[cz](?:ember)?|janvier|f\u00e9vrier|mars|avril|mai|juin|juillet|ao\u00fbt|septembre|octobre"
    r"|novembre|d\u00e9cembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre"
    r"|noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre)"
    r"(?:\.(?! ?[A-Z]))?"
)
DAY = r"\d{1,2}(?:st|nd|rd|th|er|\.)?"
FIGURE = r"\d{1,20}(?:[.,]\d{1,20}){0,8}"
MONEY = rf"(?:\d{{1,3}}(?:[ \u00a0\u202f'\u2019]\d{{3}}){{1,5}}(?:[.,]\d{{1,2}})?(?!\d)|{FIGURE})"
SIGNS = r"$\u20ac\u00a3\u00a5\u20b9"
SCALE = r"(?: (?:million|billion|thousand|Millionen|Milliarden|millions|milliards|Mio\.|Mrd\.))?"
COINS = r"(?:USD|EUR|GBP|CHF|JPY|dollars?|[Ee]uros?|pounds?|Franken|francs?|Dollar)\b"
QUOTES = (
    r"\"[^\"\n]{3,500}\"|\u201c[^\u201c\u201d\n]{3,500}\u201d|\u00ab[^\u00ab\u00bb\n]{3,500}\u00bb"
    r"|\u201e[^\u201e\u201c\n]{3,500}\u201c"
)
HALF_DAY = r"(?: ?(?:[ap]\.m\.|[ap]m\b|Uhr\b|o['\u2019]clock\b))"
CLOCK = (
    rf"(?<![\w.,:])(?:(?:[01]?\d|2[0-4])(?::[0-5]\d(?::[0-5]\d)?|h[0-5]\d)(?![\w:]|[.,]\d)"
    rf"{HALF_DAY}?|(?:[01]?\d|2[0-4])(?:\.[0-5]\d)?{HALF_DAY})"
)
HOUR = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
SPOKEN = (
    rf"\b(?:half past|(?:a )?quarter (?:past|to)) {HOUR}\b(?: o['\u2019]clock\b)?"
    rf"|\b{HOUR}(?: o['\u2019]clock| in the (?:morning|afternoon|evening))\b|\bnoon\b|\bmidnight\b"
)
UNIT = (
    r"(?:kg|g|mg|ml|cl|dl|l|lb|oz|(?:tea|table)?spoon(?:ful)?s?|tsp|tbsp|cups?|glass(?:es)?"
    r"|gram(?:me)?s?|lit(?:re|er)s?|pints?|pounds?|ounces?|cloves?|slices?|pinch(?:es)?|handfuls?"
    r"|bunch(?:es)?|tins?|cans?|sprigs?|sticks?|pieces?|knobs?|drops?)"
)
AND_NOT = (
    r"(?!(?:and|or|with|in|into|to|for|from|until|on|at|by|over|per|a|an|the|then|that|which|is|are"
    r"|if|as|plus|of|before|after)\b)"
)
GOODS = rf"(?: {AND_NOT}[^\W\d_][\w-]{{1,20}}){{1,3}}"
NUMERAL = r"(?:\d{1,5}(?:[.,/]\d{1,3})?(?: ?[\u00bc-\u00be])?(?!\d)|[\u00bc-\u00be])"
NO_GOODS = (
    r"(?: ?(?:min(?:ute)?s?|hours?|seconds?|days?|weeks?|years?|times|degrees?|people|persons"
    r"|servings?|portions?|guests|cm|mm|steps?|(?:\w{1,15} ){1,2}(?:people|persons|guests))\b| ?°)"
)
PATTERNS = {
    "email": r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[a-zA-Z0-9-]{1,63}\.){1,8}[a-zA-Z]{2,24}\b",
    "ip": r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)"
    r"|(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:]))",
    "url": r"\b(?:https?://|www\.)[^\s<>\"`{}|\\^]{3,2000}",
    "date": r"(?<![\w./-])(?:\d{4}-\d{2}-\d{2}|\d{1,2}([./])\d{1,2}\1\d{2,4}"
    rf"|(?:{DAY}(?: ?[-\u2013] ?| (?:to|au|bis|al) ))?{DAY}(?: of| de)? {MONTH}"
    rf"(?:,?(?: de)? \d{{4}})?|{MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?"
    rf"|{MONTH} \d{{4}})(?!\w|[/-]\d)",
    "clock": CLOCK,
    "time": rf"{CLOCK}|{SPOKEN}",
    "number": r"(?<![\w.,/-])(?:\d{4}-\d\d-\d\d|\d{1,2}:\d\d(?::\d\d)?|\+\d[\d ()./-]{5,20}\d"
    rf"|[-+]?{FIGURE}(?:[-/\u2013]{FIGURE}){{0,2}})(?!\w)(?: ?%)?",
    "amount": rf"(?:[{SIGNS}]|\b(?:USD|EUR|GBP|CHF|JPY)) ?{MONEY}(?:{SCALE}|[kmM]\b)"
    rf"|(?<![\w.,]){MONEY}{SCALE}[ \u00a0\u202f]?(?:[{SIGNS}]|{COINS})",
    "phone": r"(?<![\w+.-])[+(]?\d[\d ()./-]{5,20}\d(?![\w-])",
    "version": r"(?<=\b[Vv]ersion )\d{1,6}(?:\.\d{1,6}){0,4}|\bv\d{1,6}(?:\.\d{1,6}){1,4}(?!\w)",
    "quantity": rf"(?<![\w.,])(?:{NUMERAL}(?!{NO_GOODS})(?: ?{UNIT}(?: of)?(?!\w))?{GOODS}"
    rf"|(?:an?|half an?|{HOUR}) {UNIT} of{GOODS}"
    rf"|half an? (?!hour\b){AND_NOT}[^\W\d_][\w-]{{1,20}})",
    **dict.fromkeys(("quote", "longest", "shortest"), QUOTES),
}
FOUND = {kind: re.compile(pattern) for kind, pattern in PATTERNS.items()}
SENDER = re.compile(r"(?m)^[> \t]{0,8}From: ?([^\n]{2,200})")
CODE = re.compile(r"(?<![\w.,/-])(?:[A-Z]{1,6}-?\d{1,20}|\d{4,20})(?:-\w{1,20}){0,4}(?![\w@-])")
NO_PHONE = re.compile(  # dates, ranges of years, addresses of hosts, plain numbers
    r"\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4} ?- ?\d{4}|\d{1,3}(?:\.\d{1,3}){3}"
    r"|[1-9]\d*|\d+\.\d+|[1-9]\d{0,2}(?:[. ]\d{3})+|\D*(?:\d\D*){,6}|\D*(?:\d\D*){16,}"
)
CUE = re.compile(r"(?i)\b(?:most important|above all|in short|main (?:point|thing|reason))\b")
CLAUSE_END = re.compile(r"[,;:.!?][ \n]\s*+|\n\s*+")

# --- names, words, sentences ---

UPPER = r"[A-Z\u00c0-\u00d6\u00d8-\u00de\u0391-\u03a9\u0410-\u042f]"
NAME_DOT = rf"(?:\.(?<=\b{UPPER}\.)|\.(?<=\b[DMS][rst]\.)|\.(?<=\bMrs\.)|\.(?<=\bProf\.))?"
NAME = re.compile(
    rf"(?<![\w@./-]){UPPER}[\w'\u2019-]{{0,40}}+(?:{NAME_DOT} (?:(?:van|von|de|der|del|da|di|la|of)"
    rf" )?{UPPER}[\w'\u2019-]{{0,40}}+){{0,5}}(?!@|\.\w)"
)
PLACE_WORD = re.compile(
    r"\b(?:Street|Road|Lane|Avenue|Square|Park|Bridge|River|Lake|Mountain|Hill|Hall|House|Inn|Hotel"
    r"|School|College|University|Library|Museum|Church|Hospital|Station|Airport|Company|Inc|Ltd"
    r"|GmbH|AG|Club|Council|Bank|Group|Press)\b"
)
AT_A_PLACE = re.compile(r"\b(?:[Ii]n|[Aa]t|[Nn]ear|[Ii]nto|[Tt]owards) (?:the )?$")
GERMAN = re.compile(
    r"\b(?:und|der|die|das|den|dem|ich|wir|sie|ist|sind|ein|eine|einen|einem|einer|nicht|mit|f\u00fcr"
    r"|im|am|auf|bei|wird|auch|sich|zum|zur|vom|bis|aus|mir|alle|haben|hat)\b"
)
WORD = re.compile(r"(?<![\w@./])[^\W\d_]++(?:['\u2019-][^\W\d_]++)*+(?!@|:/|[._]\w)")
SPEAKER = re.compile(rf"{UPPER}[^\n:.!?,]{{0,30}}: ")
SENTENCE_END = re.compile(
    r"(?:(?<=[.!?])|(?<=[.!?][\"')\]\u201d\u2019]))\s++|\n[ \t]*+\n\s*+|\n(?=[ \t]{0,8}[-*#\u2022])"
    rf"|\n(?={SPEAKER.pattern})|(?<=[\u3002\uff01\uff1f])"
)
NO_END = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|vs|No|Fig|e\.g|i\.e|cf|approx|Inc|Ltd)|\b[A-Z])\.$"
)
ENDS_IN_DAY = re.compile(r"\b\d{1,2}\.$")
MONTH_NEXT = re.compile(rf"{MONTH}\b")
COMMON = """
a about above across after again against all along also although am among around an and any are as
at be because been before behind being below beside between both but by can could did do does done
down during each either else even ever every few for from get got had has have he her here him his
how however i if in into is it its just like made make many may me might more most much must my
near never new no nor not now of off on once one only or other our out over own said same say says
she should since so some still such than that the their them then there these they this those
through to too two under until up us use used very was way we well were what when where whether
which while who whose why will with would yes you your"""
STOP_WORDS = frozenset(COMMON.split())
DAYS = "monday tuesday wednesday thursday friday saturday sunday"
MONTHS = """
january february march april may june july august september october november december januar
j\u00e4nner februar m\u00e4rz mai juni juli oktober dezember"""
CALENDAR = frozenset(f"{DAYS} {MONTHS}".split())
TONGUES = """
english german french spanish italian portuguese dutch polish russian ukrainian turkish arabic
hindi chinese japanese korean tamil latin greek european american british"""
LANGUAGES = frozenset(TONGUES.split())
OPENERS = """
dear hello hi hey thanks thank best kind warm regards greetings sincerely yesterday today
tomorrow please call ask tell see meet visit contact finally first second third next last later
soon perhaps maybe subject sent date to from re eur usd gbp chf info warn error debug trace fatal
euro bitte liebe lieber liebes guten hallo bis"""
NO_NAME = STOP_WORDS | CALENDAR | frozenset(OPENERS.split())
MEASURES = """
zero three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred
thousand million half quarter third dozen first second last next minute minutes hour hours day
days week weeks month months year years today tomorrow yesterday morning noon afternoon evening
night time times litre litres gram grams degree degrees metre metres kilometres centimetres please
dear thanks thank anybody everybody nobody somebody everyone someone anyone nothing something
anything everything without within whole let take takes taken give gives given little less least
cannot need needs want wants found called comes come goes keep keeps put puts look looks good bad"""
NO_KEYWORD = STOP_WORDS | CALENDAR | frozenset(MEASURES.split())
ARTICLES = STOP_WORDS & {
    "the",
    "a",
    "an",
    "this",
    "these",
    "its",
    "our",
    "your",
    "his",
    "her",
    "my",
}
