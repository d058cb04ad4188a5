"""One writer an output: a kernel lock, which the kernel frees when the process dies."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from ..errors import Locked, OutputError
from ..files import private, read_private

NOT_OURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""What the system says of a folder that we may not write in."""

LOOKS = 5
BETWEEN_LOOKS = 0.02
"""How often, and after how many seconds, a lock that is taken is tried again."""

MOST_FACTS = 16 << 20
"""Bytes that are read of what the last holder told; a prompt is among them."""


class Lock:
    """The lock of an output. Its file is never unlinked; it tells who ran last and with what."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._fd is not None

    def acquire(self, who: dict[str, Any]) -> None:
        """Take the lock and tell who has it: `who` comes over what the last holder told.

        Raises `Locked` with the holder's pid, host and start, `OutputError` (73) when the file
        cannot be made or locked.
        """
        try:
            fd = private(str(self._path), os.O_RDWR | os.O_CREAT)
        except OSError as error:
            words = f"cannot create {self._path}: {error.strerror}"
            elsewhere = ": -o FILE writes elsewhere" if error.errno in NOT_OURS else ""
            raise OutputError(f"{words}{elsewhere}", 73) from error
        try:
            take(fd)
        except BlockingIOError as error:
            os.close(fd)
            raise Locked(holder(self._path)) from error
        except OSError as error:
            os.close(fd)
            raise OutputError(f"cannot lock {self._path}: {error.strerror}", 73) from error
        self._fd = fd
        self.add(who)

    def add(self, facts: dict[str, Any]) -> None:
        """Tell `facts` over what was told before; raises `OutputError` (74)."""
        self.tell({**self.facts(), **facts})

    def facts(self) -> dict[str, Any]:
        """What was told last; empty when nothing usable is there."""
        return lock_facts(self._path)

    def tell(self, facts: dict[str, Any]) -> None:
        """Write who holds the lock and the options that decide its answers.

        Raises `OutputError` (74).
        """
        assert self._fd is not None
        text = msgspec.json.encode(facts) + b"\n"
        try:
            # Readers take the first line, so it is never cut before the new one stands.
            os.pwrite(self._fd, text, 0)
            os.ftruncate(self._fd, len(text))
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error

    def release(self) -> None:
        """Free the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def take(fd: int) -> None:
    """Lock a file; raises `OSError`.

    Who only looks whether it is locked holds it for a moment, so a refusal is not believed at once.
    """
    for _ in range(LOOKS):
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(BETWEEN_LOOKS)
    return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool:
    """Whether a living run holds the lock."""
    try:
        fd = private(str(path), os.O_RDONLY)
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
        facts = msgspec.json.decode(read_private(path, MOST_FACTS).partition(b"\n")[0])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def holder(path: Path) -> str:
    """The words for who holds the lock."""
    facts = lock_facts(path)
    if not facts:
        return f"another run is using this output ({path})"
    who = f"pid {facts.get('pid')} on {facts.get('host')}, since {facts.get('started_at')}"
    return f"another run is using this output: {who} ({path})"
