"""From the bytes of a line to a JSON object that can mean one thing only."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import msgspec

from ..printable import shortened

DEEPEST = 200
"""Levels of nesting: everything that walks a job later does so by recursion."""

DECODER = msgspec.json.Decoder()
HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
NO_NUMBER = re.compile(rb"\b(NaN|Infinity)\b")


class BadLine(Exception):
    """A line that is no valid job, said in words for the one who wrote it."""


def decoded(data: bytes) -> dict[str, Any]:
    """The JSON object of a line; raises `BadLine` for everything else."""
    try:
        value = DECODER.decode(data)
    except RecursionError as error:
        raise BadLine("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadLine(fault(data, str(error))) from error
    if not isinstance(value, dict):
        raise BadLine("a job is a JSON object")
    keys = count_keys(value)
    if data.count(b":") != keys and not holds_once(data, keys):
        refuse_repeated_keys(data)
    return value


def count_keys(value: Any, depth: int = 1) -> int:
    """How many keys an object or array holds at all depths; raises `BadLine` when too deep."""
    if depth > DEEPEST:
        raise BadLine("nested too deeply")
    count = 0
    if type(value) is dict:
        count = len(value)
        value = value.values()
    for each in value:
        if type(each) is dict or type(each) is list:
            count += count_keys(each, depth + 1)
    return count


def holds_once(data: bytes, keys: int) -> bool:
    """Whether a glance is enough to know that no key was dropped, when `keys` were kept.

    Each key stands before one `":`, unless there are blanks between, and text can only add some.
    """
    spaced = b" :" in data or b"\t:" in data or b"\r:" in data
    return not spaced and data.count(b'":') == keys


def refuse_repeated_keys(data: bytes) -> None:
    """Raise `BadLine` when an object repeats a key: parsers keep the last one silently."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) < len(pairs):
            again = next(
                name for name, times in Counter(each[0] for each in pairs).items() if times > 1
            )
            raise BadLine(f"the key `{shortened(again)}` stands twice in one object")
        return names

    json.loads(data, object_pairs_hook=unique, parse_int=str)


def fault(data: bytes, words: str) -> str:
    """What is wrong with bytes that are no JSON, from the decoder's words and a look at them."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"no UTF-8 at byte {error.start + 1}: {error.reason}"
    words = words.removeprefix("JSON is malformed: ").split(" - at ")[0]
    if b"\0" in data:
        words += " (NUL bytes: if this is UTF-16, save it as UTF-8)"
    elif NO_NUMBER.search(data):
        words += " (NaN and Infinity are no JSON)"
    elif HALF_PAIR.search(data):
        words = r"half of a surrogate pair (\uD800 to \uDFFF) is no character"
    elif "truncated" in words:
        words += " (one object a line; is the file still being written?)"
    return f"no valid JSON: {words}"
