"""Commands of this machine: each in a session of its own, and ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

OURS = re.compile(r".*_API_KEY|CREDENTIALS_DIRECTORY", re.IGNORECASE)
"""Variables that hold keys of providers: a command is not told them."""

REAPED = 1.0
"""Seconds that the end of a killed command is waited for."""


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a command is told: all but those with keys for providers of ours."""
    return {name: value for name, value in environ.items() if not OURS.fullmatch(name)}


def start(
    words: Sequence[str],
    typed: IO[bytes],
    environment: Mapping[str, str],
    output: IO[bytes],
    told: IO[bytes],
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that Ctrl-C in our terminal is ours to handle.

    `typed`, `output` and `told` are its stdin, stdout and stderr; `folder` is the one that it works
    in, ours without. Raises `OSError` when it cannot be started.
    """
    return subprocess.Popen(
        words,
        stdin=typed,
        stdout=output,
        stderr=told,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to the process group of a command, which may have outlived the command."""
    if process.returncode is not None and is_alive(process.pid):
        return  # the number is another's by now, so nothing of the group is left
    # macOS says PermissionError of a group whose last member is about to be reaped.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a command, and end its group when it takes longer; whether it ended by itself."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    else:
        return True
    finally:
        send(process, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a disk that hangs holds it
            process.wait(REAPED)
