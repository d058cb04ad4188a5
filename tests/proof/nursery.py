"""Runs of the command as forks of a process that has everything imported: a run takes a blink.

As a program it reads orders from stdin, a line of JSON each, forks, waits, and tells how it ended.
"""

import contextlib
import importlib
import json
import os
import pickle
import pkgutil
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
LONGEST = 40
"""Seconds that a run may take before it is ended by SIGALRM."""


@dataclass
class Ended:
    """What came of a run; `log` and `counted` are those of its seam."""

    code: int
    words: str
    log: list = field(default_factory=list, repr=False)
    counted: int = 0
    hit: str = ""


class Nursery:
    """The forking process, while its `with` block runs."""

    def __enter__(self):
        command = [sys.executable, "-u", __file__]
        self.busy = False
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait(LONGEST + 10)
        self.process.stdout.close()

    def run(self, folder, words, fault=None, limits=None, constants=None):
        """Run `overnight` with these words to its end, its disk under the seam.

        `folder` is the one that the seam watches; `home` beside it holds what stands elsewhere.
        `limits` are those of `resource`, `constants` replace values of modules, by dotted name.
        """
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        order = {
            "words": [str(word) for word in words],
            "folder": str(folder),
            "home": str(home),
            "fault": fault,
            "limits": limits or {},
            "constants": constants or {},
        }
        if self.busy:  # a test ran out of time while it waited: its run is none of ours
            self.__exit__()
            self.__enter__()
        self.busy = True
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        self.busy = False
        told = Ended(code, (home / "words").read_text("utf-8", "replace"))
        with contextlib.suppress(FileNotFoundError):
            told.log, told.counted, told.hit = pickle.loads((home / "log").read_bytes())
        return told


def import_everything():
    """Import what a run may import, so that a fork need not."""
    import batch
    import batch.__main__

    for found in pkgutil.walk_packages(batch.__path__, "batch."):
        with contextlib.suppress(ImportError):
            importlib.import_module(found.name)
    from batch.media.formats import FORMATS
    from batch.media.pillow import load_pillow, load_reader

    load_pillow()
    for form in FORMATS.values():
        load_reader(form)


def work(order):
    """Be one run (in the fork)."""
    from seam import Seam

    from batch.__main__ import end_with_bug, main

    home = Path(order["home"])
    (home / "log").unlink(missing_ok=True)
    told = os.open(home / "words", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(told, 1)
    os.dup2(told, 2)
    os.environ.clear()
    os.environ.update(HOME=str(home), TMPDIR=str(home))
    os.chdir(order["folder"])
    sys.argv = ["overnight", *order["words"]]
    for name, most in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    for name, value in order["constants"].items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)
    seam = Seam(order["folder"], order["fault"])
    seam.install()
    leave = os._exit

    def leave_with_log(code):
        sys.stdout.flush()
        sys.stderr.flush()
        (home / "log").write_bytes(pickle.dumps((seam.log, seam.counted, seam.hit)))
        leave(code)

    os._exit = leave_with_log
    signal.alarm(LONGEST)
    with contextlib.ExitStack() as last:
        last.push(lambda kind, *error: kind is not None and end_with_bug(kind, *error))
        try:
            code = main()
        except SystemExit as ended:
            code = ended.code
    leave_with_log(code)


def tend():
    """Do the orders, one after the other."""
    import_everything()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                work(json.loads(line))
            finally:
                os._exit(99)
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    tend()
