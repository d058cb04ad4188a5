"""`overnight verify`: prove the results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from ..results.lock import is_locked
from ..results.soundness import Flaw, flaws
from ..views.next_step import look_command
from ..views.text import count
from .look import Look, command_to_go_on, look
from .out import put_json, put_text


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Print what is wrong, or that nothing is; 0 or 1."""
    seen = look(ctx, values)
    unsound = list(flaws(seen.paths.results))
    wrong = [*(flaw.words for flaw in unsound), *unsettled(seen)]
    if wrong and is_locked(seen.paths.lock):
        wrong.append("a run is using this output now: verify again when it has ended")
    if values["json"]:
        put_json(facts(seen, wrong))
    elif wrong:
        put_text("\n".join([*wrong, f"next: {next_step(seen, unsound)}"]))
    elif not values["quiet"]:
        put_text(sound_line(seen))
    return 1 if wrong else 0


def next_step(seen: Look, unsound: Iterable[Flaw]) -> str:
    """The run that mends what is wrong, and what has to be done by hand before it."""
    if is_locked(seen.paths.lock):
        return f"{look_command('verify', seen.settings)}  # when the run has ended"
    plan = seen.found.plan
    by_hand = []
    if plan.bad_count > plan.bad_recorded.total():
        by_hand.append("mending the lines that cannot run")
    if any(flaw.stays for flaw in unsound):
        by_hand.append("taking out the lines that are no sound records")
    return command_to_go_on(seen) + (f"  # after {' and '.join(by_hand)}" if by_hand else "")


def sound_line(seen: Look) -> str:
    """That all is well, with its numbers."""
    plan = seen.found.plan
    line = (
        f"sound: {count(plan.done, 'answer')} and {failed(seen):,} failed "
        f"of {count(plan.jobs, 'job')}"
    )
    if plan.orphans:
        line += f"; {count(plan.orphans, 'orphan')}: the job left the source (kept)"
    return line


def facts(seen: Look, wrong: list[str]) -> dict[str, Any]:
    """The proof as data."""
    plan = seen.found.plan
    return {
        "sound": not wrong,
        "wrong": wrong,
        "jobs": plan.jobs,
        "answered": plan.done,
        "failed": failed(seen),
        "orphans": plan.orphans,
    }


def failed(seen: Look) -> int:
    """Jobs that ended without an answer, those among them that the next run tries again too."""
    plan = seen.found.plan
    return (plan.kept + plan.bad_recorded).total() + plan.retried


def unsettled(seen: Look) -> list[str]:
    """Jobs that are neither answered nor failed."""
    plan = seen.found.plan
    lines = []
    if plan.new and not seen.paths.results.exists():
        lines.append(f"{seen.paths.results}: there is no such file")
    if plan.new:
        lines.append(f"{count(plan.new, 'job')} without an answer")
    if plan.changed:
        lines.append(f"{count(plan.changed, 'answer')} to a job that was edited since")
    if bad := plan.bad_count - plan.bad_recorded.total():
        lines.append(f"{count(bad, 'line')} of the source cannot run")
    return lines
