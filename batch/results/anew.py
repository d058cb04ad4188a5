"""`--fresh`: since when an output was begun anew, which its lock file tells.

What is older was to be replaced. It is not taken back by the next run either, when that one did
not get to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from .index import file_lines
from .lock import Lock
from .records import decoded


class Finished(Struct):
    """When an answer came."""

    finished_at: str


FINISHED = msgspec.json.Decoder(Finished)


def begun_anew(facts: dict[str, Any]) -> str:
    """When the last run began that asked everything anew and answered something; else empty.

    `facts` are what the lock file tells.
    """
    told = facts.get("fresh")
    return told if isinstance(told, str) else ""


def is_answered_since(path: Path, moment: str) -> bool:
    """Whether a file of results holds an answer that came at a moment or later; blocks."""
    rows = (decoded(FINISHED, line) for line in file_lines(path))
    return any(row is not None and row.finished_at >= moment for row in rows)


@contextmanager
def telling_anew(lock: Lock | None, moment: str, answers: Callable[[], int]) -> Iterator[None]:
    """Tell that everything is asked anew from `moment` on; nothing without a lock.

    A run that ends without a single answer has replaced nothing: what was told before holds again.
    Raises `OutputError`.
    """
    if lock is None:
        yield
        return
    before = begun_anew(lock.facts())
    lock.add({"fresh": moment})
    try:
        yield
    finally:
        if not answers():
            lock.add({"fresh": before})
