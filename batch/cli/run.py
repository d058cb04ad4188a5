"""`overnight run`: do the jobs."""

from __future__ import annotations

from typing import Any

import click

from ..engines.local import run_local
from ..errors import Locked, UsageError
from ..settings import Settings
from ..summary import Summary
from ..views.next_step import look_command
from ..views.progress import make_view
from ..views.watch import Watch
from .check import print_check
from .given import settings_of
from .out import put_json


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Do the run that the options make."""
    return run(settings_of(ctx, values), values)


def run(settings: Settings, values: dict[str, Any]) -> int:
    """Run, then sum up on stderr, and with --json on stdout too; its exit code."""
    if values["json"] and settings.streams:
        raise UsageError("--json and -o - both want stdout: give one of them")
    if values["dry_run"]:
        return print_check(settings, values)
    if values["estimate"]:
        raise UsageError("--estimate sends nothing: add -n, or use `check`")
    view = make_view(values["progress"], quiet=values["quiet"], verbose=values["verbose"])
    if values["verbose"]:
        view = Watch(view)

    def finish(summary: Summary) -> None:
        """Sum up."""
        view.close()
        view.finish(summary)
        if values["json"]:
            put_json(summary.state)

    try:
        return run_local(settings, view.event, view.glance, finish).exit_code
    except Locked as error:
        look = look_command("status", settings)
        raise Locked(f"{error}: `{look}` tells how far it is, --if-locked wait waits") from error
    finally:
        view.close()
