"""The commands as data: names, helps and options. Their work is imported when it is called for."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..exports.formats import FORMATS
from .acceptance import acceptance
from .captioning import ASKED, FOLDERS, SIDECARS, XMP_EXPORT
from .options import (
    ASKING,
    CONFIG,
    ESTIMATE,
    EXPORT,
    GOING_ON,
    IMAGES,
    JSON,
    LAST_PROVIDER,
    MANNERS,
    OUTPUT,
    PACE,
    PAGE,
    QUIET,
    RESULTS,
    ROOT,
    WATCH,
    WHO,
    dedupe,
)

Sections = Mapping[str, Sequence[click.Option]]

RUN_SECTIONS: Sections = {
    "What is asked": ASKING,
    "Who answers": WHO,
    "Which jobs": (*GOING_ON, dedupe(default=False)),
    "Pace and patience": PACE,
    "Images": (*FOLDERS, *IMAGES),
    "What is accepted": acceptance(refuse_refusals=False),
    "Results": OUTPUT,
    "Manners": (*MANNERS, JSON, CONFIG),
}


CAPTION_SECTIONS: Sections = {
    "What is asked": ASKED,
    "Sidecars": SIDECARS,
    **{title: RUN_SECTIONS[title] for title in list(RUN_SECTIONS)[1:]},
    "Which jobs": (*GOING_ON, dedupe(default=True)),
    "What is accepted": acceptance(refuse_refusals=True),
}


class Command(click.Command):
    """A command whose `work` stands in the module of its name, which is imported when it is called.

    Its options are listed in sections; `also` are those of `run` that it takes without using
    them, so that a typed command can be changed into this one by its first word.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        text: str,
        argument: click.Argument,
        sections: Sections,
        also: Sections | None = None,
    ) -> None:
        shown = [option for options in sections.values() for option in options]
        names = {option.name for option in shown}
        rest = [
            hidden(option)
            for options in (also or {}).values()
            for option in options
            if option.name not in names
        ]
        super().__init__(
            name, params=[argument, *shown, *rest], help=f"{summary}\n\n{text}", short_help=summary
        )
        self.sections = sections

    def invoke(self, ctx: click.Context) -> Any:
        """Do the command's work; its exit code. Notes of a quiet one are kept for its failure."""
        work = importlib.import_module(f".{self.name}", __package__).work
        tell_notes = importlib.import_module(".notes", __package__).tell_notes
        quiet, code = ctx.params.get("quiet"), None
        if not quiet:
            tell_notes(ctx)
        try:
            code = work(ctx, dict(ctx.params))
        finally:
            if quiet and code != 0:
                tell_notes(ctx)
        return code

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options, section by section; `--help` closes the last."""
        sections = {title: list(options) for title, options in self.sections.items()}
        last = list(sections)[-1] if sections else "Options"
        if (helping := self.get_help_option(ctx)) is not None:
            sections.setdefault(last, []).append(helping)
        for title, options in sections.items():
            records = (option.get_help_record(ctx) for option in options)
            with formatter.section(title):
                formatter.write_dl([record for record in records if record is not None])


def hidden(option: click.Option) -> click.Option:
    """A copy of an option that is taken but not listed."""
    copied = copy.copy(option)
    copied.hidden = True
    return copied


def sources() -> click.Argument:
    """One or more job files and folders."""
    return click.Argument(["sources"], nargs=-1, required=True, metavar="SOURCE…")


def folders() -> click.Argument:
    """Folders and images; none where only the prompt is asked for."""
    return click.Argument(["sources"], nargs=-1, metavar="FOLDER…")


FORMAT_LINES = "\n".join(f"  {name:<11} {made}" for name, made in FORMATS.items())

COMMANDS: dict[str, click.Command] = {
    command.name or "": command
    for command in (
        Command(
            "run",
            "Do the jobs of a job file, a folder of images, or - (stdin).",
            """Answers are appended to SOURCE's results file, failures to the failed file beside it.
The same command again goes on where a run stopped; a finished run sends nothing.

\b
Examples:
  overnight run photos/
  overnight run photos/ -p "One plain sentence." --provider openai --base-url http://127.0.0.1:8000
  overnight run prompts.jsonl --provider openai -m MODEL -j 32
  generate | overnight run - -o answers.results.jsonl --provider openai -m MODEL""",
            sources(),
            RUN_SECTIONS,
        ),
        Command(
            "caption",
            "Caption the images of folders: `run` with a preset prompt, and a text beside each.",
            """Answers go to FOLDER's results file first, then to a sidecar beside each image.
Images that have a sidecar already are left alone (--existing). The same command again goes on; a
sidecar that is missing is written from the results file without asking again.

\b
Examples:
  overnight caption photos/
  overnight caption photos/ -n --provider openai -m MODEL
  overnight caption photos/ --provider openai --base-url http://127.0.0.1:11434 -m MODEL
  overnight caption set/ --preset tags --prefix "ohwx, " --provider openai -m MODEL
  overnight caption photos/ --preset alt --sidecar xmp --provider openai -m MODEL""",
            folders(),
            CAPTION_SECTIONS,
        ),
        Command(
            "check",
            "Validate the source and say what a run would do; sends and writes nothing.",
            """Ends with 2 when a line cannot run. Takes the options of `run`: change the one word.

\b
Examples:
  overnight check night.jsonl --provider openai -m MODEL
  overnight check photos/ -p "One plain sentence." --provider openai --json""",
            sources(),
            {
                "What is asked": ASKING,
                "Who answers": WHO,
                "Which jobs": GOING_ON,
                "Images": (*FOLDERS, *IMAGES),
                "Results": (RESULTS,),
                "Manners": (ESTIMATE, QUIET, JSON, CONFIG),
            },
            RUN_SECTIONS,
        ),
        Command(
            "status",
            "Tell what is done, failed and left, of a live run too; reads files only.",
            """Prompt, model and provider are those of the last run; the options of `run` are taken
too.

\b
Examples:
  overnight status night.jsonl
  overnight status photos/ --watch
  overnight status night.jsonl --json | jq .left""",
            sources(),
            {
                "Source": (*ASKING, LAST_PROVIDER),
                "Results": (RESULTS,),
                "Manners": (WATCH, JSON, CONFIG),
            },
            RUN_SECTIONS,
        ),
        Command(
            "verify",
            "Prove that the results file is whole and belongs to the source.",
            """Ends with 0 when every line is sound and every job is answered or failed, else with 1
and what is wrong, a line each. Prompt, model and provider are those of the last run; the options
of `run` are taken too.

\b
Examples:
  overnight verify night.jsonl
  overnight verify night.jsonl -o /data/night.results.jsonl -q || mail …""",
            sources(),
            {
                "Source": (*ASKING, LAST_PROVIDER),
                "Results": (RESULTS,),
                "Manners": (QUIET, JSON, CONFIG),
            },
            RUN_SECTIONS,
        ),
        Command(
            "report",
            "Write the answers as one page to look through: a gallery, or a table.",
            """The page is STEM.report.html beside the results; it asks nobody for anything and
shows images from the files beside it. Prompt, model and provider are those of the last run; the
options of `run` are taken too.

\b
Examples:
  overnight report photos/ --open
  overnight report night.jsonl --out /tmp/night.html""",
            sources(),
            {
                "Page": PAGE,
                "Source": (*ASKING, LAST_PROVIDER),
                "Results": (RESULTS,),
                "Manners": (QUIET, CONFIG),
            },
            RUN_SECTIONS,
        ),
        Command(
            "export",
            "Write the answers in the format of another program.",
            f"""Reads the results file and the images, asks nobody. Captions are worded
like the sidecars of the last run. Answers whose image changed, or is shared with another answer,
are left out and told, and the command ends with 1; those whose image left the folder are told.

\b
Formats:
{FORMAT_LINES}

\b
Examples:
  overnight export photos/ --to hf
  overnight export photos/ --to webdataset --out shards/photos
  overnight export photos/ --to xmp --preset alt
  overnight export night.jsonl --to csv --bom --out night.csv""",
            sources(),
            {
                "Export": (*EXPORT, *XMP_EXPORT),
                "Source": (ROOT, RESULTS),
                "Manners": (QUIET, JSON, CONFIG),
            },
            RUN_SECTIONS,
        ),
        Command(
            "providers",
            "List the providers, or tell what one of them needs and can do.",
            """\b
Examples:
  overnight providers
  overnight providers openai""",
            click.Argument(["name"], required=False),
            {},
        ),
    )
}
