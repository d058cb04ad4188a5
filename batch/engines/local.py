"""One event loop in this process, and what signals mean to it.

First SIGINT, SIGTERM or SIGHUP: no new jobs, those in flight are finished (at most `grace`
seconds). Second: drop them, save, leave. Third: leave at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal

import uvloop

from ..errors import Interrupted
from ..events import Observer
from ..recorder import Glance
from ..session import Session
from ..settings import Settings
from ..summary import Summary

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
PATIENCE = 2.0
"""Seconds between the second signal and the end of the process."""


class Interrupts:
    """Counts signals and passes each on: stop, abandon, leave."""

    def __init__(self, session: Session, main: asyncio.Task[Summary], grace: float) -> None:
        self.code = 0
        self._session = session
        self._main = main
        self._grace = grace
        self._count = 0
        self._loop = asyncio.get_running_loop()

    def install(self) -> None:
        """Listen; a SIGHUP that nohup told to ignore stays ignored."""
        for number in CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._loop.add_signal_handler(number, self._received, number)

    def remove(self) -> None:
        """Listen no more."""
        for number in CODES:
            self._loop.remove_signal_handler(number)

    def _received(self, number: signal.Signals) -> None:
        """One more signal."""
        self._count += 1
        self.code = self.code or CODES[number]
        if self._count == 1 and self._session.interrupt(f"interrupted by {number.name}", self.code):
            self._loop.call_later(self._grace, self._session.abandon)
        elif self._count <= 2:
            self._session.abandon()
            if not self._session.running:
                self._main.cancel()
            self._loop.call_later(PATIENCE, os._exit, self.code)
        else:
            os._exit(self.code)


def run_local(settings: Settings, observer: Observer, glance: Glance) -> Summary:
    """Run on this machine.

    Raises `UsageError` and `RunError` for what was found before the first request: `Interrupted`
    is one of them.
    """
    raise_file_limit()
    calm_collector()
    session = Session(settings, observer, glance)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(supervised(session, settings.grace))


async def supervised(session: Session, grace: float) -> Summary:
    """The session's run with signals passed on to it."""
    main = asyncio.create_task(session.run())
    interrupts = Interrupts(session, main, grace)
    interrupts.install()
    try:
        return await main
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # users read one error, not a group of one
    except asyncio.CancelledError:
        raise Interrupted(interrupts.code or 130) from None
    finally:
        interrupts.remove()


def calm_collector() -> None:
    """Let the garbage collector look seldom.

    A request leaves no cycles, and a tenth of the CPU of a run went into looking for them.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def raise_file_limit() -> None:
    """Allow as many open files as the system grants: sockets and images need them."""
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
