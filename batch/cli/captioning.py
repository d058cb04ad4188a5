"""The options of folders and captions, as data."""

from __future__ import annotations

import click

from .options import ASKING, choice, flag, option
from .types import CaptionEnding, Suffixes

PRESET_NAMES = ("caption", "alt", "tags", "describe")

FOLDERS = (
    option(
        "--ext",
        type=Suffixes(),
        metavar="LIST",
        help="Take only images with these endings of a folder, for example jpg,png [all].",
    ),
    option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Leave out images or folders, as a line of .overnightignore does (several times).",
    ),
)

ASKED: tuple[click.Option, ...] = (
    option(
        "--preset",
        type=choice(*PRESET_NAMES),
        default="caption",
        help="What to ask for, and which field of an XMP sidecar it goes to; -p changes the words.",
    ),
    flag("--show-prompt", help="Print the prompt and end."),
    option(
        "-p",
        "--prompt",
        metavar="TEXT",
        help="Ask this in place of the preset's words; {{stem}}, {{exif.Model}} and others are"
        " filled in.",
    ),
    *(each for each in ASKING if each.name != "prompt"),
)

XMP_NAMING = option(
    "--xmp-naming",
    type=choice("photo.jpg.xmp", "photo.xmp"),
    default="photo.jpg.xmp",
    help="Names as darktable, digiKam and Immich have them, or as Lightroom has.",
)

XMP_EXPORT: tuple[click.Option, ...] = (
    option(
        "--preset",
        type=choice(*PRESET_NAMES),
        help="What was asked for, which decides the field of --to xmp [that of the last run that"
        " wrote sidecars, else caption].",
    ),
    XMP_NAMING,
)

SIDECARS: tuple[click.Option, ...] = (
    option(
        "--sidecar",
        type=choice("txt", "xmp", "json", "none"),
        default="txt",
        help="What to write beside each image.",
    ),
    option(
        "--caption-ext",
        type=CaptionEnding(),
        default=".txt",
        metavar="EXT",
        help="Ending of a text sidecar, for example .caption.",
    ),
    XMP_NAMING,
    option(
        "--sidecar-dir",
        metavar="DIR",
        help="Write the tree of sidecars there [beside the images].",
    ),
    option(
        "--existing",
        type=choice("skip", "overwrite", "append", "prepend", "backup"),
        default="skip",
        help="What to do with images that have a sidecar of somebody else's: do not ask about"
        " them; or ask and overwrite it, add to it, or keep it as .bak (of an XMP file one field"
        " is set, with exiftool).",
    ),
    option("--prefix", default="", metavar="TEXT", help="Begin each sidecar with this, as it is."),
    option("--suffix", default="", metavar="TEXT", help="End each sidecar with this, as it is."),
    option(
        "--strip-phrase",
        multiple=True,
        metavar="TEXT",
        help="Leave these words out of sidecars (several times).",
    ),
)
