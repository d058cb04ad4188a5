"""The command line: options → Settings → engine → exit code. A file a command, loaded when used."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Sequence

import click
from click.core import ParameterSource

from .. import __version__
from ..errors import MACHINE_FAULTS, BatchError, OutputError, RunError, UsageError
from ..views.text import clean
from .commands import COMMANDS
from .out import put

__all__ = ["COMMANDS", "cli", "main"]

HELP = """Send a file of prompts or a folder of images through any model provider, overnight.

Answers land in a results file beside the source; nothing that was paid for is lost or paid twice.
Run the same command again to go on where a run stopped.

\b
Examples:
  overnight run photos/
  overnight run photos/ -p "Describe this photo." --provider openai -m MODEL
  overnight check jobs.jsonl --provider openai -m MODEL
  overnight run jobs.jsonl --provider openai -m MODEL -j 32
  overnight status jobs.jsonl
"""


class Overnight(click.Group):
    """The commands, listed in the order of a day's work."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed, for the words that tell what to type next."""
        ctx.meta["overnight.typed"] = tuple(args)
        return super().parse_args(ctx, args)


cli = click.version_option(__version__, prog_name="overnight")(
    Overnight(
        "overnight",
        commands=COMMANDS,
        help=HELP,
        epilog="`overnight COMMAND -h` tells the options of a command.",
        no_args_is_help=True,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "auto_envvar_prefix": "OVERNIGHT",
            "max_content_width": 100,
        },
    )
)


def main(args: Sequence[str] | None = None, program: str = "overnight") -> int:
    """Run the command line; the exit code of `errors.EXIT_CODES`.

    `args` are those of the process when none are given; `program` is what the user typed to get
    here. A bug of ours comes out as the exception that it is.
    """
    try:
        listen_to_log()
        code = cli.main(args, prog_name=program, standalone_mode=False)
        put(b"")  # what click printed shall not be lost, or complained of, at the very end
    except click.ClickException as error:
        with contextlib.suppress(BrokenPipeError):
            error.show()
            if isinstance(error, click.BadParameter) and (place := origin(error)):
                sys.stderr.write(f"The value comes from {place}.\n")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except (UsageError, RunError) as error:
        tell(error)
        return error.exit_code
    except OSError as error:
        if error.errno not in MACHINE_FAULTS:
            raise
        tell(OutputError(f"the disk says no: {error.filename or 'a file'}: {error.strerror}"))
        return 74
    return code if isinstance(code, int) else 0


class PrintableFormatter(logging.Formatter):
    """Log lines without what could steer a terminal: a traceback may quote a server's words."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, its traceback below."""
        return clean(super().format(record))


def listen_to_log() -> None:
    """Print what is logged to stderr, once a process."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])


def tell(error: BatchError) -> None:
    """Print an error for people: what it lists first, then what it says."""
    *listed, last = clean(str(error)).split("\n")
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write("\n".join([*listed, f"overnight: {last}"]) + "\n")


def origin(error: click.BadParameter) -> str:
    """Where a bad value came from, when it was not typed; empty when it was."""
    if error.ctx is None or error.param is None or not error.param.name:
        return ""
    source = error.ctx.get_parameter_source(error.param.name)
    if source is ParameterSource.ENVIRONMENT:
        return f"${error.ctx.auto_envvar_prefix}_{error.param.name.upper()}"
    if source is ParameterSource.DEFAULT_MAP:
        origins: dict[str, str] = error.ctx.meta.get("overnight.origins", {})
        return clean(origins.get(error.param.name, ""))
    return ""
