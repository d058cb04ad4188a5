"""`overnight report`: the answers as a page."""

from __future__ import annotations

import asyncio
import os
import shlex
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from ..errors import UsageError
from ..results.lock import is_locked, lock_facts
from ..results.paths import Paths
from ..settings import FOLDER_PROMPT, Settings
from ..views.report.items import Asked, asked_jobs
from ..views.report.page import render, write_page
from ..views.report.report import make_report
from ..views.text import count
from .look import Look, look
from .out import put_text
from .status import recomputed

PAGES = (".html", ".htm")


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Write the page; print where it is."""
    seen = look(ctx, values)
    path = page_path(seen.paths, values["out"])
    if not (seen.paths.results.exists() or seen.paths.failed.exists()):
        raise UsageError(f"{seen.paths.results}: there is no such file: run the source first")
    settings = msgspec.structs.replace(
        seen.settings,
        sources=values["sources"],
        command=seen.command or run_command(seen.settings, values["sources"]),
    )
    report = make_report(
        settings,
        recomputed(seen),
        jobs_known(seen),
        path.parent,
        embed=values["embed"],
        notes=notes(seen),
    )
    page = render(report)
    write_page(path, page)
    if not values["quiet"]:
        put_text(f"{path}: {count(len(report.items), 'item')}, {len(page) / 1e6:,.2g} MB")
    if values["open"] and not webbrowser.open(path.as_uri()):
        raise UsageError(f"no browser was found here: open {path} in one")
    return 0


def page_path(paths: Paths, given: str | None) -> Path:
    """Where the page goes; raises `UsageError` for a name that is no page's."""
    if given is None:
        stem = paths.results.name.removesuffix(".jsonl").removesuffix(".results")
        return paths.results.with_name(f"{stem}.report.html")
    path = Path(os.path.normpath(Path(given).absolute()))
    if path.suffix.lower() not in PAGES:
        raise UsageError(f"--out {given}: the name of a page ends in .html")
    return path


def run_command(settings: Settings, sources: tuple[str, ...]) -> str:
    """The run of a source of which nobody knows how it was started."""
    output = ["-o", settings.output] if settings.output else []
    return f"{settings.program} {shlex.join(['run', *sources, *output])}"


def jobs_known(seen: Look) -> dict[str, Asked]:
    """The jobs of the source; without the prompt that stands in where nobody knows it."""
    jobs = asyncio.run(asked_jobs(seen.settings))
    if "provider" in lock_facts(seen.paths.lock):
        return jobs
    return {
        name: each._replace(prompt="") if each.prompt == FOLDER_PROMPT else each
        for name, each in jobs.items()
    }


def notes(seen: Look) -> Iterator[str]:
    """What else a reader should know of the numbers."""
    plan = seen.found.plan
    if is_locked(seen.paths.lock):
        yield "A run was at work when this page was made: make it again when that has ended."
    if plan.changed:
        edited = count(plan.changed, "answer is to a job", "answers are to jobs")
        yield f"{edited} edited since; the next run asks again."
    if plan.orphans:
        left = count(plan.orphans, "answer is to a job", "answers are to jobs")
        yield f"{left} no longer in the source (kept, shown last)."
