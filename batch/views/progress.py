"""Progress on stderr: one live line on a terminal, a plain line a minute elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Literal, Protocol

from ..events import (
    Event,
    FellBack,
    Narrowed,
    Paused,
    Planned,
    Repaired,
    Retrying,
    Stopping,
    Told,
    Unwritable,
    Waiting,
    Woke,
)
from ..results.state import RunState
from ..summary import Summary
from .summary import summary_lines
from .text import clean, count, duration

PLAIN_INTERVAL = 60.0
"""Seconds between two plain lines."""

Mode = Literal["auto", "bar", "plain", "none"]


class View(Protocol):
    """Shows a run."""

    def event(self, event: Event) -> None:
        """Something rare happened."""

    def glance(self, state: RunState) -> None:
        """The state, a few times a second."""

    def finish(self, summary: Summary) -> None:
        """The end."""

    def close(self) -> None:
        """Leave the terminal as it was; may be called twice."""


def say(text: str) -> None:
    """Write lines to stderr; one that is closed, or was never open, is no reason to stop a run."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(clean(text) + "\n")
            sys.stderr.flush()


def words_of(event: Event, *, verbose: bool) -> str:
    """An event as a line; empty for what is only told when asked."""
    match event:
        case Waiting() | Narrowed() | Planned() | Repaired():
            text = words_before(event)
        case Unwritable(reason):
            text = f"{reason}\nthe answers are safe in the results file; the run goes on"
        case Paused(seconds, reason):
            text = f"paused {duration(seconds)}: {reason}"
        case Woke(seconds):
            text = f"asleep or stopped for {duration(seconds)}: what was in flight is sent again"
        case FellBack(provider, model, reason):
            text = f"{reason}\ngoing on with the fallback {provider}:{model}"
        case Stopping():
            text = stopping_words(event)
        case Retrying(job_id, attempt, wait, reason) if verbose:
            text = f"retry: {job_id} after attempt {attempt}, in {wait:.1f} s: {reason}"
        case _:
            text = ""
    return text


def words_before(event: Told) -> str:
    """What is told before the first request."""
    match event:
        case Waiting(reason):
            return f"{reason}: waiting for its end"
        case Narrowed(asked, concurrency, files):
            fewer = f"{concurrency:,} at once instead of {asked:,}"
            return f"{fewer}: this process may have {files:,} files open (ulimit -n)"
        case Planned():
            return planned_words(event)
        case Repaired(lines, path):
            run = "its job runs" if lines == 1 else "their jobs run"
            return f"repaired: {count(lines, 'damaged line')} moved to {path}; {run} again"


def planned_words(plan: Planned) -> str:
    """What is to do, before the first request."""
    facts = [f"{plan.todo:,} to do"]
    if plan.done:
        facts.append(f"{plan.done:,} done")
    if plan.restored:
        facts.append(f"{plan.restored:,} of them taken back from earlier")
    if plan.carried:
        facts.append(f"{plan.carried:,} of them carried over to a picture's new name")
    if plan.changed:
        facts.append(f"{plan.changed:,} changed")
    if plan.retried:
        facts.append(f"{plan.retried:,} tried again")
    words = f"{count(plan.jobs, 'job')}: {', '.join(facts)}"
    if plan.withheld:
        words += f"\n{withheld_words(plan.withheld)}"
    return f"{words}\n{unfilled_words(plan.unfilled)}" if plan.unfilled else words


def withheld_words(images: int) -> str:
    """That images with a caption of somebody else's are left as they are."""
    have = count(images, "image has a sidecar", "images have a sidecar")
    return f"note: {have} already and will not be asked about (--existing skip)"


def unfilled_words(jobs: int) -> str:
    """That braces are sent as they stand, which may not be what was meant."""
    return f"note: {count(jobs, 'job')} with {{{{name}}}} and without `vars`: sent as written"


def stopping_words(stop: Stopping) -> str:
    """Why no new job starts, what is still awaited, and how to end that too."""
    words = f"stopping: {stop.reason}"
    if stop.in_flight:
        words += f"; finishing {count(stop.in_flight, 'request')} in flight"
    if stop.in_flight and stop.reason.startswith("interrupted"):
        words += " (Ctrl-C or a second signal drops them)"
    return words


class PlainView:
    """Lines for logs: no carriage returns, no escape codes, and not a line for every pause."""

    def __init__(
        self,
        *,
        verbose: bool = False,
        lines: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verbose = verbose
        self._lines = lines
        self._clock = clock
        self._next = clock() + PLAIN_INTERVAL
        self._next_pause = clock()

    def event(self, event: Event) -> None:
        """Tell it in a line; of pauses, which may come for hours, one a minute."""
        if isinstance(event, Paused) and not self._verbose:
            if self._clock() < self._next_pause:
                return
            self._next_pause = self._clock() + PLAIN_INTERVAL
        if text := words_of(event, verbose=self._verbose):
            self._tell(text)

    def _tell(self, text: str) -> None:
        """One line."""
        say(text)

    def glance(self, state: RunState) -> None:
        """One line a minute."""
        if self._lines and self._clock() >= self._next:
            self._next = self._clock() + PLAIN_INTERVAL
            say(progress_line(state))

    def finish(self, summary: Summary) -> None:
        """The summary."""
        say("\n".join(summary_lines(summary)))

    def close(self) -> None:
        """Nothing is open."""


class QuietView:
    """Silent unless something failed: what cron shall mail."""

    def event(self, event: Event) -> None:
        """Nothing."""

    def glance(self, state: RunState) -> None:
        """Nothing."""

    def finish(self, summary: Summary) -> None:
        """The summary, when the exit code is not 0."""
        if summary.exit_code:
            say("\n".join(summary_lines(summary)))

    def close(self) -> None:
        """Nothing is open."""


class BarView(PlainView):
    """One live line, drawn by rich, which is imported only here."""

    def __init__(self, *, verbose: bool = False) -> None:
        super().__init__(verbose=verbose, lines=False)
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._text = Text
        self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
        self._live.start()

    def _tell(self, text: str) -> None:
        """A line above the live one."""
        with contextlib.suppress(OSError):
            self._live.console.print(self._text(clean(text)))

    def glance(self, state: RunState) -> None:
        """Draw the live line."""
        line = self._text(clean(progress_line(state)), no_wrap=True, overflow="ellipsis")
        with contextlib.suppress(OSError):
            self._live.update(line, refresh=True)

    def close(self) -> None:
        """Take the live line away."""
        with contextlib.suppress(OSError):
            self._live.stop()


def progress_line(state: RunState) -> str:
    """Done, failed, rate, time left, and the request that is oldest in flight."""
    facts = [f"{state.answered:,}/{state.jobs:,} answered"]
    if state.failed:
        facts.append(f"{state.failed:,} failed")
    if state.retries:
        facts.append(count(state.retries, "retry", "retries"))
    if state.paused_s >= 1:
        facts.append(f"paused {duration(state.paused_s)} in all")
    facts.append(f"{state.rate_per_s:.1f}/s")
    if state.rate_per_s > 0 and state.left:
        facts.append(f"about {duration(state.left / state.rate_per_s)} left")
    if state.oldest_in_flight and state.oldest_in_flight.age_s >= 1:
        oldest = state.oldest_in_flight
        facts.append(f"oldest {oldest.id} {duration(oldest.age_s)}")
    return " · ".join(facts)


def is_terminal() -> bool:
    """Whether somebody looks at stderr."""
    return sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()


def make_view(mode: Mode, *, quiet: bool, verbose: bool) -> View:
    """The view for this stderr: `isatty` decides, whatever FORCE_COLOR and `mode` say.

    `bar` differs from `auto` in that it trusts a terminal that calls itself dumb.
    """
    if quiet:
        return QuietView()
    dumb = mode == "auto" and os.environ.get("TERM") == "dumb"
    if mode in ("auto", "bar") and is_terminal() and not dumb:
        return BarView(verbose=verbose)
    return PlainView(verbose=verbose, lines=mode != "none")
