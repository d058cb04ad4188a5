"""Notices that this machine slept, or that this process was stopped for a while.

Timers and the monotonic clock stand still while a machine sleeps, but its connections die.
"""

from __future__ import annotations

import time

from .clock import Clock

GAP = 30.0
"""Seconds from which on a gap is no busy machine but a sleep."""


def boot_time() -> float:
    """Seconds since the start of the machine, its sleeps included; the wall clock elsewhere.

    Linux has a clock for it (CLOCK_BOOTTIME), so that a clock that is set means nothing.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() if clock is None else time.clock_gettime(clock)


class Waking:
    """Compares a clock that stands still in sleep with one that goes on."""

    def __init__(self, clock: Clock, wall: Clock = boot_time) -> None:
        self._clock = clock
        self._wall = wall
        self._drift = wall() - clock()
        self._ticked: float | None = None

    def tick(self) -> float:
        """Called every second or more often; the seconds that were slept through since."""
        slept = self.slept()
        self._ticked = self._clock()
        return slept

    def slept(self) -> float:
        """Seconds of a sleep that is not told yet; 0 when there was none.

        A process that was stopped (SIGSTOP, a frozen container) has missed its ticks.
        """
        now = self._clock()
        drift = self._wall() - now
        slept, self._drift = drift - self._drift, drift
        held = 0.0 if self._ticked is None else now - self._ticked
        if held > GAP:
            self._ticked = now
        return sum(seconds for seconds in (slept, held) if seconds > GAP)
