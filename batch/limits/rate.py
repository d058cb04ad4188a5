"""Requests and tokens a minute, evenly spread."""

from __future__ import annotations

LATE = 0.005
"""Seconds by which a timer may ring late without the time being lost."""


class Moments:
    """Moments at which requests may go out, `interval` seconds apart; a rest is not saved up."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._next = float("-inf")

    def __repr__(self) -> str:
        return f"Moments(interval={self.interval:g})"

    def wait(self, now: float) -> float:
        """Seconds until the next moment; 0 or less when it has come."""
        return self._next - now

    def take(self, now: float) -> None:
        """A request goes out."""
        start = self._next if now - self._next < LATE else now
        self._next = start + self.interval


class Tokens:
    """Tokens a minute, evenly spread; a request may go out whenever no tokens are owed.

    So a large request is never overtaken for ever by small ones: it goes when its turn comes,
    and those behind it wait until its tokens are paid.
    """

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self._owed = 0.0
        self._at = float("-inf")

    def __repr__(self) -> str:
        return f"Tokens({self.per_minute:g} a minute, {self._owed:g} owed)"

    def wait(self, now: float) -> float:
        """Seconds until nothing is owed any more."""
        self._pay(now)
        return self._owed * 60.0 / self.per_minute

    def take(self, now: float, tokens: float) -> None:
        """A request of about so many tokens goes out."""
        self._pay(now)
        self._owed += tokens

    def correct(self, tokens: float) -> None:
        """So many tokens more (or fewer, when negative) were used than was thought."""
        self._owed = min(self._owed + tokens, max(self._owed, self.per_minute))

    def _pay(self, now: float) -> None:
        """Let the time pay what is owed; no more than the tokens of a second are saved up."""
        second = self.per_minute / 60.0
        paid = min(now - self._at, 3600.0) * second
        self._owed = max(self._owed - paid, -second)
        self._at = now
