"""Any order of runs, crashes, damage and edits, against a model: what is asked, and what is kept.

The model knows jobs by id and prompt. Before each run it reads the files with `json` alone and
tells from them which jobs have to be asked; a run must ask exactly those, each once.
"""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from oracle import FAILURE_KEYS, RESULT_KEYS, answer_to, parsed
from server import Server, Status

from batch.results.lock import Lock

AT_ONCE = 3  # -j
IDS = [f"job-{letter}" for letter in "abcde"]
KINDS = ("plain", "plain", "plain", "refused", "busy")
"""What a prompt begins with tells what the server does with it; most are answered."""
MOST_OF_A_KIND = 3
"""So few that no run takes them for an outage or a refusal of everything."""
SPOILERS = (b"\0" * 40, b'{"id":"job-a","status":"ok","out', b"{}", b"\xff\xfe", b'{"id":')


def told(request):
    return answer_to(request.prompt)


def rows(path):
    """The whole records of a file, the last one also without its newline."""
    objects, broken = parsed(path)
    for rest in broken:
        with contextlib.suppress(ValueError):
            objects.append(json.loads(rest))
    return [row for row in objects if isinstance(row, dict) and is_record(row)]


def is_record(row):
    return "id" in row and "key" in row.get("failure", row)


class Nights(RuleBasedStateMachine):
    """One output and whatever happens to it."""

    def __init__(self, nursery, memory, numbers):
        super().__init__()
        self.numbers = numbers
        self.nursery = nursery
        self.place = Path(tempfile.mkdtemp(dir=memory))
        self.folder = self.place / "nights"
        self.folder.mkdir()
        self.source = self.folder / "night.jsonl"
        self.results = self.folder / "night.results.jsonl"
        self.failed = self.folder / "night.failed.jsonl"
        self.superseded = self.folder / "night.superseded.jsonl"
        self.server = Server(answer=told, faults=self.fault).__enter__()
        self.jobs, self.meta = {}, {}  # id -> prompt, in the order of the file
        self.words = 0
        self.trouble = True
        self.spoiled = False  # whether somebody left a line that is no record before the last
        self.kept = set()  # (id, answer) that were seen in the files and that nobody took away

    def teardown(self):
        self.server.__exit__(None, None, None)
        shutil.rmtree(self.place)

    def fault(self, request):
        if request.prompt.startswith("refused"):
            return Status(400)
        return Status(500) if request.prompt.startswith("busy") and self.trouble else None

    # What a person does

    @initialize(count=st.integers(1, 5), data=st.data())
    def begin(self, count, data):
        for name in IDS[:count]:
            self.jobs[name] = self.prompt(data.draw(st.sampled_from(KINDS)))
        self.write()

    def prompt(self, kind):
        self.words += 1
        if sum(prompt.startswith(kind) for prompt in self.jobs.values()) >= MOST_OF_A_KIND:
            kind = "plain"
        return f"{kind} {self.words}"

    def write(self, *more):
        lines = [
            json.dumps({"id": name, "prompt": prompt} | self.meta.get(name, {}))
            for name, prompt in self.jobs.items()
        ]
        self.source.write_text("".join(f"{line}\n" for line in [*lines, *more]), "utf-8")

    @rule(name=st.sampled_from(IDS), kind=st.sampled_from(KINDS))
    def add_or_change(self, name, kind):
        self.jobs[name] = self.prompt(kind)
        self.write()

    @precondition(lambda self: rows(self.superseded))
    @rule(at=st.integers(0, 9))
    def change_back(self, at):
        """A prompt that was asked before: its answer was set aside."""
        aside = rows(self.superseded)
        row = aside[at % len(aside)]
        asked = {answer_to(each.prompt): each.prompt for each in self.server.requests}
        self.jobs[row["id"]] = asked[row["output"]]
        self.write()

    @rule(
        name=st.sampled_from(IDS),
        what=st.sampled_from(["remove", "reorder", "meta", "server", "failed file"]),
        chance=st.randoms(use_true_random=False),
    )
    def a_small_change(self, name, what, chance):
        if what == "remove" and len(self.jobs) > 1:
            self.jobs.pop(name, None)
        elif what == "reorder":
            order = chance.sample(list(self.jobs), len(self.jobs))
            self.jobs = {each: self.jobs[each] for each in order}
        elif what == "meta":
            self.meta[name] = {"meta": {"note": chance.random()}}
        elif what == "server":
            self.trouble = not self.trouble
        else:
            self.failed.unlink(missing_ok=True)
        self.write()

    # What is damaged

    @precondition(lambda self: len(rows(self.results)) > 1)
    @rule(cut=st.just(1) | st.integers(1, 2_000))
    def tear_the_tail(self, cut):
        data = self.results.read_bytes()
        start = data.rstrip(b"\n").rfind(b"\n") + 1
        self.damage(data[: max(start, len(data) - cut)])

    @precondition(lambda self: rows(self.results))
    @rule(spoiler=st.sampled_from(SPOILERS))
    def leave_half_a_record(self, spoiler):
        self.damage(self.results.read_bytes() + spoiler)

    @precondition(lambda self: len(rows(self.results)) > 2)
    @rule(at=st.integers(0, 7), spoiler=st.sampled_from(SPOILERS))
    def spoil_a_line(self, at, spoiler):
        lines = self.results.read_bytes().split(b"\n")
        lines[at % (len(lines) - 1)] = spoiler
        self.damage(b"\n".join(lines))
        self.spoiled = True

    def damage(self, data):
        """The results are other bytes now, and what is gone from them is nobody's loss."""
        before = rows(self.results)
        self.results.write_bytes(data)
        after = rows(self.results)
        self.kept -= {(row["id"], row["output"]) for row in before if row not in after}

    # What runs

    def needed(self, *, fresh=False, retry="transient"):
        """The jobs that a run has to ask, as the files tell."""
        recorded = {row["id"]: row["output"] for row in rows(self.results)}
        aside = {(row["id"], row["output"]) for row in rows(self.superseded)}
        failed = {row["id"]: row for row in rows(self.failed)}
        found = []
        for name, prompt in self.jobs.items():
            answer, failure = answer_to(prompt), failed.get(name)
            if not fresh:
                stays = failure and failure["prompt"] == prompt and name not in recorded
                transient = failure and failure["failure"]["retryable"]
                if recorded.get(name) == answer:
                    continue
                if stays and retry != "all" and not transient:
                    continue
                if (name, answer) in aside:
                    continue
            found.append(name)
        return found

    def go(self, *options, fault=None):
        """A run: exit code, words, and how often each prompt was asked."""
        before = len(self.server.requests)
        given = ["--provider", "dynaspark", "--base-url", self.server.url, "-j", AT_ONCE]
        words = ["run", self.source, *given, "--retries", 0, "--progress", "none", *options]
        ended = self.nursery.run(self.folder, words, fault)
        self.server.settle()
        self.numbers["runs"] += 1
        return ended, Counter(each.prompt for each in self.server.requests[before:])

    def look(self, needed, asked, lost=0):
        """What holds after every run, however it ended."""
        wanted = Counter(self.jobs[name] for name in needed)
        assert asked <= wanted, (asked, wanted)  # nothing is asked twice or without need
        found = [row for row in parsed(self.results)[0] if is_record(row)]
        ids = [row["id"] for row in found]
        assert len(ids) == len(set(ids)), ids
        for row in found:
            assert list(row)[: len(RESULT_KEYS)] == RESULT_KEYS
        if not self.spoiled and self.results.exists():
            for line in self.results.read_bytes().split(b"\n")[:-1]:
                assert is_record(json.loads(line))
        held = {
            (row["id"], row["output"])
            for path in (self.results, self.superseded)
            for row in rows(path)
        }
        assert self.kept <= held, self.kept - held
        self.kept = held
        answers = {answer for _, answer in held}
        unseen = [p for p in asked if not self.fails(p) and answer_to(p) not in answers]
        assert len(unseen) <= lost, unseen

    def fails(self, prompt):
        return prompt.startswith("refused") or (prompt.startswith("busy") and self.trouble)

    def settled(self, ended, needed, asked):
        """What holds after a run to its end."""
        assert ended.code in (0, 1), ended
        assert asked == Counter(self.jobs[name] for name in needed), ended.words
        self.spoiled = False
        self.look(needed, asked)
        assert not parsed(self.results)[1] + parsed(self.failed)[1] + parsed(self.superseded)[1]
        recorded = {row["id"]: row["output"] for row in rows(self.results)}
        failed = {row["id"]: row for row in rows(self.failed)}
        assert len(failed) == len(rows(self.failed))
        for name in needed:
            prompt = self.jobs[name]
            if self.fails(prompt):
                assert list(failed[name]["failure"]) == FAILURE_KEYS
                assert failed[name]["prompt"] == prompt
                assert name not in recorded
            else:
                assert recorded[name] == answer_to(prompt)
                assert name not in failed
        left = [path.name for path in self.folder.iterdir()]
        assert not [name for name in left if name.endswith((".part", ".reserve"))]
        return recorded, failed

    @rule()
    def run(self):
        needed = self.needed()
        ended, asked = self.go()
        recorded, failed = self.settled(ended, needed, asked)
        for name, prompt in self.jobs.items():
            assert (recorded.get(name) == answer_to(prompt)) != (name in failed), name
        assert ended.code == any(name in failed for name in self.jobs), ended
        again, none = self.go("--retry-failed", "none")
        assert (again.code, none) == (ended.code, Counter())

    @rule(how=st.sampled_from(["some", "retry", "fresh"]), limit=st.integers(1, 4))
    def run_otherwise(self, how, limit):
        needed = self.needed(fresh=how == "fresh", retry="all" if how == "retry" else "transient")
        options = {
            "some": ["--limit", limit],
            "retry": ["--retry-failed", "all"],
            "fresh": ["--fresh"],
        }
        ended, asked = self.go(*options[how])
        self.settled(ended, needed[:limit] if how == "some" else needed, asked)

    @rule(
        at=st.integers(1, 60),
        fault=st.sampled_from(["kill", "kill", "kill afresh", "ENOSPC", "EIO", "EROFS"]),
        short=st.booleans(),
    )
    def run_in_trouble(self, at, fault, short):
        """At any call to its disk the process is killed, or from there on the disk fails."""
        self.add_or_change(IDS[at % len(IDS)], "plain")  # else there may be nothing to do
        options = ["--fresh"] if fault == "kill afresh" else []
        needed = self.needed(fresh=bool(options))
        if fault.startswith("kill"):
            seam = {"at": at, "kills": True}
        else:
            seam = {"at": at, "times": 1 << 30, "error": getattr(errno, fault), "short": short}
        ended, asked = self.go(*options, fault=seam)
        if fault.startswith("kill") and ended.code != -9:
            self.settled(ended, needed, asked)
            return
        self.numbers["kills" if ended.code == -9 else "failed_disks"] += 1
        unread = {2} if not asked and "cannot read" in ended.words else set()
        assert ended.code in {-9, 0, 1, 73, 74} | unread, ended
        self.look(needed, asked, lost=AT_ONCE)
        if ended.code == 0:
            recorded = {row["id"]: row["output"] for row in rows(self.results)}
            assert all(recorded[name] == answer_to(p) for name, p in self.jobs.items())

    @rule(at=st.none() | st.integers(0, 8))
    def a_run_that_may_not_be(self, at):
        """Another holds the lock, or the line at `at` is bad: nothing is sent, nothing changes."""
        before = self.bytes()
        if at is None:
            lock = Lock(self.folder / "night.lock")
            lock.acquire({"pid": os.getpid(), "host": "here", "started_at": "now"})
            ended, asked = self.go()
            lock.release()
            assert ended.code == 75, ended
        else:
            lines = self.source.read_bytes().splitlines(keepends=True)
            at = min(at, len(lines))
            self.source.write_bytes(b"".join([*lines[:at], b'{"promt": "x"}\n', *lines[at:]]))
            ended, asked = self.go()
            assert ended.code == 2, ended
            assert f"night.jsonl:{at + 1}: unknown field `promt`" in ended.words
            self.write()
        assert not asked
        assert self.bytes() == before

    def bytes(self):
        """Every file but the lock's, which tells who came last."""
        paths = (path for path in self.folder.iterdir() if path.suffix != ".lock")
        return {path.name: path.read_bytes() for path in paths}


def test_whatever_happens_each_job_is_answered_once_and_nothing_paid_for_is_lost(
    nursery, memory, many, chance, count
):
    runs, steps = many((40, 12), (200, 30))
    numbers = Counter()
    how = hypothesis.settings(
        max_examples=runs,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=many(True, False),
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a run that is tried again may go otherwise: nothing to shrink
        print_blob=True,
    )
    machine = hypothesis.seed(chance.getrandbits(32))(Nights) if many(False, True) else Nights
    run_state_machine_as_test(lambda: machine(nursery, memory, numbers), settings=how)
    count(cases=runs, **numbers)
