"""Stands between a run and its disk: notes every call about one folder, fails those it is told to.

It takes the place of functions of `os` and of `open`, so that what goes through C (a buffered file)
comes by too; `test_torture.py` compares what it counts with what the kernel was asked.
Nothing is really synced: no run under it meets a power cut.
"""

import builtins
import errno
import io
import itertools
import os
import signal
import threading
import time
from pathlib import Path

BY_PATH = ("open", "stat", "lstat", "unlink", "remove", "mkdir", "truncate", "readlink", "rmdir")
BY_TWO = ("rename", "replace", "link")
SYNCS = ("fsync", "fdatasync")
BY_FD = ("write", "pwrite", "ftruncate", *SYNCS, "posix_fallocate", "close", "read")
ANY = frozenset({*BY_PATH, *BY_TWO, *BY_FD} - {"close", "read"})
"""The calls that fail when no kind is named."""

ERRORS = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EMFILE, errno.EDQUOT, errno.EROFS)
"""What a disk may say to any call."""

FOREVER = 1 << 30


class Seam:
    """What one run does to the files under `folder`.

    `fault` tells what fails: `at` (which call, counted from 1), `error` (errno, or `memory`),
    `times` (how many calls from there on), `kinds` and `ending` (only calls of these kinds, about
    paths with this ending; `same`: only those of the kind that failed first), `short` (the first
    write puts half of its bytes there), `hangs` (the call never comes back), `slow` (seconds that
    each takes instead of failing), `kills` (the process dies there, a write half done).
    """

    def __init__(self, folder, fault=None):
        self.folder = str(folder)
        self.fault = {"at": FOREVER, "times": 1, "kinds": (), "ending": ""} | (fault or {})
        self.log = []
        self.counted = self.failed = 0
        self.hit = ""
        self.paths = {}  # of the open files of the folder
        self._lock = threading.Lock()
        self._tokens = itertools.count()

    def install(self):
        """Take the place of the real functions, for the rest of this process."""
        for name in BY_PATH + BY_TWO + BY_FD:
            setattr(os, name, self._around(name, getattr(os, name)))
        builtins.open = io.open = self._opener(io.open)

    def _around(self, name, real):
        def call(*args, **named):
            path = self._about(name, args, named)
            if path is None:
                return real(*args, **named)
            if self._fails(name, path) and (done := self._failed(name, real, path, args)):
                return done
            return self._done(name, real, path, args, named)

        return call

    def _about(self, name, args, named):
        """The path that a call is about, when that is in the folder."""
        if name in BY_FD or isinstance(args[0], int):
            return self.paths.get(args[0])
        path = os.fspath(args[name in BY_TWO])
        if isinstance(path, bytes):
            return None
        base = self.paths.get(named.get("dir_fd")) or Path.cwd()
        path = os.path.normpath(Path(base, path))
        return path if f"{path}/".startswith(f"{self.folder}/") else None

    def _fails(self, name, path):
        """Whether the call is one of those that shall fail; counts it."""
        fault = self.fault
        if name not in (fault["kinds"] or ANY) or not path.endswith(fault["ending"]):
            return False
        with self._lock:
            self.counted += 1
            over = self.failed >= fault["times"] or self.counted < fault["at"]
            other = fault.get("same") and self.hit and name != self.hit.partition(" ")[0]
            if over or other:
                return False
            self.failed += 1
            self.hit = self.hit or f"{name} {path}"
        return True

    def _failed(self, name, real, path, args):
        """Fail the call: at once, with half of its work done, late, or never."""
        fault = self.fault
        if fault.get("kills"):
            if name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.get("hangs"):
            threading.Event().wait()
        if fault.get("slow"):
            time.sleep(fault["slow"])
            return None
        if fault.pop("short", False) and name == "write":
            half = bytes(args[1])[: len(args[1]) // 2]
            self.log.append(("write", args[0], half))
            return real(args[0], half)
        if fault["error"] == "memory":
            raise MemoryError
        raise OSError(fault["error"], os.strerror(fault["error"]), path)

    def _done(self, name, real, path, args, named):
        """Do the call and note it; syncs are only noted."""
        if name in SYNCS:
            token = next(self._tokens)
            self.log += [("sync", args[0], token), ("synced", token)]
            return None
        if name == "close":
            self.paths.pop(args[0], None)
        done = real(*args, **named)
        if name == "open":
            self.paths[done] = path
        if name in NOTED:
            self.log.append(NOTED[name](done, path, args))
        return done

    def _opener(self, real):
        def open_file(file, mode="r", *args, **named):
            if isinstance(file, int) or self._about("open", [file], {}) is None:
                return real(file, mode, *args, **named)
            opener = named.pop("opener", None) or (lambda path, flags: os.open(path, flags, 0o666))
            if set(mode) <= set("rbt"):
                return real(file, mode, *args, opener=opener, **named)
            raw = Raw(self, file, mode.replace("b", "").replace("t", ""), opener=opener)
            binary = io.BufferedWriter(raw)
            return binary if "b" in mode else io.TextIOWrapper(binary, encoding="utf-8")

        return open_file


NOTED = {
    "open": lambda fd, path, args: ("open", fd, path, args[1]),
    "write": lambda done, _, args: ("write", args[0], bytes(args[1])[:done]),
    "pwrite": lambda done, _, args: ("pwrite", args[0], bytes(args[1])[:done], args[2]),
    "ftruncate": lambda _, __, args: ("truncate", args[0], args[1]),
    "posix_fallocate": lambda _, __, args: ("truncate", args[0], args[1] + args[2]),
    "rename": lambda _, path, args: ("rename", os.path.normpath(args[0]), path),
    "replace": lambda _, path, args: ("rename", os.path.normpath(args[0]), path),
    "link": lambda _, path, args: ("link", os.path.normpath(args[0]), path),
    "unlink": lambda _, path, __: ("unlink", path),
    "remove": lambda _, path, __: ("unlink", path),
}
"""What is noted of a call that was done."""


class Raw(io.FileIO):
    """An unbuffered file whose writes go through the seam."""

    def __init__(self, seam, *args, **named):
        self.seam = seam
        super().__init__(*args, **named)

    def write(self, data):
        return os.write(self.fileno(), bytes(data))

    def close(self):
        if not self.closed:
            self.seam.paths.pop(self.fileno(), None)
        super().close()
