"""Which pictures of a run somebody should look at, found from measures and told by id."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

MOST = 200_000
"""Pictures that are looked through: there is a bound on everything."""

SHOWN = 5
"""Ids that a finding names."""

NEAR = 4
"""Bits of 64 in which the hashes of two pictures that look the same may differ."""

BANDS, WIDTH = 4, 16
MASK = (1 << WIDTH) - 1

CROWD = 16
"""Hashes that are compared of those that share a band, so that the time stays linear: the last
ones, because pictures that look the same mostly have names that follow each other."""

TINY, BLANK, BLURRED, ALIKE, BEYOND = "tiny", "blank", "blurred", "alike", "beyond"


class Signs(Struct, frozen=True):
    """What was measured of one picture: its flaws, and its difference hash.

    The hash has 64 bits; 0 when there is nothing in the picture to compare.
    """

    flaws: tuple[str, ...] = ()
    hash: int = 0


class Finding(Struct, frozen=True):
    """How many pictures have one flaw, with the ids of the first few in the order of ids."""

    kind: str
    count: int
    ids: tuple[str, ...] = ()


class Triage:
    """Collects the signs of a run's pictures; about 8 bytes a picture besides its id."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._ids: dict[str, None] = {}
        self._hashes = array("Q")
        self._flawed: Counter[str] = Counter()
        self._named: defaultdict[str, list[str]] = defaultdict(list)
        self._beyond = 0

    def __repr__(self) -> str:
        return f"Triage(pictures={len(self._ids)}, beyond={self._beyond})"

    def add(self, job: str, signs: Signs) -> None:
        """Take in the picture of the job with the id `job`; only once when it is asked again."""
        if job in self._ids:
            return
        if len(self._ids) >= self._most:
            self._beyond += 1
            return
        self._ids[job] = None
        self._hashes.append(signs.hash)
        for flaw in signs.flaws:
            self._flawed[flaw] += 1
            # Answers come in any order; the first few by id are told.
            self._named[flaw] = sorted([*self._named[flaw], job])[:SHOWN]

    def findings(self) -> tuple[Finding, ...]:
        """What was found, kind by kind; of pictures that look the same each one but the first."""
        found = [
            Finding(kind, self._flawed[kind], tuple(self._named[kind]))
            for kind in (TINY, BLANK, BLURRED)
            if self._flawed[kind]
        ]
        pairs = self._pairs()
        if pairs:
            ids = tuple(f"{later} = {first}" for later, first in pairs[:SHOWN])
            found.append(Finding(ALIKE, len(pairs), ids))
        return (*found, Finding(BEYOND, self._beyond)) if self._beyond else tuple(found)

    def _pairs(self) -> list[tuple[str, str]]:
        """Ids of pictures that look like one with an earlier id, each with that one's."""
        known = sorted(each for each in zip(self._ids, self._hashes, strict=True) if each[1])
        near = lookalikes([value for _, value in known])
        return [(known[later][0], known[first][0]) for later, first in near]


@runtime_checkable
class Triaging(Protocol):
    """A client that looks its pictures through."""

    triage: Triage


def lookalikes(hashes: Sequence[int]) -> list[tuple[int, int]]:
    """Places of hashes with an earlier one at a Hamming distance of at most `NEAR`, and its place.

    Hashes that differ in three bits share a band of the four. With four bits they may share none,
    and then each band differs in one bit: the first band is also looked up with each bit turned.
    In a crowd that shares a band only its last `CROWD` are compared.
    """
    first: dict[int, int] = {}
    tables: list[defaultdict[int, list[int]]] = [defaultdict(list) for _ in range(BANDS)]
    pairs = []
    for place, value in enumerate(hashes):
        if value in first:
            pairs.append((place, first[value]))
            continue
        near = [
            first[other]
            for other in candidates(value, tables)
            if (other ^ value).bit_count() <= NEAR
        ]
        if near:
            pairs.append((place, min(near)))
        first[value] = place
        for table, band in zip(tables, bands(value), strict=True):
            table[band].append(value)
            if len(table[band]) > CROWD:
                del table[band][0]
    return pairs


def candidates(value: int, tables: Sequence[dict[int, list[int]]]) -> Iterator[int]:
    """Hashes that may be near `value`; one may come more than once."""
    keys = bands(value)
    for table, band in zip(tables, keys, strict=True):
        yield from table.get(band, ())
    for bit in range(WIDTH):
        yield from tables[0].get(keys[0] ^ 1 << bit, ())


def bands(value: int) -> tuple[int, ...]:
    """The four 16-bit pieces of a 64-bit hash, the lowest first."""
    return tuple(value >> WIDTH * band & MASK for band in range(BANDS))
