"""Looks at sources and output without sending or changing anything: check, status, verify, run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from .errors import OutputError, UsageError
from .moved import Carried, Recorded, carry_over
from .plan import Plan, Planner
from .providers.base import AsyncGeneratorProvider
from .results.anew import begun_anew, is_answered_since
from .results.archive import Archive
from .results.index import FailedIndex, Index
from .results.lock import lock_facts
from .results.paths import Paths
from .results.sidecars import Sidecars
from .settings import Settings, open_source, plan_rules
from .sources.entries import Source
from .sources.folder import FolderSource

Found = TypeVar("Found")


class Survey(Struct, frozen=True):
    """What the files say."""

    plan: Plan
    index: Index
    failed: FailedIndex
    carried: list[Carried] = []
    """Answers to pictures that were renamed, which the plan counts as done."""
    sidecars: Sidecars | None = None


async def open_sources(
    settings: Settings, stack: AsyncExitStack, spools: Sequence[Path | None] = ()
) -> list[Source]:
    """The sources of a run, closed by `stack`; raises `UsageError`."""
    sources = []
    for at, name in enumerate(settings.sources):
        spool = spools[at] if at < len(spools) else None
        source = open_source(name, settings, spool)
        stack.push_async_callback(source.close)
        sources.append(source)
    return sources


async def read_indexes(paths: Paths | None) -> tuple[Index, FailedIndex, str]:
    """What the results and the failed file hold, and since when (`--fresh`); read in a thread.

    Raises `OutputError` (73).
    """
    if paths is None:
        return Index(Path()), FailedIndex(), ""
    since = await moment_of_beginning(paths)
    index = await read(Index.scan, paths.results)
    return index, await read(partial(FailedIndex.scan, since=since), paths.failed), since


async def moment_of_beginning(paths: Paths) -> str:
    """Since when older answers count no more (`--fresh`); empty when they all count.

    So they do after a run that was killed before its first answer. Raises `OutputError` (73).
    """
    since = begun_anew(lock_facts(paths.lock))
    for path in (paths.results, paths.superseded) if since else ():
        if await read(partial(is_answered_since, moment=since), path):
            return since
    return ""


async def read(scan: Callable[[Path], Found], path: Path) -> Found:
    """What a file of the output holds; read in a thread. Raises `OutputError` (73)."""
    try:
        return await asyncio.to_thread(scan, path)
    except OSError as error:
        words = f"cannot read {error.filename or path}: {error.strerror}"
        raise OutputError(words, 73) from error


async def survey(
    settings: Settings,
    provider: AsyncGeneratorProvider,
    paths: Paths | None,
    sources: Sequence[Source],
    *,
    ids_only: bool = False,
    as_they_stand: bool = False,
) -> Survey:
    """Compare the sources with the output.

    With `as_they_stand` superseded answers are left out of it, which a run would take back.
    Raises `UsageError` for a results file that is none of ours.
    """
    index, failed, since = await read_indexes(paths)
    rules = plan_rules(provider, settings, ids_only=ids_only)
    sidecars = await asyncio.to_thread(sidecars_of, settings, paths, sources)
    if sidecars is not None and sidecars.rules.leaves_foreign:
        rules = msgspec.structs.replace(rules, withheld=sidecars.is_foreign)
    archive = Archive()
    if paths is not None and not (as_they_stand or ids_only):
        archive = await read(partial(Archive.scan, since=since), paths.superseded)
    planner = Planner(rules, index, failed, archive, keep_bad=settings.skip_bad_lines)
    plan = await planner.plan(sources, settings.limit)
    carried: list[Carried] = []
    wanted = plan.new and (plan.orphans or settings.dedupe)
    if paths is not None and wanted and not (ids_only or as_they_stand or settings.fresh):
        others = None if settings.dedupe else planner.ids
        recorded = await asyncio.to_thread(Recorded.scan, paths.results, but=others, since=since)
        if recorded.offsets:
            find = partial(recorded.find, key_of=planner.key, rules=settings.images)
            carried = await carry_over(sources, plan, planner.is_new, find)
    return Survey(plan, index, failed, carried, sidecars)


def sidecars_of(
    settings: Settings, paths: Paths | None, sources: Sequence[Source]
) -> Sidecars | None:
    """The sidecars of the images of the sources as they stand; None when none are written; blocks.

    Raises `UsageError` when two images would share one.
    """
    if settings.sidecars is None or paths is None:
        return None
    folders = [source for source in sources if isinstance(source, FolderSource)]
    images = ((name, each.root, image) for each in folders for name, image in each.images())
    sidecars = Sidecars(settings.sidecars, images)
    sidecars.refuse_clashes(paths)
    sidecars.look(paths)
    return sidecars


def refuse_bad_lines(plan: Plan) -> None:
    """Raise `UsageError` that lists the lines that cannot run, when there are some."""
    if not plan.bad_count:
        return
    lines = [f"{bad.source}:{bad.number}: {bad.problem.message}" for bad in plan.bad]
    if plan.bad_count > 1 and plan.bad_count == plan.jobs and same_problem(plan):
        raise UsageError(f"{plan.bad[0].problem.message} (so for all {plan.bad_count:,} jobs)")
    more = plan.bad_count - len(lines)
    if more > 0:
        lines.append(f"… and {more:,} more")
    count, them = ("1 line", "it") if plan.bad_count == 1 else (f"{plan.bad_count:,} lines", "them")
    lines.append(
        f"{count} cannot run, so nothing was sent: mend {them}, "
        f"or add --skip-bad-lines to go on without {them}"
    )
    raise UsageError("\n".join(lines))


def same_problem(plan: Plan) -> bool:
    """Whether every line fails for one reason, which then is the command's and not theirs."""
    return len({bad.problem.message for bad in plan.bad}) == 1
