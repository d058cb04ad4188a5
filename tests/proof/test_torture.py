"""Each call that a run makes to its disk fails in turn: it ends in order, and all can go on."""

import errno
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from seam import ERRORS, FOREVER

PARTS = 5

HOW_LONG = ({"times": 1}, {"times": FOREVER, "same": True}, {"times": FOREVER})
"""One call fails; all of its kind from there on; every call from there on."""


def prove(trial, fault):
    """One run under a fault and the same command again; whether the fault was met."""
    trial.restore()
    told = trial.run(fault)
    trial.server.settle()
    if not told.hit:
        return False
    assert told.code in (0, 1, 73, 74) or (told.code == 2 and not trial.server.requests), told
    trial.prove_nothing_lost(told)
    trial.prove_whole(trial.run())
    return True


@pytest.mark.parametrize("part", range(PARTS))
def test_whichever_call_fails_nothing_is_lost_and_the_same_command_finishes(
    trial, chance, many, count, part
):
    whole = trial.run()
    trial.prove_whole(whole)
    calls = range(1 + part, whole.counted + 1, PARTS)
    cases = [{"at": at, **long} for at in calls for long in HOW_LONG]
    cases = chance.sample(cases, min(len(cases), many(20, len(cases))))
    count(cases=sum(prove(trial, {"error": chance.choice(ERRORS), **case}) for case in cases))


def test_whichever_write_is_cut_short_no_line_is_half(trial, many, count):
    kinds = ["write"]
    writes = trial.run({"kinds": kinds}).counted
    points = range(1, writes + 1, many(4, 1))
    fault = {"kinds": kinds, "error": errno.ENOSPC, "same": True}
    for at in points:
        for times in (1, 2, FOREVER):
            prove(trial, fault | {"at": at, "times": times, "short": True})
    count(cases=3 * len(points))


def test_an_answer_that_cannot_be_saved_has_no_sidecar(trial, count):
    places = {"kinds": ["write"], "ending": ".results.jsonl"}
    writes = trial.run(places).counted
    for at in range(1, writes + 1):
        trial.restore()
        told = trial.run(places | {"error": errno.EIO, "at": at, "times": FOREVER})
        assert told.code == 74, told
        saved = {name for name, _ in trial.answers()}
        now = trial.files()
        written = {
            path for path in trial.photos.glob("*.txt") if now[path] != trial.before.get(path)
        }
        assert {f"{path.stem}.png" for path in written} <= saved, told
    count(cases=writes)


NAMES = {"write": "write", "ftruncate": "truncate", "rename": "rename", "unlink": "unlink"}
"""Calls to the kernel, and how the seam notes them."""
DONE = re.compile(r"^\d+ +(\w+)\((?:\d+<|\")([^>\"]*).* = \d+$", re.MULTILINE)


def test_the_seam_sees_what_the_kernel_is_asked(trial, tmp_path):
    asked = tmp_path / "asked"
    trace = ["strace", "-f", "-qq", "-y", "-e", f"trace={','.join(NAMES)}", "-o", asked]
    run = [Path(sys.executable).with_name("overnight"), *trial.words()]
    try:
        subprocess.run([*trace, *run], cwd=trial.disk, capture_output=True, check=False)
        done = DONE.findall(asked.read_text("utf-8", "replace"))
    except OSError:
        pytest.skip("nothing can be traced here")
    truth = Counter(NAMES[name] for name, path in done if path.startswith(f"{trial.disk}/"))
    if not truth:
        pytest.skip("nothing can be traced here")
    trial.restore()
    seen = Counter(call[0] for call in trial.run().log)
    for name in NAMES.values():  # a heartbeat more or less
        assert abs(truth[name] - seen[name]) <= 4, (name, truth, seen)
