"""Options that commands share, and the way from them to Settings. The same name everywhere."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from click.core import ParameterSource

from ..errors import UsageError
from ..media.load import ImageRules
from ..outcomes import Price
from ..settings import Settings
from .config import apply_config
from .types import Duration, Size

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Option = Callable[[Decorated], Decorated]

DURATION = Duration()
SIZE = Size()
POSITIVE = click.IntRange(min=1)


def together(*options: Any) -> Callable[[Decorated], Decorated]:
    """Several options as one decorator, listed in the given order."""

    def decorate(function: Decorated) -> Decorated:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


source_options = together(
    click.argument("sources", nargs=-1, required=True, metavar="SOURCE…"),
    click.option(
        "--config",
        is_eager=True,
        callback=apply_config,
        metavar="FILE",
        help="Configuration file instead of ./overnight.toml or the user's own.",
    ),
)

job_options = together(
    click.option("-p", "--prompt", help="Prompt for jobs that have none."),
    click.option("--prompt-file", metavar="FILE", help="Read the prompt from a file."),
    click.option("-s", "--system", help="System message for jobs that have none."),
    click.option("--provider", default="offline", show_default=True, help="Who answers."),
    click.option("-m", "--model", help="Model for jobs that name none."),
    click.option("-o", "--output", metavar="FILE", help="Results file; - for stdout."),
    click.option("--root", metavar="DIR", help="Folder that image paths may not leave."),
)

check_options = together(
    click.option("--limit", type=POSITIVE, help="Do only the first N jobs that are not done."),
    click.option(
        "--retry-failed",
        type=click.Choice(["all", "transient", "none"]),
        default="transient",
        show_default=True,
        help="Which failures of earlier runs are tried again.",
    ),
    click.option("--fresh", is_flag=True, help="Run everything again; old answers are kept aside."),
    click.option("--skip-bad-lines", is_flag=True, help="Turn bad lines into failed lines."),
    click.option("--max-line-bytes", type=SIZE, default="8MiB", show_default=True),
    click.option("--max-image-bytes", type=SIZE, default="32MiB", show_default=True),
    click.option("--max-image-pixels", type=POSITIVE, default=100_000_000, show_default=True),
)

wire_options = together(
    click.option("--base-url", metavar="URL", help="Server, without the wire's own path."),
    click.option("--key-file", metavar="FILE", help="File that holds the key (mode 600)."),
    click.option("--proxy", metavar="URL", help="Proxy instead of HTTPS_PROXY."),
    click.option(
        "-j", "--concurrency", type=POSITIVE, default=8, show_default=True, help="Requests at once."
    ),
    click.option("--rpm", type=click.FloatRange(min=0, min_open=True), help="Requests a minute."),
    click.option(
        "--timeout", type=DURATION, default="120", show_default=True, help="Bound of one attempt."
    ),
    click.option(
        "--retries",
        type=click.IntRange(min=0),
        default=4,
        show_default=True,
        help="Further attempts after the first.",
    ),
    click.option(
        "--max-outage",
        type=DURATION,
        default="2h",
        show_default=True,
        help="How long the provider may be away.",
    ),
    click.option("--max-side", type=POSITIVE, metavar="PX", help="Scale larger images down."),
    click.option("--original-bytes", is_flag=True, help="Send images as they are, EXIF and all."),
    click.option(
        "--allow-remote-images", is_flag=True, help="Pass http images in messages to the provider."
    ),
    click.option("--max-response-bytes", type=SIZE, default="8MiB", show_default=True),
    click.option("--max-held-bytes", type=SIZE, default="256MiB", show_default=True),
)

manner_options = together(
    click.option(
        "--sync",
        type=click.Choice(["group", "each"]),
        default="group",
        show_default=True,
        help="Sync answers to the disk in groups, or each before it counts.",
    ),
    click.option(
        "--if-locked",
        type=click.Choice(["fail", "wait", "skip"]),
        default="fail",
        show_default=True,
        help="When another run uses this output.",
    ),
    click.option(
        "--grace",
        type=DURATION,
        default="30",
        show_default=True,
        help="How long an interrupted run may finish what is in flight.",
    ),
    click.option("-n", "--dry-run", is_flag=True, help="Only check, as `overnight check` does."),
    click.option("-q", "--quiet", is_flag=True, help="Silent unless something failed."),
    click.option("-v", "--verbose", is_flag=True, help="Tell each retry."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "bar", "plain", "none"]),
        default="auto",
        show_default=True,
    ),
)

json_option = click.option("--json", "as_json", is_flag=True, help="The numbers as JSON on stdout.")

DECIDING = ("prompt", "system", "model")
PLAIN = frozenset(Settings.__struct_fields__)


def settings_of(ctx: click.Context, values: dict[str, Any]) -> Settings:
    """The settings that a command's options make; raises `UsageError`."""
    values = dict(values)
    if path := values.pop("prompt_file", None):
        values["prompt"] = prompt_from(path, values.get("prompt"))
    flags: dict[str, Any] = {}
    ambient: dict[str, Any] = {}
    for name in DECIDING:
        value = values.pop(name, None)
        if value is not None:
            asked = "prompt_file" if name == "prompt" and path else name
            typed = ctx.get_parameter_source(asked) is ParameterSource.COMMANDLINE
            (flags if typed else ambient)[name] = value
    known = ctx.meta.get("overnight.providers", {}).get(values.get("provider"), {})
    for name in ("base_url", "key_file"):
        if not values.get(name) and name in known:
            values[name] = known[name]
    images = ImageRules(
        max_bytes=values.pop("max_image_bytes", ImageRules().max_bytes),
        max_pixels=values.pop("max_image_pixels", ImageRules().max_pixels),
        max_side=values.pop("max_side", None),
        original_bytes=values.pop("original_bytes", False),
    )
    plain = {name: value for name, value in values.items() if name in PLAIN and value is not None}
    return Settings(
        **plain,
        flags=flags,
        ambient=ambient,
        images=images,
        price=price_of(known.get("price")),
        command=typed_command(),
    )


def prompt_from(path: str, prompt: str | None) -> str:
    """The prompt in a file, without its last newline."""
    if prompt is not None:
        raise UsageError("--prompt and --prompt-file together: give one of them")
    try:
        return Path(path).read_text("utf-8").rstrip("\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8") from error


def price_of(table: Any) -> Price | None:
    """The price of a `[provider.NAME]` table: dollars for a million tokens in and out."""
    try:
        return None if table is None else msgspec.convert(table, Price, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"price = {{input = 0.15, output = 0.6}} is expected: {error}") from error


def typed_command() -> str:
    """What was typed, for the words that tell what to type next."""
    return shlex.join(["overnight", *sys.argv[1:]])
