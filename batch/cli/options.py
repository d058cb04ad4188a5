"""The options that commands share, as data: the same name and meaning everywhere."""

from __future__ import annotations

from typing import Any

import click

from ..exports.formats import FORMATS
from .config import apply_config
from .types import CaptionEnding, Duration, Size

TIME = Duration()
BOUND = Duration(positive=True)
SIZE = Size()
LARGEST_RESPONSE = 32 << 20
"""Bytes; the line of a larger answer, with all its escapes, could be too long to be read back."""
COUNT = click.IntRange(min=1)


def option(*names: str, **facts: Any) -> click.Option:
    """An option; one that has a value of its own shows it."""
    return click.Option(names, show_default=facts.get("default") is not None, **facts)


def flag(*names: str, **facts: Any) -> click.Option:
    """An option that is given or not."""
    return click.Option(names, is_flag=True, **facts)


def choice(*values: str) -> click.Choice[str]:
    """One of some words."""
    return click.Choice(values)


ROOT = option(
    "--root",
    metavar="DIR",
    help="Folder that image paths are relative to and may not leave [the source's own].",
)

ASKING = (
    option("-p", "--prompt", metavar="TEXT", help="Prompt for jobs that have none of their own."),
    option("--prompt-file", metavar="FILE", help="Read that prompt from a UTF-8 file."),
    option("-s", "--system", metavar="TEXT", help="System message for jobs that have none."),
    option("-m", "--model", metavar="NAME", help="Model for jobs that name none."),
    ROOT,
)

PROVIDER = option(
    "--provider",
    default="offline",
    metavar="NAME",
    help="Who answers; `overnight providers` lists them.",
)

LAST_PROVIDER = click.Option(
    ["--provider"],
    default="offline",
    show_default=False,
    metavar="NAME",
    help="Who answered [that of the last run].",
)

WHO = (
    PROVIDER,
    option(
        "--base-url",
        metavar="URL",
        multiple=True,
        help="The server, without the wire's own path; several times for a fleet of equal servers.",
    ),
    option("--key-file", metavar="FILE", help="File that holds the key; only you may read it."),
    option(
        "--fallback",
        metavar="PROVIDER:MODEL",
        help="Who does what is left once the provider cannot be used any more.",
    ),
    option("--proxy", metavar="URL", help="Proxy, instead of what HTTPS_PROXY names."),
)

GOING_ON = (
    option("--limit", type=COUNT, metavar="N", help="Do the first N jobs that are not done."),
    option(
        "--retry-failed",
        type=choice("all", "transient", "none"),
        default="transient",
        help="Which failures of earlier runs are tried again.",
    ),
    flag("--fresh", help="Do everything again; old answers are set aside, not deleted."),
    flag("--skip-bad-lines", help="Turn lines that cannot run into failed lines and go on."),
    option(
        "--max-line-bytes",
        type=SIZE,
        default="8MiB",
        metavar="SIZE",
        help="A longer line of a job file is a bad line.",
    ),
)


def dedupe(*, default: bool) -> click.Option:
    """Whether equal jobs are asked once unless it is told is each command's."""
    return flag(
        "--dedupe/--no-dedupe",
        default=default,
        help="Ask once what several jobs ask alike, and give all of them the answer"
        f" [{'yes' if default else 'no'}].",
    )


PACE = (
    option(
        "-j",
        "--concurrency",
        type=COUNT,
        default=8,
        metavar="N",
        help="Requests in flight at once, at the most.",
    ),
    option(
        "--rpm",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Requests a minute, at the most.",
    ),
    option(
        "--tpm",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Tokens a minute, at the most: estimated, then corrected by what replies report.",
    ),
    option(
        "--timeout",
        type=BOUND,
        default="120s",
        metavar="TIME",
        help="How long one attempt may take (90, 90s, 5m, 2h).",
    ),
    option(
        "--job-timeout",
        type=BOUND,
        metavar="TIME",
        help="No attempt of a job begins after so much time of attempts and waits [none].",
    ),
    flag(
        "--hedge",
        help="Send one duplicate of a request that takes longer than 99 % did, and take the first"
        " answer: faster ends, up to 5 % paid twice.",
    ),
    option(
        "--retries",
        type=click.IntRange(min=0),
        default=4,
        metavar="N",
        help="Further attempts after the first.",
    ),
    option(
        "--max-outage",
        type=TIME,
        default="2h",
        metavar="TIME",
        help="How long to wait for a provider that is away before the run ends with 3.",
    ),
    option(
        "--grace",
        type=TIME,
        default="30s",
        metavar="TIME",
        help="How long an interrupted run finishes what is in flight.",
    ),
    option(
        "--max-response-bytes",
        type=Size(most=LARGEST_RESPONSE),
        default="8MiB",
        metavar="SIZE",
        help="A larger reply fails its job.",
    ),
)

IMAGES = (
    option("--max-side", type=COUNT, metavar="PX", help="Scale larger images down to this side."),
    flag("--original-bytes", help="Send images byte for byte, EXIF and GPS too."),
    flag("--allow-remote-images", help="Pass http addresses of images on to the provider."),
    option(
        "--max-image-bytes",
        type=SIZE,
        default="32MiB",
        metavar="SIZE",
        help="A larger image file fails its job.",
    ),
    option(
        "--max-image-pixels",
        type=COUNT,
        default=100_000_000,
        metavar="N",
        help="An image with more pixels fails its job.",
    ),
    option(
        "--max-held-bytes",
        type=SIZE,
        default="256MiB",
        metavar="SIZE",
        help="Image bytes in memory at once, about.",
    ),
)

EXPORT = (
    option("--to", type=choice(*FORMATS), required=True, help="The format, one of those above."),
    option(
        "--out",
        metavar="PATH",
        help="The file or folder to write [beside the results; hf, txt, xmp: beside the images].",
    ),
    flag(
        "--overwrite",
        help="Replace files that exist and differ; set the field of XMP files (with exiftool).",
    ),
    option(
        "--caption-ext",
        type=CaptionEnding(),
        default=".txt",
        metavar="EXT",
        help="Ending of the caption files of --to txt.",
    ),
    flag("--bom", help="Begin a CSV file with the mark by which Excel knows UTF-8."),
    option(
        "--maxcount",
        type=COUNT,
        default=10_000,
        metavar="N",
        help="Answers in a shard of --to webdataset, at the most.",
    ),
    option(
        "--maxsize",
        type=SIZE,
        default="1GiB",
        metavar="SIZE",
        help="Bytes of a shard of --to webdataset, at the most.",
    ),
)

RESULTS = option(
    "-o", "--output", metavar="FILE", help="Results file [beside the source]; - for stdout."
)

OUTPUT = (
    RESULTS,
    option(
        "--sync",
        type=choice("group", "each"),
        default="group",
        help="Bring answers to the disk in groups (a power cut costs a second), or each.",
    ),
    option(
        "--if-locked",
        type=choice("fail", "wait", "skip"),
        default="fail",
        help="When another run uses this output: end with 75, wait for it, or end with 0.",
    ),
)

QUIET = flag("-q", "--quiet", help="Print nothing unless something is wrong.")

ESTIMATE = flag(
    "--estimate",
    help="Look into every image to do and estimate tokens and cost (in a run with -n).",
)

MANNERS = (
    flag("-n", "--dry-run", help="Only check, as `overnight check` does."),
    ESTIMATE,
    QUIET,
    flag("-v", "--verbose", help="Tell each retry, and where the program stands when it hangs."),
    option(
        "--progress",
        type=choice("auto", "bar", "plain", "none"),
        default="auto",
        help="A live line on a terminal, a line a minute elsewhere.",
    ),
)

JSON = flag("--json", help="Print the numbers as JSON on stdout.")
WATCH = flag("--watch", help="Look again every two seconds until the run ends.")
PAGE = (
    option("--out", metavar="FILE", help="The page [STEM.report.html beside the results]."),
    flag("--open", help="Show the page in your browser."),
    flag(
        "--embed",
        help="Small pictures inside the page for any number of images, about 6 KB each, instead of"
        " links to the files (which it does by itself up to 200).",
    ),
)
CONFIG = option(
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=apply_config,
    help="Configuration file [./overnight.toml, else the one in your configuration folder].",
)
