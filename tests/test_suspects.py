"""Who may be at fault when a run died: the account in the marks file, and what follows from it."""

import asyncio

import pytest
from msgspec.structs import replace
from PIL import Image
from samples import output

from batch.errors import Rejected
from batch.loader import Loader
from batch.media.load import ImageRules
from batch.media.request import LoadRules, current_digests
from batch.models import ImageRef, Job, JobMessage
from batch.results.marks import WIDTH, Marks, deaths_told, mark_of
from batch.suspects import GIVEN_UP, Suspects

A, B, C, D = (Job(name, (), "", {}, None, {}, "", {}) for name in "abcd")


@pytest.fixture
def paths(tmp_path):
    return output(tmp_path)


def told(paths):
    """The account as the next run reads it, by the ids of the four jobs."""
    deaths = deaths_told(paths.marks)
    return {job.id: deaths[mark_of(job.id)] for job in (A, B, C, D) if mark_of(job.id) in deaths}


def died(paths):
    """Leave what a run leaves that died without an account."""
    paths.reserve.write_bytes(b"\0")
    return Suspects.after(paths, 2)


async def order(suspects, *jobs):
    async def source():
        for job in jobs:
            yield job

    return "".join([job.id async for job in suspects.last(source())])


async def test_after_a_run_that_ended_in_order_nobody_is_suspected_and_nothing_is_written(paths):
    suspects = Suspects.after(paths, 2)
    suspects.begin(A)
    assert await order(suspects, A, B, C) == "abc"
    suspects.end(A)
    suspects.close(finished=False)
    assert not paths.marks.exists()


async def test_after_a_death_without_an_account_the_first_jobs_of_the_window_go_last(paths):
    suspects = died(paths)
    assert await order(suspects, A, B, C, D) == "cdab"
    assert told(paths) == {"a": 1, "b": 1}


async def test_who_is_in_flight_at_each_further_death_goes_last_alone_and_is_given_up(paths):
    await order(died(paths), A, B, C, D)
    expected = [({"a": 1, "b": 1}, "cdab"), ({"a": 2, "b": 1}, "cdba"), ({"a": 3, "b": 1}, "cdba")]
    for account, turn in expected:
        assert told(paths) == account
        suspects = Suspects.after(paths, 2)
        assert suspects.reason_given_up(A) is None
        assert await order(suspects, A, B, C, D) == turn
        suspects.begin(C)
        suspects.settle(C)
        suspects.end(C)
        suspects.begin(A)
    suspects = Suspects.after(paths, 2)
    error = suspects.reason_given_up(A)
    assert isinstance(error, Rejected)
    assert error.code == "interrupted_often"
    assert not error.retryable
    assert suspects.reason_given_up(B) is None


async def test_a_job_is_cleared_by_an_outcome_and_not_by_the_end_of_the_run(paths):
    suspects = died(paths)
    await order(suspects, A, B)
    for job in (A, B):
        suspects.begin(job)
        suspects.end(job)
    suspects.settle(A)
    suspects.close(finished=False)
    assert told(paths) == {"b": 1}
    Suspects.after(paths, 2).close(finished=True)
    assert not paths.marks.exists()


def test_an_account_that_tells_nothing_goes_too(paths):
    paths.marks.write_bytes(b"")
    Suspects.after(paths, 2).close(finished=True)
    assert not paths.marks.exists()


async def test_a_suspect_waits_until_it_is_alone(paths):
    await order(died(paths), A, B)
    Suspects.after(paths, 2).begin(A)
    suspects = Suspects.after(paths, 2)
    others = {asyncio.create_task(asyncio.sleep(0.01))}
    for task in others:
        task.add_done_callback(others.discard)
    await suspects.turn(B, others)
    assert others
    await suspects.turn(A, others)
    assert not others


def test_lines_are_used_again_and_damage_tells_nothing(paths):
    marks = Marks(paths.marks, {})
    for name in "abcdefgh":
        marks.tell(mark_of(name), 0, in_flight=True)
        marks.clear(mark_of(name))
    assert paths.marks.stat().st_size == WIDTH
    marks.tell(mark_of("a"), 1, in_flight=True)
    marks.tell(mark_of("b"), 1)
    marks.close(keep=True)
    assert told(paths) == {"a": 2, "b": 1}
    paths.marks.write_bytes(b"\0" * 7 + paths.marks.read_bytes()[:-1])
    assert told(paths) == {"a": 2}


def test_an_account_that_cannot_be_written_stops_nobody(paths):
    paths.marks.mkdir()
    suspects = Suspects.after(paths, 2)
    suspects.begin(A)
    suspects.settle(A)
    suspects.end(A)
    suspects.close(finished=True)


class Watched(Suspects):
    def __init__(self):
        super().__init__()
        self.seen = []

    def begin(self, job):
        self.seen.append(f"{job.id} begins")

    def end(self, job):
        self.seen.append(f"{job.id} ends")


async def test_a_picture_is_in_flight_while_it_is_loaded_for_it_may_kill_before_it_is_sent(
    tmp_path,
):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    asked = JobMessage("user", (ImageRef("a.png"),))
    suspects = Watched()
    loader = Loader(LoadRules(), 1 << 20, suspects)
    await loader.load(replace(A, messages=(asked,), root=str(tmp_path)), "m")
    await loader.load(B, "m")
    loader.close()
    assert suspects.seen == ["a begins", "a ends"]


async def test_a_picture_that_was_given_up_is_hashed_and_not_decoded(paths, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    job = replace(A, messages=(JobMessage("user", (ImageRef("a.png"),)),), root=str(tmp_path))
    Marks(paths.marks, {mark_of("a"): GIVEN_UP}).close(keep=True)
    loader = Loader(LoadRules(), 1 << 20, Suspects.after(paths, 2))
    loaded = await loader.load(job, "m")
    loader.close()
    assert loaded.error.code == "interrupted_often"
    assert loaded.digests == current_digests(job, (), ImageRules())
