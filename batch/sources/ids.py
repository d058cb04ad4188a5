"""Keeps ids unique over all sources of a run, in about 70 bytes an id."""

from __future__ import annotations


class Ids:
    """The ids seen so far, by their hash: 64 bits, so a million ids clash once in 10⁷ files."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._repeats: dict[str, int] = {}

    def claim(self, name: str) -> bool:
        """Take an id; False when it is taken already."""
        mark = hash(name)
        if mark in self._seen:
            return False
        self._seen.add(mark)
        return True

    def claim_repeat(self, name: str) -> str:
        """The next free of `name-2`, `name-3` … for a repeated line."""
        count = self._repeats.get(name, 1)
        while True:
            count += 1
            self._repeats[name] = count
            if self.claim(again := f"{name}-{count}"):
                return again
