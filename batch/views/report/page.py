"""A report as one HTML file that asks nobody for anything."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from msgspec import Struct

from ...errors import OutputError
from ...files import anew, part_of
from ...results.records import encode_line
from .figures import HEIGHT
from .items import Item
from .report import Report

ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
"""What could end the element that holds the data, as JSON may write it inside its strings."""


class Data(Struct, frozen=True):
    """What the script of the page reads."""

    name: str
    gallery: bool
    items: list[Item]


def render(report: Report) -> bytes:
    """The page as UTF-8. Style and script run by their hashes alone, so no answer can add one."""
    style, script = part("page.css"), part("page.js")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(part("page.html")).render(
        report=report,
        height=HEIGHT,
        policy=policy(style, script),
        style=style,
        script=script,
        data=embedded(Data(report.name, report.gallery, report.items)),
    )
    return text.encode("utf-8", "replace")


def part(name: str) -> str:
    """One of the files that a page is made of."""
    return (files(__package__) / name).read_text("utf-8")


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy: images from files or inside the page, our style, our script."""
    return (
        "default-src 'none'; img-src 'self' data: file:; "
        f"style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    """The source expression that allows exactly this text (CSP level 3, *hash-source*)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embedded(data: Data) -> str:
    """The data as JSON that cannot leave its element, whatever the answers say."""
    line = encode_line(data).rstrip(b"\n")
    for raw, escaped in ESCAPES:
        line = line.replace(raw, escaped)
    return line.decode()


def write_page(path: Path, page: bytes) -> None:
    """Put the page in place, whole and for its owner's eyes; raises `OutputError` (73)."""
    new = part_of(path)
    try:
        with open(new, "wb", opener=anew) as file:
            file.write(page)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}", 73) from error
