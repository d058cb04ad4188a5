"""What runs again and what does not, told from the files alone."""

import hashlib
import json
import os

import pytest
from samples import WHEN, result

from batch.keys import job_key
from batch.media.request import LoadRules, load
from batch.models import Failed, Failure
from batch.plan import SHOWN_PROBLEMS, Planner, PlanRules
from batch.results.archive import Archive
from batch.results.failed import forget_failures, settle_failures
from batch.results.index import FailedIndex, Index
from batch.results.journal import Journal
from batch.results.paths import Paths
from batch.results.repair import set_aside
from batch.settings import Settings, open_source

ORIGINALS = LoadRules(originals=True)
"""The bytes of the tests' images need not be images."""


def picture(data):
    """A GIF of one pixel whose colours stand for `data`; all have one size."""
    colours = hashlib.sha256(data).digest()[:6]
    head, tail = b"GIF89a\1\0\1\0\x80\0\0", b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    return head + colours + tail


class Night:
    """A job file, the files of its output, and runs that end as they are told to."""

    def __init__(self, folder):
        self.folder = folder
        self.paths = Paths.beside(folder / "night.results.jsonl")
        self.sources = ["night.jsonl"]

    def write(self, *lines, name="night.jsonl"):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / name).write_text(text)

    def image(self, name, data=b"the bytes", age=0):
        """Write an image file that was changed `age` seconds ago, on a clock of its own."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(data))
        os.utime(path, (10**9 - age, 10**9 - age))

    async def plan(self, **rules):
        plan, _ = await self._plan(**rules)
        return plan

    async def todo(self, **rules):
        """The ids of the jobs that would run."""
        _, jobs = await self._plan(**rules)
        return [job.id for job in jobs]

    async def _plan(self, *, limit=None, keep_bad=False, flags=None, root=None, **rules):
        settings = Settings(sources=(), flags=flags or {}, root=root)
        given = {"provider": "fake", "model_of": lambda model: model or "m", **rules}
        given.setdefault("reason_unsupported", lambda job: "")
        index, failed = Index.scan(self.paths.results), FailedIndex.scan(self.paths.failed)
        archive = Archive.scan(self.paths.superseded)
        planner = Planner(PlanRules(**given), index, failed, archive, keep_bad=keep_bad)
        opened = [open_source(str(self.folder / name), settings) for name in self.sources]
        plan = await planner.plan(opened, limit)
        jobs = []
        for source, addresses in zip(opened, plan.todo, strict=True):
            jobs += [job async for job in source.jobs(addresses)]
            await source.close()
        return plan, jobs

    async def run(self, fail=None, provider="fake", **rules):
        """Do what is planned, as a run does it; `fail` gives some ids a failure code."""
        plan, jobs = await self._plan(provider=provider, **rules)
        index = Index.scan(self.paths.results)
        set_aside(self.paths, index, plan.superseded)
        forget_failures(self.paths, index.answered(plan.settled))
        since = self.paths.results.stat().st_size if self.paths.results.exists() else 0
        journal = Journal(self.paths, pytest.fail)
        for job in jobs:
            loaded = load(job, "m", ORIGINALS)
            key = job_key(job, provider, job.model or "m", loaded.digests)
            code = loaded.error.code if loaded.error else (fail or {}).get(job.id)
            if code:
                failure = Failure(code, "m", None, 1, code == "timeout", key, "run", WHEN)
                journal.append_failed(Failed(job.id, job.fields, failure))
            else:
                journal.append(result(job.id, key=key, media=loaded.media))
        await journal.close()
        settle_failures(self.paths, since)
        return [job.id for job in jobs]

    def ids_in(self, path):
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["id"] for line in lines]

    @property
    def answered(self):
        return self.ids_in(self.paths.results)

    @property
    def failed(self):
        return self.ids_in(self.paths.failed)


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path)


A = {"id": "a", "prompt": "Say a."}
B = {"id": "b", "prompt": "Say b."}
C = {"id": "c", "prompt": "Say c."}


def counts(plan):
    return {
        "new": plan.new,
        "changed": plan.changed,
        "done": plan.done,
        "retried": plan.retried,
        "kept": plan.kept.total(),
        "bad": plan.bad_count,
        "orphans": plan.orphans,
    }


def only(**given):
    names = ("new", "changed", "done", "retried", "kept", "bad", "orphans")
    return dict.fromkeys(names, 0) | given


# New, done, changed


async def test_an_empty_source_has_nothing_to_do(night):
    night.write()
    plan = await night.plan()
    assert (counts(plan), plan.jobs, plan.to_do) == (only(), 0, 0)


async def test_before_the_first_run_every_job_is_new(night):
    night.write(A, B)
    plan = await night.plan()
    assert (counts(plan), plan.jobs) == (only(new=2), 2)
    assert await night.todo() == ["a", "b"]


async def test_an_answered_job_is_done_and_never_runs_again(night):
    night.write(A, B)
    await night.run()
    plan = await night.plan()
    assert (counts(plan), plan.jobs, plan.to_do) == (only(done=2), 2, 0)
    assert await night.run() == []
    assert night.answered == ["a", "b"]


async def test_lines_may_be_inserted_deleted_reordered_and_appended(night):
    derived = {"prompt": "no id"}
    night.write(A, B, derived)
    await night.run()
    night.write({"prompt": "new"}, derived, C, A)
    plan = await night.plan()
    assert counts(plan) == only(new=2, done=2, orphans=1)
    await night.run()
    assert counts(await night.plan()) == only(done=4, orphans=1)


async def test_an_edited_prompt_runs_again_and_its_old_answer_is_superseded(night):
    night.write(A, B)
    await night.run()
    night.write(A, {**B, "prompt": "Say b!"})
    plan = await night.plan()
    assert counts(plan) == only(done=1, changed=1)
    assert plan.superseded == [Index.scan(night.paths.results).offset("b")]
    assert await night.run() == ["b"]
    assert night.answered == ["a", "b"]
    assert night.ids_in(night.paths.superseded) == ["b"]
    assert counts(await night.plan()) == only(done=2)


@pytest.mark.parametrize(
    "edited",
    [{"model": "n"}, {"params": {"n": 1}}, {"system": "s"}, {"schema": {"type": "object"}}],
)
async def test_whatever_decides_the_answer_makes_a_job_changed(night, edited):
    night.write(A)
    await night.run()
    night.write({**A, **edited})
    assert counts(await night.plan()) == only(changed=1)


@pytest.mark.parametrize("edited", [{"meta": {"row": 1}}, {"failure": {"code": "timeout"}}])
async def test_what_decides_nothing_leaves_a_job_done(night, edited):
    night.write(A)
    await night.run()
    night.write({**A, **edited})
    assert counts(await night.plan()) == only(done=1)


async def test_another_provider_or_model_makes_every_job_changed(night):
    night.write(A, B)
    await night.run()
    assert counts(await night.plan(provider="other")) == only(changed=2)
    assert counts(await night.plan(model_of=lambda model: "n")) == only(changed=2)
    assert counts(await night.plan(flags={"system": "s"})) == only(changed=2)


async def test_repeated_lines_are_jobs_of_their_own(night):
    line = {"prompt": "Write a poem."}
    night.write(*[line] * 3)
    assert len(set(await night.run(flags={"model": "m"}))) == 3
    assert counts(await night.plan(flags={"model": "m"})) == only(done=3)
    night.write(*[line] * 5)
    assert counts(await night.plan(flags={"model": "m"})) == only(done=3, new=2)


async def test_a_torn_results_file_counts_only_whole_answers(night):
    night.write(A, B)
    await night.run()
    data = night.paths.results.read_bytes()
    night.paths.results.write_bytes(data[:-20])
    assert counts(await night.plan()) == only(done=1, new=1)


# Images


PICTURE = {"id": "p", "prompt": "What is it?", "image": "a.png"}


async def test_a_touched_image_is_done_without_running_again(night):
    night.image("a.png")
    night.write(PICTURE)
    await night.run()
    night.image("a.png", age=100)
    assert counts(await night.plan()) == only(done=1)


async def test_an_edited_image_is_changed(night):
    night.image("a.png", b"one")
    night.write(PICTURE)
    await night.run()
    night.image("a.png", b"two", age=100)
    assert counts(await night.plan()) == only(changed=1)
    assert await night.run() == ["p"]
    assert night.ids_in(night.paths.superseded) == ["p"]


async def test_a_moved_image_is_done(night):
    night.image("a.png")
    night.write(PICTURE)
    await night.run()
    (night.folder / "a.png").rename(night.folder / "b.png")
    night.write({**PICTURE, "image": "b.png"})
    assert counts(await night.plan()) == only(done=1)


async def test_an_image_of_unchanged_size_and_time_is_not_read(night):
    night.image("a.png", b"one")
    night.write(PICTURE)
    await night.run()
    night.image("a.png", b"two")
    assert counts(await night.plan()) == only(done=1)


async def test_an_answer_stands_when_its_image_cannot_be_read_now(night):
    night.image("a.png")
    night.image("sub/b.png")
    night.write(PICTURE, {"id": "q", "prompt": "Compare.", "images": ["a.png", "sub/b.png"]})
    await night.run()
    (night.folder / "sub").rename(night.folder / "not mounted")
    (night.folder / "a.png").unlink()
    assert counts(await night.plan()) == only(done=2)
    night.write({**PICTURE, "prompt": "Why?"})
    assert counts(await night.plan()) == only(changed=1, orphans=1)


async def test_a_mended_picture_runs_again(night):
    night.write(PICTURE, {**PICTURE, "id": "q", "image": "none.png"})
    assert await night.run() == ["p", "q"]
    assert night.failed == ["p", "q"]
    assert counts(await night.plan()) == only(kept=2)
    night.image("a.png")
    assert counts(await night.plan(retry_failed="none")) == only(kept=1, retried=1)
    assert await night.run() == ["p"]
    assert (night.answered, night.failed) == (["p"], ["q"])


async def test_a_folder_of_odd_names_is_done_after_its_run(night):
    night.sources = ["photos"]
    names = ["a.png", "~b.png", "c:d.png", "e\nf.png", os.fsdecode(b"caf\xe9.png"), "²1.png"]
    for name in names:
        night.image(f"photos/{name}")
    flags = {"prompt": "What is it?"}
    await night.run(flags=flags)
    assert counts(await night.plan(flags=flags)) == only(done=len(names))
    night.image("photos/new.png")
    assert await night.todo(flags=flags) == ["new.png"]


async def test_a_folder_keeps_its_answers_for_another_root_only_by_id(night):
    night.sources = ["photos"]
    night.image("photos/a.png")
    flags = {"prompt": "What is it?"}
    await night.run(flags=flags)
    root = str(night.folder)
    assert counts(await night.plan(flags=flags, root=root)) == only(new=1, orphans=1)


# Failures


async def test_passing_trouble_runs_again_and_refusals_stand(night):
    night.write(A, B, C)
    await night.run(fail={"a": "timeout", "b": "refused"})
    plan = await night.plan()
    assert counts(plan) == only(retried=1, kept=1, done=1)
    assert (plan.retried_codes, plan.kept) == ({"timeout": 1}, {"refused": 1})
    assert plan.jobs == 3
    assert await night.run() == ["a"]
    assert (night.answered, night.failed) == (["c", "a"], ["b"])


@pytest.mark.parametrize(
    ("mode", "todo"), [("all", ["a", "b"]), ("transient", ["a"]), ("none", [])]
)
async def test_retry_failed_says_which_failures_run_again(night, mode, todo):
    night.write(A, B, C)
    await night.run(fail={"a": "timeout", "b": "refused"})
    assert await night.todo(retry_failed=mode) == todo


@pytest.mark.parametrize("mode", ["transient", "none"])
async def test_an_edited_job_that_failed_runs_again(night, mode):
    night.write(A)
    await night.run(fail={"a": "refused"})
    night.write({**A, "prompt": "Say it, please."})
    assert counts(await night.plan(retry_failed=mode)) == only(retried=1)
    await night.run(retry_failed=mode)
    assert (night.answered, night.failed) == (["a"], [])


async def test_a_failed_job_that_fails_again_stands_once_in_the_failed_file(night):
    night.write(A, B)
    await night.run(fail={"a": "timeout", "b": "timeout"})
    await night.run(fail={"a": "refused"})
    assert (night.answered, night.failed) == (["b"], ["a"])


async def test_a_job_that_is_answered_and_failed_is_done_and_its_failure_is_settled(night):
    night.write(A, B)
    await night.run(fail={"a": "timeout"})
    failed = night.paths.failed.read_bytes()
    await night.run()
    night.paths.failed.write_bytes(failed)
    plan = await night.plan()
    assert counts(plan) == only(done=2)
    assert plan.settled == {hash("a")}


async def test_an_answered_job_that_was_edited_and_failed_then_keeps_to_its_failure(night):
    night.write(A)
    await night.run()
    night.write({**A, "prompt": "Say it."})
    await night.run(fail={"a": "refused"})
    assert (night.answered, night.failed) == ([], ["a"])
    assert counts(await night.plan()) == only(kept=1)


# Flags of the plan


async def test_fresh_runs_everything_and_supersedes_every_answer(night):
    night.image("a.png")
    night.write(A, B, PICTURE)
    await night.run(fail={"b": "refused"})
    plan = await night.plan(fresh=True)
    assert counts(plan) == only(changed=2, new=1)
    assert len(plan.superseded) == 2
    assert plan.settled == {hash("a"), hash("p")}
    assert await night.run(fresh=True) == ["a", "b", "p"]
    assert (night.answered, night.failed) == (["a", "b", "p"], [])


async def test_a_limit_takes_the_first_jobs_that_are_not_done(night):
    night.write(A, B, C, {"id": "d", "prompt": "Say d."})
    await night.run(limit=1)
    assert night.answered == ["a"]
    plan = await night.plan(limit=2)
    assert counts(plan) == only(done=1, new=3)
    assert await night.run(limit=2) == ["b", "c"]
    assert await night.todo(limit=0) == []


async def test_a_limit_counts_every_kind_of_job_and_leaves_the_rest_as_it_was(night):
    night.write(A, B, C)
    await night.run(fail={"b": "timeout", "c": "timeout"})
    night.write({**A, "prompt": "Say it."}, B, C)
    plan = await night.plan(limit=1)
    assert counts(plan) == only(changed=1, retried=2)
    assert len(plan.superseded) == 1
    assert await night.run(limit=1) == ["a"]
    assert (night.answered, night.failed) == (["a"], ["b", "c"])


async def test_a_limit_supersedes_no_answer_of_a_job_that_it_leaves(night):
    night.write(A, B)
    await night.run()
    assert await night.run(fresh=True, limit=1) == ["a"]
    assert sorted(night.answered) == ["a", "b"]
    assert night.ids_in(night.paths.superseded) == ["a"]


async def test_ids_only_trusts_ids(night):
    night.write(A, B, C)
    await night.run(fail={"b": "timeout", "c": "refused"})
    night.write({**A, "prompt": "edited"}, B, {**C, "prompt": "edited"}, {"id": "d", "prompt": "x"})
    plan = await night.plan(ids_only=True, provider="unknown")
    assert counts(plan) == only(done=1, kept=2, new=1)


# Bad lines


BAD = {"promt": "x"}


async def test_a_bad_line_is_told_with_its_place(night):
    night.write(A, BAD)
    plan = await night.plan()
    assert counts(plan) == only(new=1, bad=1)
    (bad,) = plan.bad
    assert (bad.number, bad.code, bad.fields) == (2, "bad_job", {})
    assert bad.problem.id == "line-2"
    assert "did you mean `prompt`" in bad.problem.message
    assert plan.jobs == 2


async def test_only_the_first_bad_lines_keep_their_words(night):
    night.write(*[BAD] * 50)
    plan = await night.plan()
    assert (plan.bad_count, len(plan.bad)) == (50, SHOWN_PROBLEMS)


async def test_every_bad_line_is_kept_for_a_run_that_goes_on_without_them(night):
    night.write(*[BAD] * 50, A)
    plan = await night.plan(keep_bad=True)
    assert [bad.problem.id for bad in plan.bad] == [f"line-{at}" for at in range(1, 51)]
    assert await night.todo(keep_bad=True) == ["a"]


async def test_ids_that_stand_twice_are_told_with_both_places(night):
    night.write(A, B, {**B, "id": "a"}, B, A)
    plan = await night.plan()
    assert [(bad.number, bad.problem.message) for bad in plan.bad] == [
        (3, f"the id 'a' is taken ({night.folder}/night.jsonl:1)"),
        (4, f"the id 'b' is taken ({night.folder}/night.jsonl:2)"),
        (5, f"the id 'a' is taken ({night.folder}/night.jsonl:1)"),
    ]


async def test_five_pairs_of_ids_that_stand_twice_are_told_and_the_rest_without_the_place(night):
    lines = [{"id": f"{at}", "prompt": "x"} for at in range(8)]
    night.write(*lines, *lines)
    plan = await night.plan()
    assert [":" in bad.problem.message for bad in plan.bad] == [True] * 5 + [False] * 3


async def test_an_id_that_stands_in_two_sources_is_told_with_the_other_source(night):
    night.write(A)
    night.write(B, A, name="more.jsonl")
    night.sources = ["night.jsonl", "more.jsonl"]
    (bad,) = (await night.plan()).bad
    assert bad.source.endswith("more.jsonl")
    assert bad.problem.message == f"the id 'a' is taken ({night.folder}/night.jsonl:1)"


async def test_a_doubled_line_that_is_left_out_leaves_the_first_one_its_answer(night):
    night.write(A, {**A, "prompt": "another"}, B)
    assert await night.run(keep_bad=True) == ["a", "b"]
    assert counts(await night.plan(keep_bad=True)) == only(done=2, bad=1)


async def test_repeated_lines_keep_their_ids_beside_doubled_ones(night):
    night.write(A, A, {"prompt": "x"}, {"prompt": "x"})
    names = await night.todo(keep_bad=True)
    assert len(names) == 3
    assert names[2] == f"{names[1]}-2"


async def test_jobs_that_the_provider_cannot_do_are_bad_and_keep_their_fields(night):
    night.write(A, B)

    def reason(job):
        return "takes no b" if job.id == "b" else ""

    plan = await night.plan(reason_unsupported=reason)
    assert counts(plan) == only(new=1, bad=1)
    (bad,) = plan.bad
    assert (bad.code, bad.problem, bad.fields) == ("unsupported", ("b", "takes no b", ""), B)


async def test_an_answer_of_a_job_that_the_provider_cannot_do_is_no_orphan(night):
    night.write(A)
    await night.run()
    assert counts(await night.plan(reason_unsupported=lambda job: "no")) == only(bad=1)


async def test_bad_lines_that_stand_in_the_failed_file_are_counted_by_code(night):
    night.write(BAD, A)
    journal = Journal(night.paths, pytest.fail)
    failure = Failure("bad_job", "unknown field", None, 0, False, "", "run", WHEN)
    journal.append_failed(Failed("line-1", {}, failure))
    await journal.close()
    assert (await night.plan()).bad_recorded == {"bad_job": 1}


async def test_a_failed_file_runs_as_it_is(night):
    night.write(A, B, {"custom_id": "c", "body": {"messages": []}})
    await night.run(fail={"a": "timeout", "b": "refused", "c": "timeout"})
    journal = Journal(night.paths, pytest.fail)
    failure = Failure("bad_job", "unknown field", None, 0, False, "", "run", WHEN)
    journal.append_failed(Failed("line-9", {}, failure))
    await journal.close()
    again = Night(night.folder)
    again.sources = ["night.failed.jsonl"]
    again.paths = Paths.beside(night.folder / "again.results.jsonl")
    plan = await again.plan()
    assert (counts(plan), plan.passed_over) == (only(new=3), 1)
    assert await again.run() == ["a", "b", "c"]


# Several sources, and the estimate


async def test_several_sources_have_a_list_of_things_to_do_each(night):
    night.write(A, B)
    night.write(C, name="more.jsonl")
    night.sources = ["night.jsonl", "more.jsonl"]
    assert [len(todo) for todo in (await night.plan()).todo] == [2, 1]
    await night.run(limit=1)
    assert [len(todo) for todo in (await night.plan()).todo] == [1, 1]
    assert await night.todo() == ["b", "c"]


async def test_the_estimate_counts_the_text_and_images_of_the_jobs_to_do(night):
    night.image("a.png")
    parts = [{"type": "text", "text": "x" * 100}, {"type": "image_url", "image_url": "a.png"}]
    night.write(
        {"id": "done", "prompt": "x" * 1000},
        {"id": "1", "prompt": "x" * 40, "system": "x" * 10},
        {"id": "2", "prompt": "x" * 50, "images": ["a.png", "a.png"]},
        {"id": "3", "messages": [{"role": "user", "content": parts}]},
    )
    await night.run(limit=1)
    plan = await night.plan()
    assert (plan.characters, plan.tokens, plan.images) == (200, 50, 3)


async def test_the_estimate_counts_the_text_and_images_of_batch_lines(night):
    url = "data:image/png;base64," + "A" * 1000
    parts = [{"type": "text", "text": "x" * 400}, {"type": "image_url", "image_url": {"url": url}}]
    night.write({"body": {"messages": [{"role": "user", "content": parts}], "user": "y" * 1000}})
    plan = await night.plan()
    assert plan.images == 1
    assert 400 <= plan.characters < 450


async def test_a_body_of_any_form_can_be_estimated(night):
    for messages in (None, 1, "x", [1, None, "abc"], {"a": ["b"]}):
        night.write({"body": {"messages": messages}})
        assert (await night.plan()).new == 1
