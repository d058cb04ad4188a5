"""What goes to stdout: data, written at once, whoever reads it and however they stop."""

from __future__ import annotations

import os
import sys
from typing import Any

from ..errors import OutputError
from ..printable import printable_json
from ..views.text import clean


def put_text(text: str) -> None:
    """Print lines for people; what the terminal has no letter for is escaped."""
    put((clean(text) + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def put_json(value: Any) -> None:
    """Print one line of JSON."""
    import msgspec

    put(printable_json(msgspec.json.encode(value) + b"\n"))


def put(data: bytes) -> None:
    """Write to stdout; when nobody reads on, nothing. Raises `OutputError` (74)."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        give_up()
    except OSError as error:
        give_up()
        raise OutputError(f"cannot write to stdout: {error.strerror}") from error


def give_up() -> None:
    """Lead stdout nowhere: Python would try again at its end, and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
