"""Tells where the program stands while its event loop answers nobody."""

from __future__ import annotations

import contextlib
import faulthandler
import sys

from ..events import Event
from ..results.state import RunState
from ..summary import Summary
from .progress import View

HELD = 1.0
"""Seconds without a glance, which comes four times a second, after which the stacks are told."""


class Watch:
    """A view that prints the stacks of all threads to stderr when the loop is held up for long.

    A thread beneath Python does it, because what holds up the loop may hold up every thread.
    """

    def __init__(self, view: View) -> None:
        self._view = view

    def event(self, event: Event) -> None:
        """Pass it on."""
        self._view.event(event)

    def glance(self, state: RunState) -> None:
        """Begin to count anew."""
        self._view.glance(state)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no stderr that is a file
            faulthandler.dump_traceback_later(HELD, file=sys.stderr)

    def finish(self, summary: Summary) -> None:
        """Pass it on."""
        self._view.finish(summary)

    def close(self) -> None:
        """Count no more."""
        faulthandler.cancel_dump_traceback_later()
        self._view.close()
