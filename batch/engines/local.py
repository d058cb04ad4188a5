"""One event loop in this process, and what signals mean to it.

First SIGINT, SIGTERM or SIGHUP: no new jobs, those in flight are finished (at most `grace`
seconds). Second: drop them, save, leave. Third: leave at once. A SIGHUP is never the second: who
hangs up may be told of it twice, by the terminal and by the shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import uvloop
from msgspec.structs import replace

from ..errors import Interrupted
from ..events import Narrowed, Observer
from ..providers.registry import is_command
from ..recorder import Glance
from ..session import Session
from ..settings import Settings
from ..signals import CODES, PATIENCE, heard, leave_within, listen, unwind
from ..summary import Summary

DROPPED = b"overnight: interrupted: what was under way is left; run the same command again\n"

MOST_FILES = 65_536
OWN_FILES = 32
"""Open files of a run itself: outputs, source, images being loaded, the event loop."""
COMMAND_FILES = 8
"""Open files of a command under way; a request takes one, its socket."""

Finish = Callable[[Summary], None]


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
        """Listen."""
        listen(self._heard)

    def remove(self) -> None:
        """Listen no more: what comes while the loop is put away only hastens that."""
        listen(lambda number, _: leave_within(PATIENCE, CODES[number], DROPPED))

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        """Pass a signal on to the loop, which is at an unknown point of its work now."""
        if self._count and number == signal.SIGHUP:
            return
        self._count += 1
        self.code = self.code or CODES[number]
        if self._count > 2:
            os._exit(self.code)
        reason = f"interrupted by {signal.Signals(number).name}"
        self._loop.call_soon_threadsafe(self._received, reason, self._count)

    def _received(self, reason: str, count: int) -> None:
        """The first or second signal."""
        if self._main.done():
            leave_within(PATIENCE, self.code, DROPPED)
        elif count == 1 and self._session.interrupt(reason, self.code):
            self._loop.call_later(self._grace, self._drop)
        else:
            self._drop()

    def _drop(self) -> None:
        """Wait for nothing any more; save, sum up and leave."""
        leave_within(PATIENCE, self.code, DROPPED)
        self._session.abandon()
        if not self._session.running:
            self._main.cancel()


def run_local(
    settings: Settings, observer: Observer, glance: Glance, finish: Finish = lambda _: None
) -> Summary:
    """Run on this machine; `finish` is shown the summary while signals are still listened to.

    Raises `UsageError` and `RunError` for what was found before the first request: `Interrupted`
    is one of them.
    """
    files = raise_file_limit()
    asked, settings = settings.concurrency, narrowed(settings, files)
    if settings.concurrency < asked:
        observer(Narrowed(asked, settings.concurrency, files))
    leave_no_core()
    calm_collector()
    session = Session(settings, observer, glance)
    with handlers_kept(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(supervised(session, settings.grace, finish))


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Whoever listened to signals before does so again, but for our own process, which is over."""
    before = {number: signal.getsignal(number) for number in heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not unwind:
                signal.signal(number, handler)


async def supervised(session: Session, grace: float, finish: Finish) -> Summary:
    """The session's run with signals passed on to it."""
    main = asyncio.create_task(session.run())
    interrupts = Interrupts(session, main, grace)
    interrupts.install()
    try:
        summary = await main
        finish(summary)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # users read one error, not a group of one
    except asyncio.CancelledError:
        raise Interrupted(interrupts.code or 130) from None
    else:
        return summary
    finally:
        interrupts.remove()


def calm_collector() -> None:
    """Let the garbage collector look seldom.

    A request leaves no cycles, and a tenth of the CPU of a run went into looking for them.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def leave_no_core() -> None:
    """Let a crash write no picture of our memory into a file: keys and prompts are in it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def raise_file_limit() -> int:
    """Allow as many open files as the system grants; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def narrowed(settings: Settings, files: int) -> Settings:
    """The settings with no more requests at once than so many open files allow."""
    each = COMMAND_FILES if is_command(settings.provider) else 1
    most = max(1, (files - OWN_FILES) // each)
    if settings.concurrency <= most:
        return settings
    return replace(settings, concurrency=most)
