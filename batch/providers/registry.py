"""Which providers there are: the built-in ones and those of the entry point group."""

from __future__ import annotations

import difflib
import pkgutil
from importlib.metadata import EntryPoint, entry_points

from ..errors import UsageError
from .base import AsyncGeneratorProvider

GROUP = "batch.providers"
"""Entry point group in which other distributions register `name = "package.module:Class"`."""

BUILT_IN = {
    "offline": "batch.providers.offline:Offline",
    "dynaspark": "batch.providers.dynaspark:Dynaspark",
    "openai": "batch.providers.openai:OpenAI",
    "fake": "batch.providers.fake:Fake",
    "exec:COMMAND": "batch.providers.exec:Exec",
}
"""Loaded by name, so that a provider's imports cost only those who use it."""


def provider_names() -> list[str]:
    """The names that `--provider` takes, built-in ones first."""
    return [*BUILT_IN, *sorted({point.name for point in entry_points(group=GROUP)} - set(BUILT_IN))]


def find_provider(name: str) -> type[AsyncGeneratorProvider]:
    """The provider of that name.

    Raises `UsageError` with the nearest name when there is none, when a plug-in is no provider,
    and for an `exec:COMMAND` that is no command.
    """
    if name in BUILT_IN:
        found = pkgutil.resolve_name(BUILT_IN[name])
    elif is_command(name):
        found = pkgutil.resolve_name("batch.providers.exec:command_provider")(name)
    else:
        points = list(entry_points(group=GROUP, name=name))
        if not points:
            near = difflib.get_close_matches(name, provider_names(), n=1)
            hint = (
                f"did you mean {near[0]}?" if near else f"there are {', '.join(provider_names())}"
            )
            raise UsageError(f"there is no provider {name!r}: {hint}")
        found = load(points[0])
    if not (isinstance(found, type) and issubclass(found, AsyncGeneratorProvider)):
        raise UsageError(f"the entry point {name!r} is no AsyncGeneratorProvider")
    if not (found.in_process or speaks(found)):
        raise UsageError(f"the provider {name!r} lacks `encode` and `decode`, or `connect`")
    return found


def is_command(name: str) -> bool:
    """Whether a provider's name holds the command that answers."""
    return name.partition(":")[0] == "exec"


def speaks(provider: type[AsyncGeneratorProvider]) -> bool:
    """Whether a provider has a wire of its own, or something else that answers."""
    base = AsyncGeneratorProvider
    codec = provider.encode is not base.encode and provider.decode is not base.decode
    return codec or provider.connect is not base.connect


def load(point: EntryPoint) -> object:
    """What an entry point names; raises `UsageError` when it cannot be imported."""
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the provider {point.name!r} cannot be loaded: {error}") from error
