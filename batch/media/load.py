"""Reads the bytes of an image once: from a file under the root or from a `data:` address.

All of this blocks, so it is called in threads.
"""

from __future__ import annotations

import hashlib
import os
import re

import pybase64
from msgspec import Struct

from ..errors import Rejected
from ..models import Media
from .confine import named, open_confined, read_error

MIB = 1 << 20

DATA_URI = re.compile(r"data:image/[a-z0-9.+-]{1,64};base64,", re.IGNORECASE)


class ImageRules(Struct, frozen=True):
    """What an image may weigh and what is done to it before it is sent."""

    max_bytes: int = 32 * MIB
    max_pixels: int = 100_000_000
    max_side: int | None = None
    """Pixels of the longer side; a larger image is scaled down. None leaves the size alone."""
    original_bytes: bool = False
    """The bytes go out as they are, metadata and all, after the same checks."""


def read_file(root: str, reference: str, rules: ImageRules) -> tuple[bytes, Media]:
    """Read the file that `reference` names under `root`, and say what was read.

    The hash is that of exactly these bytes. Raises as `open_confined` does, and `Rejected` with
    `image_too_large` for more than `rules.max_bytes`, told from the size before anything is read.
    """
    opened = open_confined(root, reference)
    try:
        if opened.stat.st_size > rules.max_bytes:
            raise too_many_bytes(named(reference), rules)
        data = read_all(opened.fd, opened.stat.st_size, rules.max_bytes + 1)
    except OSError as error:
        raise read_error(reference, error) from error
    finally:
        os.close(opened.fd)
    if len(data) > rules.max_bytes:  # it grew meanwhile, or lives in /proc and tells no size
        raise too_many_bytes(named(reference), rules)
    digest = hashlib.sha256(data).hexdigest()
    return data, Media(reference, len(data), opened.stat.st_mtime_ns, digest)


def stat_media(root: str, reference: str) -> tuple[int, int]:
    """Size in bytes and mtime in nanoseconds, confined as in `open_confined`; reads nothing."""
    opened = open_confined(root, reference)
    os.close(opened.fd)
    return opened.stat.st_size, opened.stat.st_mtime_ns


def decode_data_uri(uri: str, rules: ImageRules) -> bytes:
    """The bytes of `data:image/…;base64,…`.

    Raises `Rejected`: `image_invalid` for any other address or broken base64, `image_too_large`
    before anything is decoded.
    """
    head = DATA_URI.match(uri)
    if head is None:
        raise Rejected("a data: image is written data:image/TYPE;base64,DATA", "image_invalid")
    size = (len(uri) - head.end()) // 4 * 3 - uri[-2:].count("=")
    if size > rules.max_bytes:
        raise too_many_bytes("the data: image", rules)
    try:
        return pybase64.b64decode(uri[head.end() :], validate=True)
    except ValueError as error:
        raise Rejected("the data: image is no sound base64", "image_invalid") from error


def read_all(fd: int, size: int, limit: int) -> bytes:
    """All bytes of the file, but not more than `limit`."""
    pieces: list[bytes] = []
    wanted, room = size + 1, limit  # one more than it should hold, to see the end
    while room > 0 and (piece := os.read(fd, min(wanted, room))):
        pieces.append(piece)
        room -= len(piece)
        wanted = MIB
    return b"".join(pieces)


def too_many_bytes(what: str, rules: ImageRules) -> Rejected:
    """The refusal of an image that weighs too much."""
    limit = f"{rules.max_bytes / MIB:.4g} MiB"
    return Rejected(f"{what} is over the limit of {limit}", "image_too_large")
