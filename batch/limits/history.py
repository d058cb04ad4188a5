"""What a limit was over time, in bounded memory."""

from __future__ import annotations

MOST = 60
"""Points that are kept."""


class History:
    """Pairs of a moment (seconds since the start) and the limit from then on.

    When there are too many of them, every second one is forgotten and from then on they are
    taken half as often: a night is told as coarsely as a minute.
    """

    def __init__(self) -> None:
        self.points: list[tuple[float, int]] = []
        self._spacing = 0.0

    def __repr__(self) -> str:
        return f"History({len(self.points)} points, {self._spacing:g} s apart)"

    def add(self, at: float, limit: int) -> None:
        """The limit at a moment."""
        if self.points and (limit == self.points[-1][1] or at - self.points[-1][0] < self._spacing):
            return
        self.points.append((round(at, 1), limit))
        if len(self.points) > MOST:
            del self.points[1::2]
            self._spacing = max(2 * self._spacing, at / MOST)
