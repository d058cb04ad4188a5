"""`overnight run`: do the jobs."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from ..engines.local import run_local
from ..errors import UsageError
from ..views.progress import make_view
from .check import print_check
from .options import (
    check_options,
    job_options,
    json_option,
    manner_options,
    settings_of,
    source_options,
    wire_options,
)

EPILOG = """\b
Examples:
  overnight run prompts.jsonl --provider openai -m MODEL -j 32
  overnight run photos/ -p "One plain sentence." --provider openai --base-url http://127.0.0.1:8000
  generate | overnight run - -o answers.results.jsonl --provider openai -m MODEL

The same command again goes on where a run stopped; a finished run sends nothing.
"""


@click.command("run", epilog=EPILOG)
@source_options
@job_options
@wire_options
@check_options
@manner_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> int:
    """Do the jobs of a JSONL job file, a folder of images, or - (stdin).

    Answers are appended to SOURCE's results file, failures to the failed file beside it.
    """
    settings = settings_of(ctx, values)
    if values["as_json"] and settings.streams:
        raise UsageError("--json and -o - both want stdout")
    if values["dry_run"]:
        return print_check(settings, as_json=values["as_json"])
    view = make_view(values["progress"], quiet=values["quiet"], verbose=values["verbose"])
    try:
        summary = run_local(settings, view.event, view.glance)
    finally:
        view.close()
    view.finish(summary)
    if values["as_json"]:
        sys.stdout.buffer.write(msgspec.json.encode(summary.state) + b"\n")
    return summary.exit_code
