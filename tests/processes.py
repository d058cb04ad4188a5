"""What tests need to know of processes: whether one is gone, and what this one holds."""

import os
import subprocess
import sys
import time
from pathlib import Path

PYTHON = sys.executable


def is_gone(pid):
    """Whether a process has ended; one that nobody reaped yet has."""
    told = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return told.stdout.strip()[:1] in ("", "Z")


def wait_until(true, seconds=10):
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        os.sched_yield()


def pid_in(path):
    """The number that a command wrote into a file, once it is there."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def children():
    """The processes that this one started, dead ones that were not reaped among them."""
    told = subprocess.run(
        ["ps", "-A", "-o", "ppid=,comm="], capture_output=True, text=True, check=True
    )
    lines = (line.split(None, 1) for line in told.stdout.splitlines())
    return [name for ppid, name in lines if int(ppid) == os.getpid() and name.strip() != "ps"]


def open_files():
    """How many files this process holds open."""
    return len(list(Path("/dev/fd").iterdir()))


def lead_to_nothing(path):
    """Let the descriptor of an open file lead to /dev/null, where no sync can succeed."""
    open_here = Path("/proc/self/fd").iterdir()
    held = (int(fd.name) for fd in open_here if os.path.realpath(fd) == str(path))
    with open("/dev/null", "r+b") as nothing:
        os.dup2(nothing.fileno(), next(held))
