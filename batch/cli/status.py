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
from ..views.summary import latencies, who_answered
from ..views.text import codes, count
from .look import Look, command_to_go_on, files_of, look
from .out import put_json, put_text

INTERVAL = 2.0
"""Seconds between two looks with --watch."""


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Print the state, again and again with --watch."""
    while True:
        state, seen = state_now(ctx, values)
        if values["json"]:
            put_json(state)
        else:
            put_text("\n".join(map(printable, status_lines(state, seen))))
        if not values["watch"] or state.state != "running":
            return 0
        time.sleep(INTERVAL)


def state_now(ctx: click.Context, values: dict[str, Any]) -> tuple[RunState, Look | None]:
    """The state: the run's own word while it lives, else what the files say, and these."""
    _, paths = files_of(ctx, values)
    if is_locked(paths.lock):
        state = read_state(paths.state)
        if state is not None and state.state == "running":
            return state, None
    seen = look(ctx, values)
    return recomputed(seen), seen


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


def status_lines(state: RunState, seen: Look | None) -> list[str]:
    """The state in words, and the command to type next when something is left to do.

    `seen` are the files where the run does not speak for itself.
    """
    what = "never run" if state.state == "new" else state.state
    lines = [f"{state.source}: {what}" + (f" ({state.reason})" if state.reason else "")]
    if seen is None:
        who = f"pid {state.pid} on {state.host}, since {state.started_at}, asks {state.provider}"
        return [*lines, progress_line(state), who]
    by = "" if state.state == "new" else f" {who_answered(state, seen.found.plan.answered_by)}"
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
        lines.append(f"next: {command_to_go_on(seen)}")
    return lines


def pace(state: RunState) -> list[str]:
    """How fast the last run was, and when it was last heard of; nothing when there was none."""
    if not state.updated_at:
        return []
    facts = ", ".join([f"{state.rate_per_s:g}/s", *latencies(state)])
    if state.state == "died":
        return [f"last run, as of its last sign of life {state.updated_at}: {facts}"]
    return [f"last run: {facts}; ended {state.updated_at}"]
