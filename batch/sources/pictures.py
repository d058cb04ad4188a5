"""What a prompt may say of the picture that it is about: its name, its folder, the text beside it.

The values are data: whatever braces a file name or a text beside a picture holds go out as they
are.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from ..files import read_below

FROM_TEXT = frozenset({"tags", "caption"})
"""Names whose value is the text beside the picture."""

TEXT_SUFFIX = ".txt"
LONGEST_TEXT = 64 << 10
"""Bytes of a text beside a picture that are read."""


def picture_vars(root: str, path: str, names: Collection[str]) -> dict[str, str]:
    """The values for the picture at `path` under `root`; blocks when `names` has one of a text.

    `name` is its file name, `stem` that without its suffix, `folder` the name of the folder that
    it is in; `tags` and `caption` are the text of the `.txt` beside it, empty where there is none.
    """
    whole = Path(root, path)
    text = text_beside(root, path) if FROM_TEXT & set(names) else ""
    values = {
        "name": whole.name,
        "stem": whole.stem,
        "folder": whole.parent.name,
        "caption": text,
        "tags": ", ".join(filter(None, (tag.strip() for tag in text.split(",")))),
    }
    return {key: os.fsencode(value).decode("utf-8", "replace") for key, value in values.items()}


def text_beside(root: str, path: str) -> str:
    """The text in the `.txt` of a picture, on one line; empty where none can be read.

    It goes out with the prompt, so no link is followed: it could lead to any file of the user.
    """
    try:
        name = str(Path(path).with_suffix(TEXT_SUFFIX))
        data = read_below(root, name, LONGEST_TEXT)
    except (OSError, ValueError):
        return ""
    text = data.decode("utf-8-sig", "replace").replace("\0", "")
    return " ".join(text.split())
