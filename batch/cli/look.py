"""What status and verify share: the job as the last run saw it, from files alone."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import click
import msgspec
from click.core import ParameterSource
from msgspec import Struct

from ..results.lock import lock_facts
from ..results.paths import Paths
from ..results.state import RunState, read_state
from ..settings import Settings, make_provider
from ..survey import Survey, open_sources, survey
from .options import settings_of


class Look(Struct, frozen=True):
    """A source, its output, and how they compare."""

    settings: Settings
    paths: Paths
    found: Survey
    state: RunState | None


def look(ctx: click.Context, values: dict[str, Any]) -> Look:
    """Compare a source with its output.

    Options that decide the keys and are not given are those of the last run; when nobody knows
    them, ids alone are compared. Raises `UsageError`.
    """
    given = settings_of(ctx, values)
    sources = tuple(given.paths().spool.name if name == "-" else name for name in given.sources)
    given = msgspec.structs.replace(given, sources=sources)
    paths = given.paths()
    settings, known = with_last_options(given, paths, provider_given=provider_given(ctx))
    return Look(
        settings, paths, asyncio.run(found(settings, paths, keys_known=known)), read_state(paths.state)
    )


def provider_given(ctx: click.Context) -> bool:
    """Whether the provider was named rather than left to its default."""
    source = ctx.get_parameter_source("provider")
    return source is not ParameterSource.DEFAULT


def with_last_options(
    given: Settings, paths: Paths, *, provider_given: bool
) -> tuple[Settings, bool]:
    """The settings with the last run's deciding options, and whether the keys can be compared."""
    facts = lock_facts(paths.lock)
    if "provider" not in facts:
        state = read_state(paths.state)
        if state is None or provider_given:
            return given, provider_given or bool(given.flags or given.ambient)
        return msgspec.structs.replace(given, provider=state.provider), False
    return msgspec.structs.replace(
        given,
        provider=given.provider if provider_given else facts["provider"],
        root=given.root or facts.get("root"),
        flags={**facts.get("flags", {}), **given.flags},
        ambient={**facts.get("ambient", {}), **given.ambient},
    ), True


async def found(settings: Settings, paths: Paths, *, keys_known: bool) -> Survey:
    """The survey; lines that cannot run are counted, not refused."""
    async with AsyncExitStack() as stack:
        sources = await open_sources(settings, stack)
        provider = make_provider(settings)
        return await survey(settings, provider, paths, sources, ids_only=not keys_known)
