"""The words of instructions: what is asked for, what is beyond extraction, what else is understood.

Every pattern is bounded or possessive, so that the time grows with the prompt and no faster.
"""

from __future__ import annotations

import re

# --- where they end and what they ask for ---

LABEL = r"(?:text|article|document|passage|input|transcript)"
ONLY_LABEL = re.compile(rf"(?i)\W*(?:(?:the|this|following|here|is) )*{LABEL}\W*")
ENDS_IN_LABEL = re.compile(rf"(?i)\b{LABEL}\W*$")
STARTS_WITH_LABEL = re.compile(rf"(?i)\s{{0,20}}{LABEL}[ \t]*:")
FENCE_NAME = re.compile(r"\A\w{0,20}\n")
BREAK = re.compile(r"[.!?:][ \t]*\n|\n[ \t]*\n|:[ \t]")
GOES_ON = re.compile(r"[^\n]{1,300}+(?<=:)\n")  # an instruction that has a colon in its midst
MORE_ORDERS = re.compile(
    r"(?i)\s{0,9}(?:use|return|answer|give|only|do not|don't|please|output|keep|one"
    r"|also|then|say|tell|for each|translate|explain) .{0,150}\n"
)
SUMMARY_ORDER = re.compile(
    r"(?i)\b(?:write|give|make|create|provide|produce|generate|return)(?: me| us)?(?: an?| the)?"
    r"(?: [\w-]{1,20}){0,3} (?:summary|overview|abstract|tl;?dr)\b|\bwrite down\b"
)
BEYOND = re.compile(
    r"(?i)\b(?:translat|re-?writ|rephras|paraphras|classif|categori[sz]|sentiment|expla[in]"
    r"|compos|generat|creat|continu|correct|improv|simplif|convert|evaluat|compar|describ|analy[sz]"
    r"|suggest|recommend|comput|calculat|decid|judg|critici|opinion|invent|guess"
    r"|answer(?!s? (?:only|with|in|just)\b)|writ(?:e|ing)\b|fix\b|why\b|how\b|score\b|rate\b"
    r"|(?<![^.!?:\n] )(?<![^\s])who\b(?! (?:wrote|sent)\b)|act as|role-?play|story|poem|joke|essay"
    r"|sort|rank\b|count\b(?<!they count)|total\b|average\b|sum of"
    r"|except\b|excluding|without\b|other than|(?:fewer|less) than|\d+ (?:words|characters)\b"
    r"|(?:larg|bigg|small|high|low|earli|lat|old|new|cheap)est\b|(?:after|before|since|until) \d"
    r"|(?:as|in|into|to) (?:an? |valid )*(?:json|csv|xml|yaml|markdown|html|table)\b"
    r"|(?:in|into|to) (?:english|german|french|spanish|italian|portuguese|dutch|polish|russian"
    r"|ukrainian|turkish|arabic|hindi|chinese|japanese|korean)\b)"
)
EXTRACTS = re.compile(r"(?i)\b(?:extract|find|get|pull|collect|give|return|select)\b")
ASKS = re.compile(
    rf"{EXTRACTS.pattern}|\b(?:list|name|show|identify|what|which|print|output|who|need|want"
    r"|tell me)\b"
)
ORDER = re.compile(rf"{ASKS.pattern}|summari[sz]|tl;?dr|please\b")
IS_SOURCE = re.compile(
    r"(?i)\b(?:from|in|(?<!list )of|this|these|those)(?: (?:the|this|these|following|my))*+ $"
)
NOUNS = {
    "email": r"e-?mail(?: address(?:es)?|s)?",
    "ip": r"ip(?:v[46])?(?: address(?:es)?|s)",
    "url": r"urls?|links?|web ?addresses|web ?sites?",
    "quantity": r"ingredients (?:and|with) (?:their |the )?(?:amounts|quantities)|quantities",
    "date": r"dates?",
    "time": r"times(?: of (?:the )?day)?",
    "clock": r"time(?: of (?:the )?day)?",
    "amount": r"(?:amounts?|sums)(?: of money)?|prices?|costs?",
    "phone": r"(?:tele)?phone numbers?|phones?",
    "version": r"version numbers?|versions",
    "labelled": r"(?P<label>serial|order|invoice|ticket|customer|tracking|reference) numbers?",
    "number": r"numbers?(?! of)|figures",
    "person": r"names of (?:the |all (?:the )?)?(?:people|persons)|people|persons",
    "name": r"(?:proper )?names|(?:(?<=every )|(?<=each ))name|proper nouns|named entities",
    "keyword": r"key-? ?words?|key terms|tags",
    "title": r"(?<!\ba )(?:title|headline)(?! of (?:the |this )?+(?!text|article|document))"
    r"|first sentence",
    "sender": r"who (?:wrote|sent)(?: in)?|senders?",
    "line": r"lines? (?:that |which )?(?:reports?|contain(?:s|ing)?|hold(?:s|ing)?"
    r"|mention(?:s|ing)?|with)(?: the word| an?| any| the)?"
    r" (?P<term>[\"']?[\w-]{2,40}[\"']?)(?=\s*(?:[.?!:]|$))",
    "question": r"questions?",
    "longest": r"longest quot(?:e|ation)",
    "shortest": r"shortest quot(?:e|ation)",
    "quote": r"quotes|quotations",
}
ASKED = re.compile(
    rf"(?i)(?<!\w)(?:{'|'.join(f'(?P<{kind}>{nouns})' for kind, nouns in NOUNS.items())})(?!\w)"
)
ALONE = ("title", "longest", "shortest", "sender", "line", "person")
SUMMARY = re.compile(
    r"(?i)\b(?:summari[sz]e?|summary\b|tl;?dr\b|shorten\b|condense\b|gist\b"
    r"|(?:key|main|central|most important) (?:points?|ideas?|sentences?|statements?)\b)"
)
DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
COUNT = re.compile(
    rf"(?i)\b(?:at most )?({'|'.join(DIGITS)}|single|\d{{1,2}})"
    r"(?:[ -](?:key|main|central|most|important|short|brief|full|complete|clear)\b)*+"
    r"[ -](?:sentences?|points?|key-? ?words?|statements?|ideas?|tags|key terms)\b"
)

# --- what else may stand in one that is understood to its last word ---

ASIDE = re.compile(
    r"(?i)(?:\A|(?<=[.!?:\n])\s*)(?:you|i|we|here (?:is|are)|below (?:is|are)|this is)\b"
    r"(?! (?:want|need|would|should|must|could|can|list|extract|find|give)\b)"
    r"[^.!?:\n]{0,300}+[.!?:]"
)
CONTEXT = re.compile(
    r"(?i),? ?(?:\band )?(?:\b(?:say|tell me) )?\bwhat (?:they|each(?: one| of them)?)"
    r" (?:counts?|(?:is|are) for|means?|stands? for|refers? to|are|is)\b"
)
PAIRED = re.compile(r"(?i)\b(?:and|with) their\b")
WITHIN = re.compile(
    r"(?i)\b(?:that|which) (?:were|was|are|is|have been|has been)"
    r" (?!(?:named|mentioned|contained|listed|used)\b)([a-z]{2,20}ed|sent|paid|lost|sold)"
    r"(?=\s*(?:[.?!:]|$))"
)
OF_ONE = re.compile(r"(?i)\bof (?:the|my|our|his|her|their) (?!first|last)[\w-]{2,20}")
APART = re.compile(
    r"(?i)\b(?:(?:only )?one (?:a|per|on each) line|each on (?:its own|a new|a separate) line"
    r"|line by line)\b"
)
COMMAS = re.compile(r"(?i)\b(?:comma[- ]separated|separated by commas?)\b")
NO_MORE = re.compile(
    r"(?i)\b(?:no|without(?: any)?|do not|don't)(?: (?:add|give|include|any))*+"
    r" (?:explain(?: (?:anything|them|it))?|explanations?|prose|comments?|preamble"
    r"|(?:other|extra) (?:text|words?))\b"
)
SORTS = (
    r"(?:text|article|document|passage|input|transcript|message|(?:e-?)?mail(?! address)|report"
    r"|page|letter|notes?|content|conversation|review|minutes|chapter|paragraph|block|thread|chat|log"
    r"|ticket|notice|description|invoice|interview|story|speech|post)"
)
SOURCE = re.compile(
    r"(?i)\b(?:(?:of|in|on|from|for|within) )?(?:this|these)"
    r"(?: (?!(?:and|or|that|which|with|after|in|before|by|as|what|who|for|from|of|to|name|mention"
    r"|contain|give|an?|the|is|are|one|all|each)\b)[\w'-]{1,20}){0,3}"
    r"(?: from (?:the|an?|my|our)(?: (?!and\b|that\b|which\b)[\w'-]{1,20}){1,3})?"
    rf"|\b(?:(?:of|in|from|for|within) )?(?:the|my|our|user)(?: (?:following|above|given|whole"
    rf"|user(?:'s)?|attached|meeting|support|product|news))?(?: {SORTS})+"
    r"(?: (?:below|above|itself))?(?=\s*(?:[.,:;!?\n]|$|(?:and|in|with|that|which|as|one|each)\b))"
)
ALLOWED = re.compile(
    r"(?i)(?:\A|(?<=[.!?:\n]))\s*(?:please )?name\b"
    r"|\b(?:(?:that|which) (?:(?:the (?:writer|author|sender)|he|she) asks?"
    r"|(?:it|they) (?:names?|mentions?|contains?|holds?))"
    r"|(?:that |which )?(?:are |is |were |was )?(?:named|mentioned|given|contained|listed|found"
    r"|present|used|asked|appear(?:s|ing)?|occur(?:s|ring)?)"
    r"|do(?:es)? +(?:name|mention|contain|give)|word for word|for me|nothing else"
    r"|tell me (?=the |all |which |what )"
    r"|in (?:a|a few|short|full|complete)? ?sentences?|as (?:they|it) (?:stands?|are|is)"
    r"|in the order (?:in which they (?:stand|appear)|of the text)|in order of appearance"
    r"|answers? (?:only )?(?:with|in) (?:only )?"
    r"|(?:do not|don't|never) add (?:anything|any other words?)(?: else)?)"
)
FILL = """
please read kindly can could would you me us i we want need like to the a an all any every each
both of only just out in from and or plus also then it them they there here is are be was were
do that which what list show identify extract find get give pull collect return select print
output make provide take copy use text short brief concise exact exactly verbatim unique
distinct different"""
FILLER = re.compile(rf"(?i)\b(?:{'|'.join(FILL.split())})\b")
