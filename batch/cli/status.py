"""`overnight status`: what is done, failed, left."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

import click
import msgspec

from .. import __version__
from ..results.lock import is_locked
from ..results.state import RunState, read_state
from ..settings import source_label
from ..views.progress import progress_line
from ..views.text import clean, codes, count
from .look import Look, look
from .options import job_options, json_option, settings_of, source_options

INTERVAL = 2.0
"""Seconds between two looks with --watch."""


@click.command("status")
@source_options
@job_options
@json_option
@click.option("--watch", is_flag=True, help="Look again every two seconds until the run ends.")
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> int:
    """Tell what is done, failed and left, of a live run too. Reads files only."""
    while True:
        state = state_now(ctx, values)
        if values["as_json"]:
            sys.stdout.buffer.write(msgspec.json.encode(state) + b"\n")
            sys.stdout.flush()
        else:
            click.echo(clean("\n".join(status_lines(state))))
        if not values["watch"] or state.state != "running":
            return 0
        time.sleep(INTERVAL)


def state_now(ctx: click.Context, values: dict[str, Any]) -> RunState:
    """The state: the run's own word while it lives, else what the files say."""
    paths = settings_of(ctx, values).paths()
    if is_locked(paths.lock):
        state = read_state(paths.state)
        if state is not None and state.state == "running":
            return state
    return recomputed(look(ctx, values))


def recomputed(seen: Look) -> RunState:
    """The state that follows from the files, with the numbers of the last run."""
    plan = seen.found.plan
    failures = plan.kept + plan.bad_recorded + plan.retried_codes
    failed = failures.total()
    last = seen.state or unknown(seen)
    state = "died" if last.state == "running" else last.state
    left = plan.jobs - plan.done - failed
    return msgspec.structs.replace(
        last,
        state=state,
        jobs=plan.jobs,
        answered=plan.done,
        failed=failed,
        left=left,
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


def status_lines(state: RunState) -> list[str]:
    """The state in words."""
    lines = [f"{state.source}: {state.state}" + (f" ({state.reason})" if state.reason else "")]
    if state.state == "running":
        return [*lines, progress_line(state)]
    lines.append(
        f"{state.answered:,} of {count(state.jobs, 'job')} answered by {state.provider}, "
        f"{state.failed:,} failed, {state.left:,} left"
    )
    if state.failures:
        lines.append(f"failed: {codes(state.failures)}")
    if state.state == "died":
        lines.append("the run ended without a word (killed?): run the same command again")
    return lines
