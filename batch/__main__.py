"""`python -m batch` is `overnight`: what belongs to the process, around the command line."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType, TracebackType

from .cli import main as command_line


def main(program: str = "overnight") -> int:
    """Run the command line as this process; the exit code."""
    sys.excepthook = end_with_bug
    open_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)
    return command_line(program=program)


def open_streams() -> None:
    """Make sure of stdin, stdout and stderr.

    Cron and services may start a process with some of them closed: the next file that is opened
    would get their number, and what is printed would land in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        if number and getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


def end(_number: int, _frame: FrameType | None) -> None:
    """End with the code of a signal, where no run is there to be stopped in order."""
    raise SystemExit(143)


def end_with_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of a bug of ours and end with 70; what was counted is on the disk."""
    traceback.print_exception(kind, error, trace)
    sys.stderr.write("overnight: this is a bug of ours; the results that were counted are safe\n")
    sys.stderr.flush()
    os._exit(70)


if __name__ == "__main__":
    sys.exit(main("python -m batch"))
