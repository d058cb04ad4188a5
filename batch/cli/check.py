"""`overnight check`: validate and plan."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

import click
import msgspec

from ..errors import UsageError
from ..results.paths import check_output
from ..settings import Settings, is_stream, make_connection, make_provider
from ..survey import Survey, open_sources, refuse_bad_lines, survey
from ..views.progress import say
from ..views.text import codes, count
from .options import (
    check_options,
    job_options,
    json_option,
    settings_of,
    source_options,
    wire_options,
)


@click.command("check")
@source_options
@job_options
@wire_options
@check_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> int:
    """Validate the whole source and say what a run would do: no network, nothing written.

    Ends with 2 when a line cannot run.
    """
    return print_check(settings_of(ctx, values), as_json=values["as_json"])


def print_check(settings: Settings, *, as_json: bool) -> int:
    """Print the plan; raises `UsageError` for what would keep a run from starting."""
    found = asyncio.run(checked(settings))
    plan = found.plan
    facts = {
        "jobs": plan.jobs,
        "new": plan.new,
        "changed": plan.changed,
        "retried": plan.retried,
        "done": plan.done,
        "failed": plan.kept.total(),
        "bad_lines": plan.bad_count,
        "orphans": plan.orphans,
        "to_do": sum(map(len, plan.todo)),
        "images": plan.images,
        "estimated_input_tokens": plan.tokens,
        "estimated_cost_usd": plan.tokens * settings.price.input / 1e6 if settings.price else None,
    }
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(facts) + b"\n")
        return 0
    say("\n".join(check_lines(settings, found)))
    return 0


async def checked(settings: Settings) -> Survey:
    """The survey of a run that would be started so."""
    if any(map(is_stream, settings.sources)):
        raise UsageError("stdin can be read only once: check a file")
    paths = None if settings.streams else settings.paths()
    if paths is not None:
        check_output(paths.results)
    provider = make_provider(settings)
    make_connection(provider, settings)
    async with AsyncExitStack() as stack:
        sources = await open_sources(settings, stack)
        found = await survey(settings, provider, paths, sources)
    if not settings.skip_bad_lines:
        refuse_bad_lines(found.plan)
    return found


def check_lines(settings: Settings, found: Survey) -> list[str]:
    """The plan in words."""
    plan = found.plan
    lines = [
        f"{count(plan.jobs, 'job')}: {plan.new:,} new, {plan.changed:,} changed, {plan.done:,} done"
    ]
    if plan.retried:
        lines.append(f"failed and tried again: {codes(plan.retried_codes)}")
    if plan.kept:
        lines.append(f"failed and kept so: {codes(plan.kept)} (--retry-failed all tries them)")
    if plan.bad_count:
        lines.append(f"{count(plan.bad_count, 'bad line')} would become failed lines")
    if plan.orphans:
        lines.append(f"{count(plan.orphans, 'answer')} in the results belong to no job any more")
    todo = sum(map(len, plan.todo))
    size = f"about {plan.tokens:,} tokens of text (estimate)"
    if plan.images:
        size += f", {count(plan.images, 'image')}"
    lines.append(f"to do: {count(todo, 'request')} to {settings.provider}, {size}")
    if settings.price is not None:
        cost = plan.tokens * settings.price.input / 1e6
        lines.append(f"cost of that text: about ${cost:,.4f} (estimate, answers not included)")
    lines.append(f"next: {settings.command.replace('overnight check', 'overnight run', 1)}")
    return lines
