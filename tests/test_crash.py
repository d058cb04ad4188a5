"""The real command is killed, interrupted, doubled and starved: no answer is lost or doubled.

What it left is judged by `oracle.py`, which shares no code with the package.
"""

import io
import json
import os
import re
import signal
from pathlib import Path

import pytest
from night import Night, answer
from oracle import parsed, recorded
from PIL import Image
from server import Hold, Server, Status


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
