"""Keeps ids unique over all sources of a run, in about 70 bytes an id."""

from __future__ import annotations


class Ids:
    """The ids seen so far, by their hash: 64 bits, so a million ids clash once in 10⁷ files."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._repeats: dict[int, int] = {}

    def claim(self, name: str) -> bool:
        """Take an id; False when it is taken already."""
        mark = hash(name)
        if mark in self._seen:
            return False
        self._seen.add(mark)
        return True

    def claim_repeat(self, name: str) -> int:
        """Take the next free of `name-2`, `name-3` … for a repeated line; its number."""
        mark = hash(name)
        count = self._repeats.get(mark, 1) + 1
        while not self.claim(numbered(name, count)):
            count += 1
        self._repeats[mark] = count
        return count


def numbered(name: str, count: int) -> str:
    """The id of the `count`th line of one content."""
    return f"{name}-{count}" if count > 1 else name
