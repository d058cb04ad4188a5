"""`.STEM.marks`: the jobs in flight in a run that follows one that died, should it die too.

A line a job, 20 bytes wide: how many deaths it was in flight at, `+` while it is so now, and a hash
of its id. Nothing is synced: what a process wrote outlives it, and a power cut may forget this.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..files import private, read_private

LINE = re.compile(rb"(\d)([+-]) ([0-9a-f]{16})\n")
WIDTH = 20
MOST_TOLD = 9
MOST_BYTES = 1 << 24


def mark_of(name: str) -> str:
    """What stands for an id: the same in every process."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def deaths_told(path: Path) -> dict[str, int]:
    """At how many deaths a job was in flight, by its mark; damaged lines tell nothing."""
    try:
        data = read_private(path, MOST_BYTES)
    except OSError:
        return {}
    told = {mark.decode(): int(times) + (now == b"+") for times, now, mark in LINE.findall(data)}
    return {mark: min(times, MOST_TOLD) for mark, times in told.items() if times}


class Marks:
    """The file of one run; `deaths` are those before it, by mark. Raises `OSError`."""

    def __init__(self, path: Path, deaths: Mapping[str, int]) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        self._free: list[int] = []
        self._fd = private(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for mark, times in deaths.items():
            self.tell(mark, times)

    def tell(self, mark: str, times: int, *, in_flight: bool = False) -> None:
        """Note how a job stands. A disk that does not take it costs this knowledge, not the run."""
        place = self._places.get(mark)
        if place is None:
            place = self._free.pop() if self._free else len(self._places)
            self._places[mark] = place
        line = f"{times}{'+' if in_flight else '-'} {mark}\n".encode()
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, line, place * WIDTH)

    def clear(self, mark: str) -> None:
        """Forget a job: its line is free for another."""
        if mark in self._places:
            self.tell(mark, 0)
            self._free.append(self._places.pop(mark))

    def close(self, *, keep: bool) -> None:
        """Close the file; without `keep` there is nothing more to know."""
        os.close(self._fd)
        if not keep:
            self._path.unlink(missing_ok=True)
