"""The signals that end the process, and what they mean before and after a run."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

CODES: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
"""The exit code that each of them asks for."""

PATIENCE = 2.0
"""Seconds that may go by between the second signal, or the last word, and the end."""


def heard() -> list[int]:
    """Those of them that whoever started us did not tell us to ignore, as nohup does."""
    return [number for number in CODES if signal.getsignal(number) is not signal.SIG_IGN]


def listen(to: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Call `to` when one of them comes."""
    for number in heard():
        signal.signal(number, to)


def leave(number: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun that would have to be put away."""
    os._exit(CODES[number])


def unwind(number: int, _frame: FrameType | None) -> None:
    """End by an exception, which closes and removes what is half done on its way."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(CODES[number])


def leave_within(seconds: float, code: int, words: bytes = b"") -> None:
    """End the process after some seconds, with `words` on stderr, if it lives on until then.

    What a thread waits for cannot be cancelled: a picture on a disk that hangs, for one.
    """

    def end() -> None:
        time.sleep(seconds)
        with contextlib.suppress(OSError):
            os.write(2, words)
        os._exit(code)

    # Not a `Thread`, whose start takes a lock that a signal may have met its taker in.
    _thread.start_new_thread(end, ())
