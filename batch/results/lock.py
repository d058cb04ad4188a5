"""One writer an output: a kernel lock, which the kernel frees when the process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import msgspec

from ..errors import Locked, OutputError


class Lock:
    """The lock of an output. Its file is never unlinked; it tells who ran last and with what."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._fd is not None

    def acquire(self, *, wait: bool = False) -> None:
        """Take the lock, waiting for it when asked.

        Raises `Locked` with the holder's pid, host and start, `OutputError` (73) when the file
        cannot be made.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OutputError(f"cannot create {self._path}: {error.strerror}", 73) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise Locked(holder(self._path)) from error
        self._fd = fd

    def tell(self, facts: dict[str, Any]) -> None:
        """Write who holds the lock and the options that decide its answers."""
        assert self._fd is not None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, msgspec.json.encode(facts) + b"\n", 0)

    def release(self) -> None:
        """Free the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_locked(path: Path) -> bool:
    """Whether a living run holds the lock; leaves no trace."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def lock_facts(path: Path) -> dict[str, Any]:
    """What the last holder told; empty when nothing usable is there."""
    try:
        facts = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return facts if isinstance(facts, dict) else {}


def holder(path: Path) -> str:
    """The words for who holds the lock."""
    facts = lock_facts(path)
    if not facts:
        return f"another run is using this output ({path})"
    who = f"pid {facts.get('pid')} on {facts.get('host')}, since {facts.get('started_at')}"
    return f"another run is using this output: {who} ({path})"
