"""`overnight status`: what is done, failed, left."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import click
import msgspec

from .. import __version__
from ..printable import printable
from ..results.lock import is_locked
from ..results.state import RunState, read_state
from ..settings import source_label
from ..views.progress import progress_line
from ..views.summary import latencies
from ..views.text import codes, count
from .look import Look, files_of, look
from .out import put_json, put_text

INTERVAL = 2.0
"""Seconds between two looks with --watch."""


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Print the state, again and again with --watch."""
    while True:
        state, command = state_now(ctx, values)
        if values["json"]:
            put_json(state)
        else:
            put_text("\n".join(map(printable, status_lines(state, command))))
        if not values["watch"] or state.state != "running":
            return 0
        time.sleep(INTERVAL)


def state_now(ctx: click.Context, values: dict[str, Any]) -> tuple[RunState, str]:
    """The state: the run's own word while it lives, else what the files say.

    And the command to type next.
    """
    _, paths = files_of(ctx, values)
    if is_locked(paths.lock):
        state = read_state(paths.state)
        if state is not None and state.state == "running":
            return state, ""
    seen = look(ctx, values)
    return recomputed(seen), seen.command or seen.settings.command


def recomputed(seen: Look) -> RunState:
    """The state that follows from the files, with the numbers of the last run."""
    plan = seen.found.plan
    failures = plan.kept + plan.bad_recorded + plan.retried_codes
    failed = failures.total()
    last = seen.state or unknown(seen)
    return msgspec.structs.replace(
        last,
        state="died" if last.state == "running" else last.state,
        jobs=plan.jobs,
        answered=plan.done,
        failed=failed,
        left=plan.jobs - plan.done - failed,
        in_flight=0,
        oldest_in_flight=None,
        failures=dict(failures),
    )


def unknown(seen: Look) -> RunState:
    """The state of a source that was never run."""
    return RunState(
        run_id="",
        version=__version__,
        source=source_label(seen.settings.sources),
        provider=seen.settings.provider,
        model="",
        state="new",
        reason="",
        exit_code=None,
        pid=os.getpid(),
        host=socket.gethostname(),
        started_at="",
        updated_at="",
        jobs=0,
        done_before=0,
        answered=0,
        failed=0,
        left=0,
        retries=0,
        paused_s=0.0,
        input_tokens=0,
        output_tokens=0,
        cost_usd=None,
        rate_per_s=0.0,
        latency_p50_s=None,
        latency_p95_s=None,
        in_flight=0,
        oldest_in_flight=None,
        failures={},
    )


def status_lines(state: RunState, command: str) -> list[str]:
    """The state in words, and the command to type next when something is left to do."""
    what = "never run" if state.state == "new" else state.state
    lines = [f"{state.source}: {what}" + (f" ({state.reason})" if state.reason else "")]
    if state.state == "running":
        who = f"pid {state.pid} on {state.host}, since {state.started_at}, asks {state.provider}"
        return [*lines, progress_line(state), who]
    by = "" if state.state == "new" else f" by {state.provider}"
    lines.append(
        f"{state.answered:,} of {count(state.jobs, 'job')} answered{by}, "
        f"{state.failed:,} failed, {state.left:,} left"
    )
    if state.failures:
        lines.append(f"failed: {codes(state.failures)}")
    if state.state == "died":
        lines.append("the run ended without a word: killed, or the machine went down")
    lines += pace(state)
    if state.left:
        lines.append(f"next: {command}")
    return lines


def pace(state: RunState) -> list[str]:
    """How fast the last run was, and when it was last heard of; nothing when there was none."""
    if not state.updated_at:
        return []
    facts = [f"{state.rate_per_s:g}/s", *latencies(state)]
    word = "last sign of life" if state.state == "died" else "ended"
    return [f"last run: {', '.join(facts)}; {word} {state.updated_at}"]
