"""What an export is asked, and what it tells."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from ..errors import OutputError
from ..media.load import ImageRules
from ..printable import shortened
from ..results.wording import Wording

SHOWN = 20
"""Reasons that are told; further ones are only counted."""


class Export(Struct, frozen=True):
    """What an export is asked."""

    results: Path
    root: str
    """The real path of the folder that image paths are relative to and may not leave."""
    out: Path
    """The file, the folder, or of shards the name without number, that is written."""
    beside: bool = False
    """Whether `out` is the folder that the images stand in already."""
    overwrite: bool = False
    bom: bool = False
    caption_ext: str = ".txt"
    preset: str = "caption"
    """What was asked for: decides the field of an XMP file."""
    xmp_naming: str = "photo.jpg.xmp"
    maxcount: int = 10_000
    """Answers in a shard, at the most."""
    maxsize: int = 1 << 30
    """Bytes of a shard, at the most; one answer that is larger has a shard of its own."""
    images: ImageRules = ImageRules()
    wording: Wording = Wording()
    """How captions are worded; tables and result lines hold the answers as they came."""


class Written(Struct, frozen=True):
    """What an export wrote."""

    answers: int
    files: int
    """Files that are new or replaced; those that stood there already, the same, do not count."""
    place: str
    load: str
    """What reads it: a command, or a line of Python."""


class LeftOut:
    """What was left out and why: all are counted, the first 20 are told."""

    def __init__(self) -> None:
        self.count = 0
        self.gone = 0
        """Those among them whose picture left the folder."""
        self.lines: list[str] = []

    def add(self, what: str, why: str, *, gone: bool = False) -> None:
        """Leave something out."""
        self.count += 1
        self.gone += gone
        if len(self.lines) < SHOWN:
            self.lines.append(f"{shortened(what)}: {why}")


class Taken(OutputError):
    """Another file stands where one was to be written."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists and differs: --overwrite replaces it", 73)
