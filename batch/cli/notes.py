"""What was said to no effect: told beside the work, because it is seldom what was meant."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator

import click
from click.core import ParameterSource

from ..views.progress import say

ASKING = frozenset({"run", "caption", "check"})
"""Commands that `--model` is for; the others look at what these did."""


def tell_notes(ctx: click.Context) -> None:
    """Say on stderr what was set for a command and does nothing, a line each."""
    for note in [*stray_variables(ctx), *idle_model(ctx)]:
        say(f"note: {note}")


def stray_variables(ctx: click.Context) -> Iterator[str]:
    """Variables that are called like an option of the command and are none."""
    prefix = f"{ctx.auto_envvar_prefix}_"
    names = [each.name or "" for each in ctx.command.get_params(ctx)]
    for variable in sorted(os.environ):
        name = variable.removeprefix(prefix).lower()
        if variable.startswith(prefix) and name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f": did you mean {prefix}{near[0].upper()}?" if near else ""
            yield f"{variable} is no option of `{ctx.info_name}` and does nothing{hint}"


def idle_model(ctx: click.Context) -> Iterator[str]:
    """A model that was typed beside a provider that has no use for it."""
    if (
        ctx.info_name not in ASKING
        or ctx.get_parameter_source("model") is not ParameterSource.COMMANDLINE
    ):
        return
    from ..providers.registry import find_provider, is_command

    name, model = ctx.params["provider"], ctx.params["model"]
    provider = find_provider(name)
    listed, asked = provider.get_models(), provider.get_model(model)
    if provider.in_process and (asked not in listed if listed else asked != model):
        how = "say who answers with --provider NAME"
        if is_command(name):
            how = "write {model} in its command"
        yield f"{name} takes no model, so -m {model} does nothing: {how}"
