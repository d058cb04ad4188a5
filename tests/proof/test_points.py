"""A run is killed before each call that changes its files, also while it mends what a kill left."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from killing import codes_in
from night import ATTEMPTS, Night, answer
from oracle import judge, parsed, recorded
from server import Server, Status
from tracing import can_trace, killed_at, points

pytestmark = [
    pytest.mark.skipif(not can_trace(), reason="no process can be traced here"),
    pytest.mark.timeout(300),
]
OPTIONS = ("--retry-failed", "all")
REFUSED = {"prompt 1 of the night", "prompt 2 of the night", "prompt 33 of the night"}


def refuse(prompts):
    return lambda request: Status(422) if request.prompt in prompts else None


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A night of which 24 jobs are done, two refused, and that is to go on.

    Then 40 jobs: one of the refused is answered now, one is not, three answers are superseded.
    """
    with Server(answer=answer, faults=refuse(REFUSED)) as server:
        made = Night(tmp_path_factory.mktemp("half"), server, 26)
        assert made.run()[0] == 1
        made.prompts |= {f"job-{n:04}": f"prompt {n} of the night" for n in range(26, 40)}
        for name in ("job-0003", "job-0010", "job-0020"):
            made.prompts[name] += ", edited"
        made.write()
        yield made


class Copy:
    """A copy of the half night with a server of its own, so that copies may run side by side."""

    def __init__(self, half, folder, spoil=None):
        shutil.copytree(half.folder, folder)
        refused = REFUSED - {half.prompts["job-0001"]}
        self.server = Server(answer=answer, faults=refuse(refused))
        self.server.__enter__()
        self.made = Night.__new__(Night)
        vars(self.made).update(vars(half) | paths_in(half, folder) | {"server": self.server})
        self.before = {(row["id"], row["output"]) for row in parsed(half.results)[0]}
        self.deaths = self.damaged = 0
        if spoil:
            self.damaged = spoil(self.made)

    def kill(self, point):
        """Die at a point, and look: no answer that stood there is gone, no id stands twice."""
        server, made = self.server, self.made
        unsaved = server.answers - len(self.rows())
        died = killed_at(made, point, *OPTIONS)
        self.deaths += died
        assert server.answers - len(self.rows()) - unsaved <= ATTEMPTS
        assert self.before <= self.rows(), point
        verdict = made.judge(finished=False)
        doubled = Counter(row["id"] for row in parsed(made.results)[0])
        assert max(doubled.values()) == 1, point
        assert not verdict.strange + verdict.shapeless, point
        return died

    def rows(self):
        rows = parsed(self.made.results)[0] + parsed(self.made.superseded)[0]
        return {(row["id"], row["output"]) for row in rows}

    def finish(self, point):
        """Go on to the end: everything is there, and nothing is sent again."""
        made = self.made
        code, messages, _ = made.run(*OPTIONS)
        assert code == 1, (point, messages)
        assert judge(made.prompts, made.results), point
        assert codes_in(made.failed) == {"job-0002": "rejected", "job-0033": "rejected"}, point
        assert self.before <= self.rows()
        assert len(recorded(made.results)) == 38
        fresh = 14 + 3 + 2 + self.damaged  # and the last run asks the refused ones once more
        assert self.server.arrived <= fresh + 2 + (ATTEMPTS + 2) * self.deaths, point
        assert made.run()[::2] == (1, 0), point
        self.server.__exit__(None, None, None)


def paths_in(night, folder):
    """The paths of a night as they are in another folder."""
    names = ("source", "results", "failed", "superseded", "torn", "lock")
    return {"folder": folder} | {name: folder / getattr(night, name).name for name in names}


def at_each(work, cases):
    """Do `work` for each case, two side by side; how many runs died."""
    with ThreadPoolExecutor(2) as threads:
        return sum(threads.map(work, range(len(cases)), cases))


def points_of(half, folder, spoil=None):
    copy = Copy(half, folder, spoil)
    found = points(copy.made, *OPTIONS)
    copy.finish("no kill")
    return found


def test_a_kill_before_any_call_that_changes_a_file_loses_and_doubles_nothing(
    half, tmp_path, chance, many, count
):
    every = points_of(half, tmp_path / "counted")
    kinds = {(call, name) for call, name, _ in every}
    assert len(every) > 40
    assert {call for call, _ in kinds} >= {"write", "fsync", "fdatasync", "rename", "unlink"}
    chosen = many(chance.sample(every, 14), every)

    def die(number, point):
        copy = Copy(half, tmp_path / str(number))
        died = copy.kill(point)
        copy.finish(point)
        return died

    died = at_each(die, chosen)
    assert died > len(chosen) / 2  # a few come at other times than when they were counted
    count(cases=len(chosen), points=len(every), killed=died)


def tear(made):
    """Damage the files as a power cut does; how many answers that spoils."""
    lines = made.results.read_bytes().split(b"\n")
    lines[5] = b"\0" * 40
    made.results.write_bytes(b"\n".join(lines[:-2]) + b"\n" + lines[-2][:50])
    made.failed.write_bytes(made.failed.read_bytes()[:-1])
    made.superseded.write_bytes(lines[7] + b'\n{"id":"job-00')
    return 2


def test_kills_while_the_damage_of_earlier_ones_is_mended_lose_nothing_either(
    half, tmp_path, chance, many, count
):
    every = points_of(half, tmp_path / "counted", tear)
    mending = [point for point in every if "results.jsonl" not in point[1] or point[0] != "write"]
    rounds = many(5, 60)
    chosen = [(chance.choice(mending), chance.choice(mending)) for _ in range(rounds)]

    def die_twice(number, two):
        copy = Copy(half, tmp_path / str(number), tear)
        copy.before = copy.rows()  # what the damage left
        died = copy.kill(two[0]) + copy.kill(two[1])
        copy.finish(two)
        return died

    died = at_each(die_twice, chosen)
    assert died >= rounds / 2
    count(cases=rounds, points=len(mending), killed=died)
