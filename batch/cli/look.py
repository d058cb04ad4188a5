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

OUR_STARTS = tuple(
    (*program, command)
    for program in (("overnight",), ("python", "-m", "batch"))
    for command in ("run", "caption")
)
"""How the command of a run begins."""


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
        last_command(paths),
    )


def command_to_go_on(seen: Look) -> str:
    """What to type to go on: the last run's command, with the file that kept what was piped."""
    command, spool = seen.command or seen.settings.command, str(seen.paths.spool)
    return f"{command} < {shlex.quote(spool)}" if spool in seen.settings.sources else command


def with_last_options(
    given: Settings, paths: Paths, *, provider_given: bool
) -> tuple[Settings, bool]:
    """The settings with the last run's deciding options, and whether the keys can be compared."""
    last = last_options(paths)
    if last is not None:
        return msgspec.structs.replace(
            given,
            provider=given.provider if provider_given else last.provider,
            root=given.root or last.root,
            ext=given.ext or last.ext,
            exclude=given.exclude or last.exclude,
            sidecars=last.sidecars,
            flags={**last.flags, **given.flags},
            ambient={**given.ambient, **last.ambient},
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


class LastOptions(Struct, frozen=True):
    """What the lock file tells of the last run's options (`Settings.deciding`)."""

    provider: str
    root: str | None = None
    ext: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sidecars: SidecarRules | None = None
    flags: dict[str, Any] = {}
    ambient: dict[str, Any] = {}


def last_options(paths: Paths) -> LastOptions | None:
    """The last run's options; None when nobody knows them.

    The file may be a stranger's: what is no option of ours counts as nothing.
    """
    try:
        last = msgspec.convert(lock_facts(paths.lock), LastOptions)
    except msgspec.ValidationError:
        return None
    return None if "\0" in (last.root or "") else last


def last_command(paths: Paths) -> str:
    """What was typed to start the last run; empty when nobody knows.

    It is shown to be typed again, so it has to be a run of ours with words for its options, and
    nothing that a shell would do besides.
    """
    try:
        words = shlex.split(str(lock_facts(paths.lock).get("command") or ""))
    except ValueError:
        return ""
    is_ours = any(words[: len(start)] == list(start) for start in OUR_STARTS)
    return shlex.join(words) if is_ours else ""


async def found(settings: Settings, paths: Paths, *, keys_known: bool) -> Survey:
    """The survey; lines that cannot run are counted, not refused."""
    async with AsyncExitStack() as stack:
        sources = await open_sources(settings, stack)
        provider = make_provider(settings)
        return await survey(
            settings, provider, paths, sources, ids_only=not keys_known, as_they_stand=True
        )
