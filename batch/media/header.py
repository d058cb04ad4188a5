"""What the head of an image tells before anything is decoded: its size in bytes and pixels.

Blocks, so it is called in threads.
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import BinaryIO

from msgspec import Struct

from ..errors import Rejected
from ..models import ImageRef
from .confine import named, open_confined
from .formats import find_format, looks_like
from .load import ImageRules, decode_data_uri, too_many_bytes
from .pillow import check_pixels, decoding, open_pixels

HEAD = 4096
"""Bytes that tell the type."""


class Header(Struct, frozen=True):
    """The size of an image as it is stored."""

    bytes: int
    width: int
    height: int


def read_header(root: str, part: ImageRef, rules: ImageRules) -> Header:
    """The header of the file under `root`, or of the `data:` address, that `part` names.

    Raises a `JobError` as loading the image would, less what only decoding it tells.
    """
    if part.is_address:
        data = decode_data_uri(part.source, rules)
        return header_of(BytesIO(data), len(data), rules)
    opened = open_confined(root, part.source)
    with os.fdopen(opened.fd, "rb") as file:
        if opened.stat.st_size > rules.max_bytes:
            raise too_many_bytes(named(part.source), rules)
        return header_of(file, opened.stat.st_size, rules)


def header_of(file: BinaryIO, size: int, rules: ImageRules) -> Header:
    """The header of an open image of `size` bytes."""
    with decoding("image", rules):  # a disk that fails while it is read is no sound image either
        head = file.read(HEAD)
        form = find_format(head)
        if form is None:
            raise Rejected(f"the file is {looks_like(head)}", "image_invalid")
        file.seek(0)
        with open_pixels(file, form) as pixels:
            check_pixels(pixels.size, rules)
            return Header(size, *pixels.size)
