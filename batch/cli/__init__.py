"""The command line: options → Settings → engine → exit code. A file a command, loaded when used."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from types import TracebackType

import click

from .. import __version__
from ..errors import BatchError, RunError, UsageError

COMMANDS = {
    "run": "Do the jobs of a job file, a folder of images, or stdin.",
    "check": "Validate and plan; no network, writes nothing.",
    "status": "What is done, failed and left; of a live run too.",
    "verify": "Prove that the results are whole and belong to the source.",
    "providers": "What can answer, and what each provider needs.",
}

EPILOG = """\b
Examples:
  overnight run jobs.jsonl --provider openai -m MODEL
  overnight run photos/ -p "Describe this photo." --provider openai -m MODEL
  overnight status jobs.jsonl

Run the same command again to go on where a run stopped.
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of a day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "OVERNIGHT",
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="overnight")
def cli() -> None:
    """Send a file of prompts or a folder of images through any model provider, overnight.

    Answers land in a results file beside the source; nothing that was paid for is lost or paid
    twice.
    """


def main() -> int:
    """Run the command line; the exit code (CONTRACT section 6)."""
    logging.basicConfig(format="%(levelname)s: %(message)s")
    sys.excepthook = end_with_bug
    try:
        code = cli.main(standalone_mode=False, prog_name="overnight")
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (UsageError, RunError) as error:
        tell(error)
        return error.exit_code
    return code if isinstance(code, int) else 0


def end_with_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of a bug of ours and end with 70; what was counted is on the disk."""
    traceback.print_exception(kind, error, trace)
    sys.stderr.write("overnight: this is a bug of ours; the results that were counted are safe\n")
    sys.stderr.flush()
    os._exit(70)


def tell(error: BatchError) -> None:
    """Print an error for people, free of what could steer a terminal."""
    text = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(error)
    )
    sys.stderr.write(f"overnight: {text}\n")
