"""`python -m batch` is `overnight`: what belongs to the process, around the command line."""

from __future__ import annotations

import atexit
import importlib
import os
import signal
import sys
from types import FrameType, TracebackType

from .signals import PATIENCE, leave, leave_within, listen, unwind


def main(program: str = "overnight") -> int:
    """Run the command line as this process; the exit code.

    From here on a signal ends it with the code of that signal and without a traceback, so the
    command line, most of the time of a start, is imported after that.
    """
    read_names_as_utf_8()
    listen(leave)
    sys.excepthook = end_with_bug
    open_streams()
    command_line = importlib.import_module(".cli", "batch").main
    try:
        listen(unwind)
        code: int = command_line(program=program)
    except KeyboardInterrupt:
        code = 130
    flush_streams()
    reading = sys.modules.get("batch.threads")
    if reading is not None and reading.Threads.busy:
        os._exit(code)  # a disk that does not answer keeps nobody waiting for the end

    def end(_number: int, _frame: FrameType | None) -> None:
        """End now: all is saved and told, and only threads could be waited for."""
        os._exit(code)

    listen(end)
    leave_within(PATIENCE, code)
    atexit.register(listen, signal.SIG_IGN)  # when the threads have ended: nothing is left to do
    return code


def read_names_as_utf_8() -> None:
    """Begin anew where file names would be read by another rule than UTF-8.

    A job's id may be the name of its image: it must not depend on the locale that cron has.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, sys.orig_argv)  # as we were called ourselves


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


def flush_streams() -> None:
    """Write what is left; where nobody reads any more, lead it nowhere.

    Python would try again at its end, and end with 120.
    """
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), number)


def end_with_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of a bug of ours and end with 70; what was counted is on the disk."""
    import traceback

    clean = importlib.import_module(".views.text", "batch").clean
    sys.stderr.write(clean("".join(traceback.format_exception(kind, error, trace))))
    sys.stderr.write("overnight: this is a bug of ours; the results that were counted are safe\n")
    sys.stderr.flush()
    os._exit(70)


if __name__ == "__main__":
    sys.exit(main("python -m batch"))
