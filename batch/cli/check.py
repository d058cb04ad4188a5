"""`overnight check`: validate and plan."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import click

from ..errors import Halt, UsageError
from ..image_estimate import ImageEstimate, estimate_images
from ..results.paths import check_output
from ..routing import make_provider, make_ways
from ..settings import Settings, estimate_rules, is_stream
from ..survey import Survey, open_sources, refuse_bad_lines, survey
from ..views.estimate import Estimate
from ..views.progress import unfilled_words, withheld_words
from ..views.text import codes, count
from .given import settings_of
from .out import put_json, put_text


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Plan and print."""
    return print_check(settings_of(ctx, values), values)


def print_check(settings: Settings, values: dict[str, Any]) -> int:
    """Print the plan on stdout; raises `UsageError` for what would keep a run from starting."""
    missing = missing_key(settings)
    found, images = asyncio.run(checked(settings, estimate=values["estimate"]))
    estimate = None if images is None else Estimate.of(settings, found.plan, images)
    if values["json"]:
        more = {} if estimate is None else {"estimate": estimate.facts()}
        put_json(check_facts(settings, found) | more)
    elif not values["quiet"]:
        note = [f"note: {missing}"] if missing else []
        lines = [*check_lines(settings, found), *(estimate.lines() if estimate else ())]
        put_text("\n".join([*lines, *note, f"next: {next_command(settings)}"]))
    return 0


def next_command(settings: Settings) -> str:
    """The run that was planned: a trial, or one that begins anew, has to be told so again."""
    limit = f" --limit {settings.limit}" if settings.limit is not None else ""
    return f"{settings.command}{limit}{' --fresh' if settings.fresh else ''}"


def missing_key(settings: Settings) -> str:
    """What a run would say of a key that is not there: a plan can be made without it.

    Raises `UsageError` for an address or a key file that no run would take.
    """
    try:
        make_ways(settings, make_provider(settings))
    except Halt as error:
        return str(error)
    return ""


async def checked(
    settings: Settings, *, estimate: bool = False
) -> tuple[Survey, ImageEstimate | None]:
    """The survey of a run that would be started so, and its images when they are looked into."""
    if any(map(is_stream, settings.sources)):
        raise UsageError("a stream can be read only once: save it to a file and check that")
    paths = None if settings.streams else settings.paths()
    if paths is not None:
        check_output(paths.results)
    async with AsyncExitStack() as stack:
        sources = await open_sources(settings, stack)
        provider = make_provider(settings)
        found = await survey(settings, provider, paths, sources)
        if not settings.skip_bad_lines:
            refuse_bad_lines(found.plan)
        images = None
        if estimate:
            rules = estimate_rules(provider, settings)
            images = await estimate_images(sources, found.plan.todo, rules)
    return found, images


def check_facts(settings: Settings, found: Survey) -> dict[str, Any]:
    """The plan as numbers."""
    plan = found.plan
    return {
        "jobs": plan.jobs,
        "new": plan.new,
        "changed": plan.changed,
        "retried": plan.retried,
        "done": plan.done,
        "restored": len(plan.restored),
        "carried": plan.carried,
        "failed": plan.kept.total(),
        "bad_lines": plan.bad_count,
        "orphans": plan.orphans,
        "withheld": plan.withheld,
        "to_do": plan.queued,
        "images": plan.images,
        "estimated_input_tokens": plan.tokens,
        "estimated_cost_usd": estimated_cost(settings, found),
    }


def estimated_cost(settings: Settings, found: Survey) -> float | None:
    """US dollars for the text to send, answers not included; None without a price."""
    return found.plan.tokens * settings.price.input / 1e6 if settings.price else None


def check_lines(settings: Settings, found: Survey) -> list[str]:
    """The plan in words."""
    plan = found.plan
    lines = [
        f"{count(plan.jobs, 'job')}: {plan.new:,} new, {plan.changed:,} changed, {plan.done:,} done"
    ]
    lines += [
        f"{count(number, 'answer')} of those {how}"
        for number, how in (
            (len(plan.restored), "taken back from earlier"),
            (plan.carried, "carried over to a picture's new name"),
        )
        if number
    ]
    if plan.retried:
        lines.append(f"failed and tried again: {codes(plan.retried_codes)}")
    if plan.kept:
        lines.append(f"failed and kept so: {codes(plan.kept)} (--retry-failed all tries them)")
    if plan.bad_count:
        lines.append(f"{count(plan.bad_count, 'bad line')} would become failed lines")
    if plan.orphans:
        orphans = count(plan.orphans, "answer belongs", "answers belong")
        lines.append(f"{orphans} to no job any more (orphans)")
    size = f"about {plan.tokens:,} tokens of text (estimate)"
    if plan.images:
        size += f", {count(plan.images, 'image')}"
    lines.append(f"to do: {count(plan.queued, 'request')} to {settings.provider}, {size}")
    if plan.withheld:
        lines.append(withheld_words(plan.withheld))
    if plan.unfilled:
        lines.append(unfilled_words(plan.unfilled))
    if (cost := estimated_cost(settings, found)) is not None:
        lines.append(f"cost of that text: about ${cost:,.4f} (estimate, answers not included)")
    return lines
