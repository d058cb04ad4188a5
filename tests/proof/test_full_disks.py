"""The disk is full, read-only or broken: the run ends with 74 and what it has is saved."""

import errno
import json
import re
import resource
import subprocess
from pathlib import Path

import pytest
from night import KEPT, can_mount
from oracle import RESULT_KEYS, answer_to, judge, parsed, recorded
from seam import FOREVER
from trials import tell

needs_disk = pytest.mark.skipif(
    not can_mount(), reason="no disk can be mounted in a namespace of our own here"
)
FILLING = "x" * 40_000


def long_answer(request):
    return answer_to(request.prompt) + FILLING


def on_small_disk(script, made, folder):
    """Run a shell script in a namespace where it may mount; exit codes it told, and all it said.

    `$DISK` is a folder to mount on, `$COPY` one to leave copies in, `"$@"` the run of a job file
    on that disk.
    """
    disk, copy = folder / "disk", folder / "copy"
    disk.mkdir()
    copy.mkdir()
    command = made.command()
    command[command.index(made.source)] = disk / "night.jsonl"
    names = {"DISK": disk, "SOURCE": made.folder, "COPY": copy, "HOME": folder}
    told = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *map(str, command)],
        env=KEPT | {name: str(path) for name, path in names.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    return re.findall(r"code (\d+)", told.stdout), told.stdout + told.stderr, copy


FULL = """
set -u
mount -t tmpfs -o size=9m none "$DISK"
cp "$SOURCE/night.jsonl" "$DISK"
dd if=/dev/zero of="$DISK/ballast" bs=1k count=4500 2>&1
"$@"; echo "code $?"
mkdir "$COPY/full"
cp -a "$DISK"/night.* "$COPY/full"
rm "$DISK/ballast"
"$@"; echo "code $?"
cp -a "$DISK/." "$COPY"
"""


@needs_disk
def test_a_full_disk_in_mid_run_costs_no_answer_and_the_same_command_finishes(
    night, tmp_path, count
):
    made = night(60, answer=long_answer, latency=0.02)
    codes, words, copy = on_small_disk(FULL, made, tmp_path)
    assert codes == ["74", "0"], words
    assert "No space left on device" in words
    state = json.loads((copy / "full/night.run.json").read_bytes())
    kept = recorded(copy / "full/night.results.jsonl")
    counted = state["answered"]
    assert 0 < counted <= len(kept) == len(set(kept)) < 60
    assert state["exit_code"] == 74
    assert not list((copy / "full").glob(".*reserve"))
    in_flight = in_reserve(words)
    # Each answer that came before the disk was full, or while requests were in flight, is there:
    # the second run asked only for the others, so nothing was paid twice.
    assert made.server.arrived == made.server.answers == 60
    whole = copy / "night.results.jsonl"
    assert judge(made.prompts, whole, answer=lambda prompt: answer_to(prompt) + FILLING)
    print(f"full disk: {counted} counted, {len(kept)} loadable, {in_flight} were in flight")
    count(answers=60, loadable_on_the_full_disk=len(kept), saved_in_the_reserve=in_flight)


def in_reserve(words):
    """How many requests were in flight when the run stopped, as it says."""
    return int(re.search(r"finishing (\d+) requests?", words)[1])


NO_ROOM_TO_REPAIR = """
set -u
mount -t tmpfs -o size=1m none "$DISK"
cp "$SOURCE"/night.* "$DISK"
dd if=/dev/zero of="$DISK/ballast" bs=4k 2>&1
truncate -s -12k "$DISK/ballast"
"$@"; echo "code $?"
cmp "$SOURCE/night.results.jsonl" "$DISK/night.results.jsonl"; echo "code $?"
rm "$DISK/ballast"
ls -A "$DISK"
mount -o remount,size=60m "$DISK"
"$@"; echo "code $?"
cp -a "$DISK/." "$COPY"
"""


@needs_disk
def test_a_disk_too_full_to_repair_ends_with_74_and_the_results_as_they_were(night, tmp_path):
    made = night(12)
    assert made.run()[0] == 0
    made.again(b"{" + made.results.read_bytes() + line_of(60_000))
    (made.folder / "night.lock").touch()
    asked = made.server.arrived
    codes, words, copy = on_small_disk(NO_ROOM_TO_REPAIR, made, tmp_path)
    assert codes == ["74", "0", "0"], words
    assert "cannot repair" in words
    assert ".part" not in words
    assert made.server.arrived == asked + 1
    verdict = judge(made.prompts, copy / "night.results.jsonl")
    assert verdict.strange == ["an orphan"]
    assert not verdict.lost + verdict.doubled + verdict.unparsable + verdict.leftovers


def line_of(size):
    """A sound record of a job that left the source."""
    values = dict.fromkeys(RESULT_KEYS, "") | {"id": "an orphan", "status": "ok", "key": "0"}
    return json.dumps(values | {"output": "x" * size}).encode() + b"\n"


READ_ONLY = """
set -u
mount -t tmpfs none "$DISK"
cp "$SOURCE/night.jsonl" "$DISK"
mount -o remount,ro "$DISK"
"$@"; echo "code $?"
"""


@needs_disk
def test_a_disk_that_is_read_only_ends_with_73_before_anything_is_sent(night, tmp_path):
    made = night(3)
    codes, words, _ = on_small_disk(READ_ONLY, made, tmp_path)
    assert codes == ["73"], words
    assert "Read-only file system" in words
    assert made.server.arrived == 0


STRANGER = ("unshare", "--user", "--map-user=54321", "--map-group=54321", "env", "-u", "HOME")
"""As in many a container: no entry in the password file, no home."""


@needs_disk
def test_a_user_whom_the_system_does_not_know_runs_as_any_other(night):
    made = night(3)
    with made.start(under=STRANGER) as process:
        _, words = process.communicate(timeout=30)
    assert process.returncode == 0, words
    assert made.judge()


def test_a_file_that_may_not_grow_ends_with_74_and_half_of_no_line(night):
    """As by `ulimit -f`: the write is short, then "File too large"."""
    made = night(200, answer=long_answer, latency=0.002)
    most = 6 << 20  # more than the reserve

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    with made.start(preexec_fn=limit) as process:
        _, words = process.communicate(timeout=50)
    assert process.returncode == 74, words
    assert "File too large" in words or "No space left" in words
    kept = set(recorded(made.results))
    rescued = map(Path, re.findall(r"are in (\S+)", words))
    saved = {row["id"] for path in rescued for row in parsed(path)[0]}
    assert len(kept | saved) == made.server.answers
    assert made.run()[0] == 0
    assert judge(made.prompts, made.results, answer=lambda prompt: answer_to(prompt) + FILLING)


BROKEN = {
    "a quota": ("write", errno.EDQUOT),
    "no room": ("write", errno.ENOSPC),
    "a read-only file system": ("write", errno.EROFS),
    "an error of the disk": ("write", errno.EIO),
    "a sync that fails": ("fdatasync", errno.EIO),
}


@pytest.mark.parametrize("times", [1, FOREVER], ids=["once", "for ever"])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_the_disk_says_in_mid_run_costs_no_answer(trial, kind, times):
    call, error = BROKEN[kind]
    fault = {"kinds": [call], "ending": "/photos.results.jsonl", "error": error, "times": times}
    told = trial.run(fault | {"at": 3})
    assert told.hit
    assert told.code == 74 or (call == "fdatasync" and times == 1), told
    trial.server.settle()
    trial.prove_nothing_lost(told)
    trial.prove_whole(trial.run())
    asked = [tell(request) for request in trial.server.requests]
    if times == 1:
        assert len(asked) == len(set(asked)), told  # nothing was paid for twice


@pytest.mark.parametrize("name", ["results", "failed"])
def test_a_file_whose_closing_fails_is_safe_all_the_same(trial, name):
    fault = {"kinds": ["close"], "ending": f"/photos.{name}.jsonl", "error": errno.EIO, "at": 1}
    plain = ("--sidecar", "none")  # else the results are opened and closed beside the run
    closes = trial.run(fault | {"at": FOREVER}, *plain).counted
    trial.restore()
    told = trial.run(fault | {"at": closes, "times": FOREVER}, *plain)
    assert told.hit
    assert told.code == 1, told
    assert "8 of 9 jobs answered" in told.words
    trial.prove_nothing_lost(told)
    trial.prove_whole(trial.run())


def test_a_disk_that_is_full_for_the_state_alone_stops_nothing(trial):
    fault = {"kinds": ["open", "write", "replace"], "error": errno.ENOSPC, "at": 1}
    fault |= {"ending": "run.json.part", "times": FOREVER}
    told = trial.run(fault)
    assert told.hit
    trial.prove_whole(told)


def test_dev_full_is_no_output_and_as_stdout_it_ends_with_74(night):
    made = night(3)
    made.results.symlink_to("/dev/full")
    code, words, requests = made.run()
    assert (code, requests) == (73, 0), words
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            made.command("-o", "-"), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 74, process.stderr
    assert "No space left on device" in process.stderr
