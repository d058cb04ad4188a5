"""What status and verify share: the job as the last run saw it, from files alone."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import AsyncExitStack
from typing import Any

import click
import msgspec
from click.core import ParameterSource
from msgspec import Struct

from ..errors import UsageError
from ..results.lock import lock_facts
from ..results.paths import Paths
from ..results.sidecar_rules import SidecarRules
from ..results.state import RunState, read_state
from ..routing import make_provider
from ..settings import FOLDER_PROMPT, Settings, is_stream
from ..survey import Survey, open_sources, survey
from .given import settings_of


class Look(Struct, frozen=True):
    """A source, its output, and how they compare."""

    settings: Settings
    paths: Paths
    found: Survey
    state: RunState | None
    command: str
    """What was typed to start the last run; empty when nobody knows."""


def files_of(ctx: click.Context, values: dict[str, Any]) -> tuple[Settings, Paths]:
    """The settings that were given and the files of their output; raises `UsageError`."""
    settings = settings_of(ctx, values)
    if settings.streams:
        raise UsageError("`-o -` writes no files, so there is nothing to look at")
    return settings, settings.paths()


def look(ctx: click.Context, values: dict[str, Any]) -> Look:
    """Compare a source with its output.

    Options that decide the keys are those of the last run unless they are typed, whatever the
    configuration says by now; when nobody knows them, ids alone are compared. Raises `UsageError`.
    """
    given, paths = files_of(ctx, values)
    sources = tuple(str(paths.spool) if is_stream(name) else name for name in given.sources)
    given = msgspec.structs.replace(given, sources=sources)
    asked = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    named = ctx.get_parameter_source("provider") in asked
    settings, known = with_last_options(given, paths, provider_given=named)
    return Look(
        settings,
        paths,
        asyncio.run(found(settings, paths, keys_known=known)),
        read_state(paths.state),
        str(lock_facts(paths.lock).get("command") or ""),
    )


def command_to_go_on(seen: Look) -> str:
    """What to type to go on: the last run's command, with the file that kept what was piped."""
    command, spool = seen.command or seen.settings.command, str(seen.paths.spool)
    return f"{command} < {shlex.quote(spool)}" if spool in seen.settings.sources else command


def with_last_options(
    given: Settings, paths: Paths, *, provider_given: bool
) -> tuple[Settings, bool]:
    """The settings with the last run's deciding options, and whether the keys can be compared."""
    facts = lock_facts(paths.lock)
    if "provider" in facts:
        return msgspec.structs.replace(
            given,
            provider=given.provider if provider_given else facts["provider"],
            root=given.root or facts.get("root"),
            ext=given.ext or tuple(facts.get("ext", ())),
            exclude=given.exclude or tuple(facts.get("exclude", ())),
            sidecars=msgspec.convert(facts.get("sidecars"), SidecarRules | None),
            flags={**facts.get("flags", {}), **given.flags},
            ambient={**given.ambient, **facts.get("ambient", {})},
        ), True
    state = read_state(paths.state)
    if provider_given or (state is None and (given.flags or given.ambient)):
        return given, True
    # What the jobs inherit is not known: anything will do where only ids are compared.
    unknown = {"prompt": FOLDER_PROMPT, "model": "unknown"}
    return msgspec.structs.replace(
        given,
        provider=given.provider if state is None else state.provider,
        ambient={**unknown, **given.ambient},
    ), False


async def found(settings: Settings, paths: Paths, *, keys_known: bool) -> Survey:
    """The survey; lines that cannot run are counted, not refused."""
    async with AsyncExitStack() as stack:
        sources = await open_sources(settings, stack)
        provider = make_provider(settings)
        return await survey(
            settings, provider, paths, sources, ids_only=not keys_known, as_they_stand=True
        )
