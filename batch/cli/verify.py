"""`overnight verify`: prove the results."""

from __future__ import annotations

from typing import Any

import click

from ..results.soundness import unsound_lines
from ..views.text import clean, count
from .look import Look, look
from .options import job_options, source_options


@click.command("verify")
@source_options
@job_options
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> int:
    """Prove that the results file is whole and belongs to the source.

    Ends with 0 when every line is sound and every job is answered or failed, else with 1 and what
    is wrong, a line each.
    """
    seen = look(ctx, values)
    wrong = [*unsound_lines(seen.paths.results), *unsettled(seen)]
    for line in wrong:
        click.echo(clean(line))
    if wrong:
        return 1
    plan = seen.found.plan
    failed = (plan.kept + plan.bad_recorded).total() + plan.retried
    click.echo(
        f"sound: {count(plan.done, 'answer')} and {failed:,} failed of {count(plan.jobs, 'job')}"
        + (f"; {plan.orphans:,} answers of jobs that left the source" if plan.orphans else "")
    )
    return 0


def unsettled(seen: Look) -> list[str]:
    """Jobs that are neither answered nor failed."""
    plan = seen.found.plan
    lines = []
    if plan.new:
        lines.append(f"{count(plan.new, 'job')} without an answer")
    if plan.changed:
        lines.append(f"{count(plan.changed, 'answer')} to a job that was edited since")
    if bad := plan.bad_count - plan.bad_recorded.total():
        lines.append(f"{count(bad, 'line')} of the source cannot run")
    return lines
