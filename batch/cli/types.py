"""Parameter types of the command line."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
SIZE = re.compile(r"(\d+)\s*([kmg]?)(?:i?b)?", re.IGNORECASE)
ENDING = re.compile(r"(?:\.[A-Za-z0-9_-]{1,16}){1,3}")


class Suffixes(click.ParamType[tuple[str, ...]]):
    """Endings of image files with commas between: jpg,png."""

    name = "endings"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The endings in lower case, each with its dot."""
        from ..sources.folder import SUFFIXES

        given = [each.strip().lower() for each in str(value).split(",")]
        found = tuple(each if each.startswith(".") else f".{each}" for each in given if each)
        unknown = [each for each in found if each not in SUFFIXES]
        if unknown or not found:
            known = ",".join(each[1:] for each in SUFFIXES)
            self.fail(f"{value!r} names no images: there are {known}", param, ctx)
        return found


class CaptionEnding(click.ParamType[str]):
    """The ending of text files beside images, with or without its dot: .txt, caption."""

    name = "ending"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The ending with its dot; letters and digits only, for trainers have to find the files."""
        from ..sources.folder import SUFFIXES

        ending = str(value) if str(value).startswith(".") else f".{value}"
        if not ENDING.fullmatch(ending):
            self.fail(f"{value!r} is no ending of a text file: write .txt or .caption", param, ctx)
        if ending.lower().endswith(SUFFIXES):
            self.fail(f"{value!r} is an ending of images: they would be replaced", param, ctx)
        return ending


class Duration(click.ParamType[float]):
    """Seconds as a number, or with a unit: 90s, 5m, 2h; `positive` when 0 means nothing."""

    name = "duration"

    def __init__(self, *, positive: bool = False) -> None:
        self._positive = positive

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        found = DURATION.fullmatch(str(value).strip())
        if not found:
            self.fail(f"{value!r} is no duration: write 90, 90s, 5m or 2h", param, ctx)
        seconds = float(found[1]) * UNITS[found[2]]
        if self._positive and not seconds:
            self.fail(f"{value!r} is no time at all: write 90, 90s, 5m or 2h", param, ctx)
        return seconds


class Size(click.ParamType[int]):
    """Bytes as a number, or with a unit: 500k, 8MiB; at most `most`."""

    name = "size"

    def __init__(self, *, most: int | None = None) -> None:
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        found = SIZE.fullmatch(str(value).strip())
        if not found or int(found[1]) == 0:
            self.fail(f"{value!r} is no size: write 8388608, 500k or 8MiB", param, ctx)
        size = int(found[1]) * SIZES[found[2].lower()]
        if self._most is not None and size > self._most:
            self.fail(f"{value!r} is more than the {self._most >> 20} MiB that work", param, ctx)
        return size
