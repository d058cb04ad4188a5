"""Kills a run before a chosen system call on a chosen file: strace counts them, then injects."""

import re
import shutil
import subprocess
from collections import Counter

CALLS = "write pwrite64 fdatasync fsync rename renameat renameat2 ftruncate unlink unlinkat".split()
NAMES = (
    "night.results.jsonl",
    "night.failed.jsonl",
    "night.superseded.jsonl",
    "night.torn",
    "night.lock",
    ".night.reserve",
    ".night.marks",
    ".night.run.json.part",
    ".night.results.jsonl.part",
    ".night.failed.jsonl.part",
    ".night.superseded.jsonl.part",
    "",  # the folder itself
)
TRACED = ["strace", "-f", "-y", "-qq"]


def can_trace():
    """Whether a process may be traced here."""
    if not shutil.which("strace"):
        return False
    return subprocess.run([*TRACED, "true"], check=False, capture_output=True).returncode == 0


def points(night, *options):
    """Every call of a run that changes its files: triples of call, file name and which time.

    The run is done; files come from calls of one thread each, or the thread with most counts.
    """
    told = night.folder.parent / f"{night.folder.name}.trace"
    watched = [word for name in NAMES for word in ("-P", night.folder / name)]
    trace = [*TRACED, "-o", told, "-e", f"trace={','.join(CALLS)}", *watched]
    with night.start(*options, under=trace) as process:
        _, messages = process.communicate(timeout=50)
    assert process.returncode in (0, 1), messages
    return list(counted(told.read_text(errors="replace"), night.folder))


def counted(text, folder):
    """The points that a trace tells of."""
    place = re.escape(str(folder))
    line = re.compile(rf"^(\d+) +(\w+)\(.*?(?<=[<\"]){place}/?([^\"<>]*)[>\"]", re.MULTILINE)
    threads = Counter()
    for thread, call, name in line.findall(text):
        threads[thread, call, name] += 1
    most = {}
    for (_, call, name), count in threads.items():
        most[call, name] = max(count, most.get((call, name), 0))
    for (call, name), count in most.items():
        yield from ((call, name, time) for time in range(1, count + 1))


def killed_at(night, point, *options):
    """A run that is killed before the call of a point; whether it died of that."""
    call, name, time = point
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={time}"]
    trace = [*TRACED, "-o", "/dev/null", *inject, "-P", night.folder / name]
    with night.start(*options, under=trace) as process:
        _, messages = process.communicate(timeout=50)
    assert process.returncode in (-9, 137, 0, 1), messages
    night.server.settle()
    return process.returncode in (-9, 137)
