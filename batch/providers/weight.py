"""Whether a reply would take much more memory than its bytes: millions of small JSON values do.

Seven MiB of `[[]],` become 250 MB of lists. What a codec does not read is skipped without being
built, however large it is (the log probabilities of every token), so only what it reads is weighed.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

LIGHT = 1 << 20
"""Bytes; what is shorter is built without being weighed."""
MOST_VALUES = 200_000
"""Values of one reply, about: each takes up to 100 bytes."""

SINGLE = (str, int, float, bool, type(None))
"""Types of one value."""
STRING = b'"'
"""Begins a string, which is one value however many commas are in it."""


def is_heavy(text: bytes) -> bool:
    """Whether so much JSON holds too many values; a comma or a bracket stands for one."""
    if len(text) <= LIGHT:
        return False
    return sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES


def is_too_heavy(body: bytes, shape: Any) -> bool:
    """Whether what `shape` reads of a body holds too many values."""
    if not is_heavy(body):
        return False
    try:
        read = msgspec.json.decode(body, type=unbuilt(shape))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True  # it would have to be built to be understood, if at all
    return any(is_heavy(text) for text in map(bytes, texts_of(read)) if text[:1] != STRING)


@functools.cache
def unbuilt(shape: Any) -> Any:
    """A type as it is, but with the JSON text in place of what may hold any number of values."""
    if shape in SINGLE:
        return shape
    if isinstance(shape, type) and issubclass(shape, Struct):
        fields = msgspec.structs.fields(shape)
        return msgspec.defstruct(
            shape.__name__,
            [(field.name, unbuilt(field.type), None) for field in fields],
            rename={field.name: field.encode_name for field in fields},
            array_like=shape.__struct_config__.array_like,
        )
    if get_origin(shape) in (Union, UnionType):
        kinds = [unbuilt(kind) for kind in get_args(shape)]
        return Raw if Raw in kinds else functools.reduce(operator.or_, kinds)
    return Raw


def texts_of(value: Any) -> Iterator[Raw]:
    """The JSON texts that were left."""
    if isinstance(value, Raw):
        yield value
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from texts_of(getattr(value, name))
