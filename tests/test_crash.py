"""The real command is killed, interrupted, doubled and starved: no answer is lost or doubled.

What it left is judged by `oracle.py`, which shares no code with the package.
"""

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from night import ATTEMPTS, KEPT, Night, answer, can_mount
from oracle import RESULT_KEYS, answer_to, judge, paid, parsed, recorded
from PIL import Image
from server import Hold, Server, Status

KILLS = 30
MIB = 1 << 20


@pytest.fixture
def night(tmp_path):
    """Make a night of so many jobs against a server that `options` describe."""
    made = []

    def make(jobs=0, **options):
        server = Server(**({"answer": answer} | options)).__enter__()
        made.append(server)
        folder = tmp_path / str(len(made))
        folder.mkdir()
        return Night(folder, server, jobs)

    yield make
    for server in made:
        server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished night of 12 jobs: its source and its results, to be copied and spoilt."""
    with Server(answer=answer) as server:
        ended = Night(tmp_path_factory.mktemp("whole"), server, 12)
        assert ended.run()[0] == 0
        yield ended


@pytest.fixture
def spoilt(whole, night):
    """Make a night whose results are those of a whole one, changed by a function."""

    def make(change):
        made = night(12)
        made.again(change(whole.results.read_bytes()))
        (made.folder / "night.lock").write_bytes(whole.lock.read_bytes())
        return made

    return make


def ids(path):
    return [row["id"] for row in parsed(path)[0]]


@pytest.mark.parametrize("half", [0, 1])
def test_hard_kills_at_random_moments_lose_nothing_double_nothing_and_tear_nothing(night, half):
    seed = random.SystemRandom().getrandbits(32)
    sys.stdout.write(f"seed {seed}\n")  # shown when the test fails
    chance = random.Random(seed)
    made = night(200, latency=0.004)
    kills = 0
    while kills < KILLS // 2:
        kills += made.kill_after(chance.choice([0, 1, 2, *range(1, 20)]))
        verdict = made.judge(finished=False)
        assert not verdict.doubled + verdict.strange + verdict.swapped + verdict.shapeless
        assert made.server.answers - len(recorded(made.results)) <= ATTEMPTS * kills  # I5
    code, messages, _ = made.run()
    assert code == 0, messages
    assert made.judge()
    assert made.server.arrived <= 200 + ATTEMPTS * kills
    assert max(paid(made.server, made.prompts).values()) <= 1 + kills  # I6
    before = made.bytes()
    assert made.run()[::2] == (0, 0)
    assert made.bytes().keys() == before.keys()
    assert made.results.read_bytes() == before[made.results.name]


def test_a_second_run_ends_within_a_second_with_75_and_changes_nothing(night):
    made = night(20, faults=lambda request: Hold())
    with made.start() as first:
        made.server.wait_for(1)
        before = made.bytes()
        start = time.monotonic()
        code, messages, requests = made.run()
        assert time.monotonic() - start < 1
        assert (code, requests) == (75, 0)
        assert f"pid {first.pid} on " in messages
        assert made.bytes() == before
        assert made.run("--if-locked", "skip")[::2] == (0, 0)
        assert made.bytes() == before
        first.kill()
        first.communicate()
    made.server.faults = None
    start = time.monotonic()
    with made.start() as third:
        made.server.wait_for(2)
        assert time.monotonic() - start < 1
        assert third.wait() == 0
    assert made.judge()


def test_a_run_that_waits_for_the_lock_can_be_interrupted_and_else_gets_it(night):
    made = night(3, faults=lambda request: Hold())
    with made.start("-v") as first:
        made.server.wait_for(1)
        with (
            made.start("--if-locked", "wait") as waiting,
            made.start("--if-locked", "wait") as one,
        ):
            wait_until_signals_are_heard(one)
            one.send_signal(signal.SIGTERM)
            one.communicate()
            assert one.returncode == 143
            made.server.faults = None
            made.server.release()
            first.communicate()
            assert first.returncode == 0
            waiting.communicate()
            assert waiting.returncode == 0
    assert made.server.arrived == 3
    assert made.judge()


def wait_until_signals_are_heard(process):
    """Block until a process handles SIGTERM itself."""
    heard = 0
    while not heard & 1 << signal.SIGTERM - 1:
        status = Path(f"/proc/{process.pid}/status").read_text()
        heard = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)


def test_inserted_deleted_reordered_and_appended_lines_send_only_what_is_new(night):
    made = night(30)
    assert made.run()[::2] == (0, 30)
    kept = made.results.read_bytes()
    made.prompts |= {"new": "a new prompt", "last": "the last prompt"}
    order = sorted(made.prompts, key=lambda name: made.prompts[name][::-1])
    made.write(order)
    assert made.run()[::2] == (0, 2)
    assert made.results.read_bytes().startswith(kept)
    assert made.judge()
    gone = order[3:9]
    for name in gone:
        del made.prompts[name]
    made.write()
    code, messages, requests = made.run()
    assert (code, requests) == (0, 0)
    assert "6 answers belong to no job of the source any more" in messages
    assert sorted(made.judge().strange) == sorted(gone)


def test_an_edited_job_runs_again_and_no_reader_ever_finds_two_answers_of_one_id(night):
    made = night(20)
    assert made.run()[0] == 0
    moments = []

    def watching(request):
        rows = recorded(made.results)
        assert len(rows) == len(set(rows))
        moments.append(len(rows))
        return answer(request)

    made.server.answer = watching
    edited = list(made.prompts)[4:9]
    old = {row["id"]: row["output"] for row in parsed(made.results)[0]}
    for name in edited:
        made.prompts[name] += ", edited"
    made.write()
    assert made.run()[::2] == (0, 5)
    assert made.judge()
    assert max(moments) <= 19
    rows, broken = parsed(made.superseded)
    assert {row["id"]: row["output"] for row in rows} == {name: old[name] for name in edited}
    assert broken == []
    assert made.superseded.stat().st_mode & 0o777 == 0o600
    assert made.run()[::2] == (0, 0)


def test_an_edited_image_runs_again_and_a_merely_touched_one_does_not(night):
    made = night(answer=None)
    for name in ("a", "b", "c"):
        draw(made.folder / f"{name}.png", "red")
    jobs = [{"id": name, "prompt": "what?", "image": f"{name}.png"} for name in "abc"]
    made.source.write_text("\n".join(map(json.dumps, jobs)))
    assert made.run()[::2] == (0, 3)
    before = {row["id"]: row for row in parsed(made.results)[0]}
    draw(made.folder / "b.png", "blue")
    os.utime(made.folder / "c.png", (1, 1))
    assert made.run()[::2] == (0, 1)
    after = {row["id"]: row for row in parsed(made.results)[0]}
    assert {name for name in before if before[name] != after[name]} == {"b"}
    assert after["b"]["output"] != before["b"]["output"]
    assert parsed(made.superseded)[0] == [before["b"]]
    assert made.run()[::2] == (0, 0)


def draw(path, colour):
    held = io.BytesIO()
    Image.new("RGB", (20, 10), colour).save(held, "PNG")
    path.write_bytes(held.getvalue())


def test_a_finished_run_with_failures_makes_no_request_again_and_ends_the_same(night):
    refused = {"prompt 3 of the night", "prompt 7 of the night"}
    made = night(10, faults=lambda request: Status(422) if request.prompt in refused else None)
    assert made.run()[0] == 1
    assert made.judge()
    assert made.run()[::2] == (1, 0)
    assert made.run("--retry-failed", "all")[::2] == (1, 2)
    assert sorted(ids(made.failed)) == ["job-0003", "job-0007"]
    made.server.faults = None
    assert made.run("--retry-failed", "all")[::2] == (0, 2)
    assert not made.failed.exists()
    assert made.judge()


def test_a_killed_retry_keeps_the_word_of_why_the_other_jobs_failed(night):
    made = night(9, faults=lambda request: None if request.prompt[7] in "01" else Status(422))
    assert made.run()[0] == 1
    assert len(ids(made.failed)) == 7
    words = made.failed.read_bytes()
    made.server.faults = lambda request: Hold()
    assert made.kill_after(1, "--retry-failed", "all")
    assert made.failed.read_bytes() == words
    made.server.faults = None
    assert made.run()[::2] == (1, 0)
    assert made.run("--retry-failed", "all")[::2] == (0, 7)
    assert made.judge()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_lets_what_is_in_flight_finish_and_starts_nothing(night, number, code):
    made = night(40)
    made.server.faults = lambda request: Hold() if request.number > 10 else None
    with made.start() as process:
        made.server.wait_until(lambda: len(made.server.held) == ATTEMPTS, 10)
        arrived = made.server.arrived
        process.send_signal(number)
        assert "finishing 8 requests" in line_with(process.stderr, f"interrupted by {number.name}")
        made.server.release()
        process.communicate()
    assert process.returncode == code
    assert made.server.arrived == arrived
    assert len(recorded(made.results)) == arrived
    assert json.loads((made.folder / "night.run.json").read_bytes())["exit_code"] == code
    made.server.faults = None
    assert made.run()[::2] == (0, 40 - arrived)
    assert made.judge()


def line_with(stream, word):
    return next(line for line in stream if word in line)


def test_the_second_signal_drops_what_is_in_flight_and_ends_within_two_seconds(night):
    made = night(40)
    made.server.faults = lambda request: Hold() if request.number > 10 else None
    with made.start() as process:
        made.server.wait_until(lambda: len(made.server.held) == ATTEMPTS, 10)
        process.send_signal(signal.SIGINT)
        line_with(process.stderr, "interrupted")
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert time.monotonic() - start < 2
    assert process.returncode == 130
    assert len(recorded(made.results)) == 10
    made.server.faults = None
    assert made.run()[::2] == (0, 30)
    assert made.judge()


TORN = {
    "half a record": (lambda whole: whole[:-60], 1),
    "a record without its newline": (lambda whole: whole[:-1], 0),
    "half a character": (lambda whole: whole[: whole.rindex(b"\xf0\x9f") + 2], None),
    "a block of NUL": (lambda whole: whole + b"\0" * 4096, 0),
    "a record padded with NUL": (lambda whole: whole[:-1] + b"\0" * 99, 1),
    "half a record and NUL": (lambda whole: whole[:-200] + b"\0" * 200, 1),
    "a bad line in the middle": (
        lambda whole: b"\n".join([*whole.split(b"\n")[:3], b"{", *whole.split(b"\n")[4:]]),
        1,
    ),
    "NUL in the middle": (lambda whole: whole[:900] + b"\0" * 300 + whole[1200:], None),
    "no newline and nothing else": (lambda whole: whole[:5], 12),
}


@pytest.mark.parametrize("kind", TORN)
def test_every_kind_of_damage_is_repaired_and_only_its_jobs_run_again(spoilt, kind):
    damage, again = TORN[kind]
    made = spoilt(damage)
    sound, broken = parsed(made.results)
    if kind == "a record without its newline":
        sound, broken = [*sound, {}], []
    code, messages, requests = made.run()
    assert code == 0, messages
    assert requests == 12 - len(sound) if again is None else requests == again
    assert made.judge()
    assert [piece for piece in broken if piece and piece not in made.torn.read_bytes()] == []


@pytest.mark.parametrize(
    "content",
    [
        b"my own notes\n",
        b'{"id":"a","prompt":"a job"}\n{"id":"b","prompt":"a job"}\n',
        b'{"id":"a","prompt":"a job"}',
        b"a,b\n1,2\n",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_a_foreign_file_as_output_is_refused_and_stays_as_it_is(night, content):
    made = night(2)
    foreign = made.folder / "mine.jsonl"
    foreign.write_bytes(content)
    before = foreign.stat()
    code, messages, requests = made.run("-o", foreign)
    assert (code, requests) == (2, 0)
    assert "no results file of ours" in messages
    assert foreign.read_bytes() == content
    assert foreign.stat().st_mtime_ns == before.st_mtime_ns
    assert made.run("-o", made.source)[::2] == (2, 0)


def test_a_results_file_that_is_removed_during_the_run_loses_no_answer(night):
    made = night(60)
    made.server.faults = lambda request: Hold() if request.number == 30 else None
    with made.start("--concurrency", "1") as process:
        made.server.wait_for(30)
        made.results.unlink()
        made.server.faults = None
        made.server.release()
        _, messages = process.communicate()
    assert process.returncode == 74
    assert "removed or replaced" in messages
    assert len(recorded(made.results)) == made.server.answers
    assert made.run()[0] == 0
    assert made.server.arrived == 60
    assert made.judge()


def test_running_the_failed_file_into_the_same_results_loses_no_job_when_it_is_killed(night):
    made = night(9, faults=lambda request: None if request.prompt[7] in "01" else Status(422))
    assert made.run()[0] == 1
    whole, made.source = made.source, made.failed
    again = ("--retry-failed", "all", "-o", made.results)
    made.server.faults = lambda request: Hold() if request.number > 12 else None
    assert made.kill_after(5, *again)
    assert len(recorded(made.results)) >= 2
    made.server.faults = None
    assert made.run(*again)[0] == 0
    assert made.judge()
    assert not made.failed.exists()
    made.source = whole
    assert made.run()[::2] == (0, 0)


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
mount -t tmpfs -o size=6m none "$DISK"
cp "$SOURCE/night.jsonl" "$DISK"
dd if=/dev/zero of="$DISK/ballast" bs=1k count=1500 2>&1
"$@"; echo "code $?"
rm "$DISK/ballast"
mount -o remount,size=60m "$DISK"
"$@"; echo "code $?"
cp -a "$DISK/." "$COPY"
"""
needs_disk = pytest.mark.skipif(
    not can_mount(), reason="no disk can be mounted in a namespace of our own here"
)


@needs_disk
def test_a_full_disk_ends_with_74_and_every_answer_that_came_and_the_same_command_finishes(
    night, tmp_path
):
    filling = "x" * 40_000
    made = night(60, answer=lambda request: answer(request) + filling, latency=0.02)
    codes, words, copy = on_small_disk(FULL, made, tmp_path)
    assert codes == ["74", "0"], words
    assert "No space left on device" in words
    assert made.server.arrived == made.server.answers == 60  # none in flight was lost
    whole = copy / "night.results.jsonl"
    assert judge(made.prompts, whole, answer=lambda prompt: answer_to(prompt) + filling)


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
def test_a_disk_too_full_to_repair_ends_with_74_and_the_results_as_they_were(spoilt, tmp_path):
    made = spoilt(lambda whole: b"{" + whole + line_of(60_000))
    codes, words, copy = on_small_disk(NO_ROOM_TO_REPAIR, made, tmp_path)
    assert codes == ["74", "0", "0"], words
    assert "cannot repair" in words
    assert ".part" not in words
    assert made.server.arrived == 1
    verdict = judge(made.prompts, copy / "night.results.jsonl")
    assert verdict.strange == ["an orphan"]
    assert not verdict.lost + verdict.doubled + verdict.unparsable + verdict.leftovers


def line_of(size):
    """A sound record of a job that left the source."""
    values = dict.fromkeys(RESULT_KEYS, "") | {"id": "an orphan", "status": "ok", "key": "0"}
    return json.dumps(values | {"output": "x" * size}).encode() + b"\n"
