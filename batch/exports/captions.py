"""Answers about one image each, held to the folder that the images belong to.

The paths in a results file are words of whoever made it. Each is opened under the root before
anything is named after it, and only what begins as an image is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from ..errors import JobError, Rejected
from ..media.confine import named, open_confined, read_error
from ..media.formats import find_format
from ..media.load import ImageRules, read_file
from ..results.wording import Wording, one_line
from .answers import Answer, Answers
from .terms import Export, LeftOut

HEAD = 512
"""Bytes that tell the type of an image."""

GONE = "its image left the folder (renamed, moved or deleted)"


class Caption(NamedTuple):
    """An answer about an image that is there."""

    answer: Answer
    path: str
    """From the root, with `/` between its parts; never climbs."""
    kind: str
    """The extension that the image's bytes call for, without a dot."""
    wording: Wording

    @property
    def text(self) -> str:
        """The answer as it is worded, without white space around it."""
        return self.wording.text(self.answer.result.output)

    @property
    def line(self) -> str:
        """The same as one line: trainers read no further than the first."""
        return self.wording.caption(self.answer.result.output)

    @property
    def stem(self) -> str:
        """The path without its extension."""
        return str(PurePosixPath(self.path).with_suffix(""))

    @property
    def suffix(self) -> str:
        """The extension as it is written, with its dot; empty when there is none."""
        return PurePosixPath(self.path).suffix


def captions(answers: Answers, export: Export, left_out: LeftOut) -> Iterator[Caption]:
    """The answers that are about one image, if it is still there and the same; blocks."""
    for answer in answers.read(left_out):
        try:
            found = caption(answer, export.root, export.wording)
        except JobError as error:
            gone = isinstance(error.__cause__, FileNotFoundError)
            left_out.add(answer.result.id, GONE if gone else str(error), gone=gone)
            continue
        yield found


def caption(answer: Answer, root: str, wording: Wording) -> Caption:
    """An answer with its image; raises `JobError` with the reason why it has none."""
    result = answer.result
    if not one_line(result.output):
        raise Rejected("the answer is empty", "empty_output")
    if not wording.caption(result.output):
        raise Rejected("nothing is left of the answer (--strip-phrase)", "empty_output")
    if len(result.media) != 1:
        words = "it has more than one image" if result.media else "it has no image"
        raise Rejected(f"{words}: export it --to csv or sqlite", "unsupported")
    (media,) = result.media
    opened = open_confined(root, media.path)
    try:
        head = os.read(opened.fd, HEAD)
    except OSError as error:
        raise read_error(media.path, error) from error
    finally:
        os.close(opened.fd)
    if opened.stat.st_size != media.bytes:
        raise changed(media.path)
    return Caption(answer, from_root(root, media.path), extension(head, media.path), wording)


def read_image(found: Caption, root: str, rules: ImageRules) -> bytes:
    """The bytes of the image, which are exactly those that were answered about.

    Raises `JobError` when they are not, or too many.
    """
    (recorded,) = found.answer.result.media
    data, media = read_file(root, recorded.path, rules)
    if media.sha256 != recorded.sha256:
        raise changed(recorded.path)
    return data


def changed(path: str) -> Rejected:
    """The refusal of an image that was replaced since."""
    return Rejected(f"{named(path)} has changed since it was answered: run again", "image_invalid")


def from_root(root: str, path: str) -> str:
    """A path that was opened under the root, in its shortest words."""
    if path.startswith("/"):
        path = os.path.relpath(os.path.realpath(path), root)
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def extension(head: bytes, path: str) -> str:
    """The extension that an image's first bytes call for; raises `Rejected` for what is none."""
    found = find_format(head)
    if found is None:
        raise Rejected(f"{named(path)} is no image by its bytes", "image_invalid")
    return found.file_name.rpartition(".")[2]


def shared(found: Iterable[Caption], target: Callable[[Caption], str]) -> frozenset[int]:
    """Hashes of the targets that more than one answer has; about 60 bytes an answer are held."""
    seen: set[int] = set()
    twice: set[int] = set()
    for each in found:
        mark = hash(target(each))
        (twice if mark in seen else seen).add(mark)
    return frozenset(twice)


def alone(
    answers: Answers, export: Export, target: Callable[[Caption], str], left_out: LeftOut
) -> Iterator[Caption]:
    """The captions whose target is theirs alone.

    Of two answers for one place neither is taken: which of them stands first in the results is
    chance.
    """
    twice = shared(captions(answers, export, LeftOut()), target)
    for found in captions(answers, export, left_out):
        place = target(found)
        if hash(place) in twice:
            left_out.add(found.answer.result.id, f"another answer would be {place!r} too")
        else:
            yield found
