"""How a text of ours stands in a sidecar with the words of somebody else, and is found again."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from .wording import Wording, one_line

Existing = Literal["skip", "overwrite", "append", "prepend", "backup"]
JOINING = frozenset({"append", "prepend"})


class Piece(NamedTuple):
    """A text of ours in a sidecar, by its hash, because many are held."""

    length: int
    mark: int
    keywords: frozenset[int]
    """The hashes of its lines, where they are keywords."""


class Joint(Struct, frozen=True):
    """Where our text stands, beside which other."""

    existing: Existing
    wording: Wording
    keywords: bool = False
    """Texts are keywords, a line each: joined without repeats, in any order."""
    keeps_lines: bool = False
    """Somebody's text keeps its line breaks."""

    @property
    def joins(self) -> bool:
        """Whether anything stands beside our text."""
        return self.existing in JOINING

    def piece(self, text: str) -> Piece:
        """What is remembered of a text of ours."""
        lists = self.keywords and self.joins
        marks = (hash(each.casefold()) for each in text.split("\n") if lists)
        return Piece(len(text), hash(text), frozenset(marks))

    def holds(self, whole: str, piece: Piece) -> bool:
        """Whether a sidecar says a text of ours, where the rules would have put it."""
        if self.joins and self.keywords:
            return piece.keywords <= self.piece(whole).keywords
        if self.existing == "append":
            return hash(whole[-piece.length :]) == piece.mark
        if self.existing == "prepend":
            return hash(whole[: piece.length]) == piece.mark
        return len(whole) == piece.length and hash(whole) == piece.mark

    def rest(self, whole: str, piece: Piece) -> str:
        """What a sidecar says beside a text of ours.

        All of it where it lists keywords: nobody can tell which of ours somebody wants as well.
        """
        if self.joins and self.keywords:
            return whole
        if self.existing == "append":
            return whole[: -piece.length].strip()
        return whole[piece.length :].lstrip(".").strip() if self.existing == "prepend" else ""

    def joined(self, old: str, text: str) -> str:
        """Somebody's text and ours, in the order that was asked for."""
        if self.keywords:
            there = {each.casefold() for each in old.split("\n")}
            new = [each for each in text.split("\n") if each.casefold() not in there]
            first, last = ([old], new) if self.existing == "append" else (new, [old])
            return "\n".join([*first, *last])
        old = old.strip() if self.keeps_lines else one_line(old)
        join = self.wording.joined
        return join(old, text) if self.existing == "append" else join(text, old)
