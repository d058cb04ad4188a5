"""The words of a command: split as a shell would split them, filled for each job, never evaluated.

`{image}` and `{model}` may stand inside a word, `{images}` is a word of its own. All that comes
from a job file is a model's name, which is held to letters that neither a shell nor a command line
takes for more than a name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import PurePath

from msgspec import Struct

from ...errors import UsageError
from ...printable import shortened

IMAGE, IMAGES, MODEL, PROMPT = "{image}", "{images}", "{model}", "{prompt}"
INSIDE = re.compile(r"\{image\}|\{model\}")

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
"""A model that is no option, no absolute path and nothing to a shell, should the command be one."""


class Command(Struct, frozen=True):
    """A command with places for what differs from job to job."""

    words: tuple[str, ...]

    def takes(self, place: str) -> bool:
        """Whether the command has this place."""
        return any(place in word for word in self.words)

    @property
    def program(self) -> str:
        """The name of what is started, without its folder."""
        return PurePath(self.words[0]).name

    @property
    def max_images(self) -> int | None:
        """Images of a job that find a place; None for any number."""
        return None if self.takes(IMAGES) else int(self.takes(IMAGE))

    def filled(self, images: Sequence[str], model: str) -> list[str]:
        """The words for one job, whose images are the files at these paths."""
        values = {IMAGE: images[0] if images else "", MODEL: model}
        words: list[str] = []
        for word in self.words:
            if word == IMAGES:
                words += images
            else:
                words.append(INSIDE.sub(lambda found: values[found[0]], word))
        return words


def split_command(typed: str) -> Command:
    """The command that was typed after `exec:`; raises `UsageError` for one that cannot be run."""
    try:
        words = tuple(shlex.split(typed))
    except ValueError as error:
        raise UsageError(f"exec: {shortened(typed)!r} cannot be split: {error}") from error
    if problem := reason_unusable(words):
        raise UsageError(f"exec: {problem}")
    return Command(words)


def reason_unusable(words: Sequence[str]) -> str:
    """Why these words are no command that can be filled; empty when they are one."""
    program = words[0] if words else ""
    checks = (
        (not program, "a command is missing: --provider 'exec:COMMAND'"),
        (any("\0" in word for word in words), "a word of the command holds a NUL"),
        (
            any(place in program for place in (IMAGE, IMAGES, MODEL)),
            f"{program!r} would let a job choose the program: name it",
        ),
        (
            PROMPT in words,
            "the prompt goes to stdin, not into the words, which everybody can read in ps",
        ),
        (
            any(IMAGES in word and word != IMAGES for word in words),
            "{images} becomes several words, so it must stand alone as one",
        ),
        (
            IMAGES in words and any(IMAGE in word for word in words),
            "give {image} for one image or {images} for any number, not both",
        ),
    )
    return next((problem for is_wrong, problem in checks if is_wrong), "")


def reason_unsafe(model: str) -> str:
    """Why a model's name is not put into a command; empty when it may be."""
    if not model or (PLAIN_NAME.fullmatch(model) and ".." not in model.split("/")):
        return ""
    return (
        f"the model {shortened(model)!r} is not put into a command: a name of letters, digits and "
        "._:/@+- is expected (write what you trust into the command itself)"
    )
