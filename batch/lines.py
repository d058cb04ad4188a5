"""Cuts slabs of bytes into lines, in bounded memory; does no reading itself."""

from __future__ import annotations

from typing import NamedTuple

SLAB = 1 << 20
"""Bytes to read at a time: a thread hop costs as much as cutting thousands of lines."""


class Line(NamedTuple):
    """One physical line, without its newline."""

    offset: int
    """Where it begins, in bytes."""
    number: int
    """Counted from 1, blank lines too; 0 when reading did not begin at the top."""
    data: bytes | None
    """None when it is over the limit."""


class LineCutter:
    r"""Cuts at `\n` only. A line longer than `longest` bytes comes without its bytes."""

    def __init__(self, longest: int, start: int = 0) -> None:
        self._longest = longest
        self._offset = start
        self._number = 1 if start == 0 else 0
        self._carry: list[bytes] = []  # joined once: a line of many slabs would be copied for each
        self._held = 0
        self._skipped = 0

    def cut(self, slab: bytes) -> list[Line]:
        """The lines that end in this slab."""
        first, *pieces = slab.split(b"\n")
        self._add(first)
        if not pieces:
            return []
        rest = pieces.pop()
        lines = [self._line()]
        offset, number, step = self._offset, self._number, self._number > 0
        for piece in pieces:
            size = len(piece)
            lines.append(Line(offset, number, piece if size <= self._longest else None))
            offset += size + 1
            number += step
        self._offset, self._number = offset, number
        self._add(rest)
        return lines

    def rest(self) -> list[Line]:
        """The last line, when the file does not end with a newline."""
        return [self._line()] if self._held or self._skipped else []

    def _add(self, piece: bytes) -> None:
        """Append to the line under way, or only count once it is too long."""
        if not piece:
            return
        if self._skipped or self._held + len(piece) > self._longest:
            self._skipped += self._held + len(piece)
            self._carry.clear()
            self._held = 0
        else:
            self._carry.append(piece)
            self._held += len(piece)

    def _line(self) -> Line:
        """The line under way, ended."""
        data = self._carry[0] if len(self._carry) == 1 else b"".join(self._carry)
        line = Line(self._offset, self._number, None if self._skipped else data)
        self._offset += (self._skipped or self._held) + 1
        self._number += self._number > 0
        self._carry.clear()
        self._held = 0
        self._skipped = 0
        return line
