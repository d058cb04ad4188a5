"""The options of folders and captions, as data."""

from __future__ import annotations

import click

from .options import choice, flag, option
from .types import Suffixes

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

PRESET: tuple[click.Option, ...] = (
    option(
        "--preset",
        type=choice(*PRESET_NAMES),
        default="caption",
        help="What to ask for, and which field of an XMP sidecar it goes to; -p changes the words.",
    ),
    flag("--show-prompt", help="Print the prompt and end."),
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
        default=".txt",
        metavar="EXT",
        help="Ending of a text sidecar, for example .caption.",
    ),
    option(
        "--xmp-naming",
        type=choice("photo.jpg.xmp", "photo.xmp"),
        default="photo.jpg.xmp",
        help="Names as darktable, digiKam and Immich have them, or as Lightroom has.",
    ),
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
        " them; or ask and overwrite it, add to it, or keep it as .bak.",
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
