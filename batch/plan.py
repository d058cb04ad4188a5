"""Compares the source with the results: what is new, changed, done, failed; sends nothing."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from .estimate import CHARACTERS_A_TOKEN, job_size
from .keys import job_key
from .media.load import ImageRules
from .media.request import current_digests
from .models import Job
from .results.archive import Archive
from .results.index import FailedIndex, FailureHead, Index
from .results.records import key_bits
from .sources.entries import Entry, Problem, Source
from .sources.ids import Ids
from .sources.template import is_unfilled

RetryFailed = Literal["all", "transient", "none"]

SHOWN_PROBLEMS = 20
"""Problems kept with their words; the rest are counted."""

SHOWN_RIVALS = 5
"""Ids that stand twice whose other line is looked up."""


def never(_name: str) -> bool:
    """Nothing is withheld."""
    return False


class PlanRules(Struct, frozen=True):
    """What decides whether a job runs."""

    provider: str
    model_of: Callable[[str], str]
    """A job's model → its name on the wire."""
    reason_unsupported: Callable[[Job], str]
    images: ImageRules = ImageRules()
    retry_failed: RetryFailed = "transient"
    fresh: bool = False
    """Everything runs again, and every earlier answer is superseded."""
    withheld: Callable[[str], bool] = never
    """Whether the job of an id is not asked, because its image has a caption already."""
    ids_only: bool = False
    """Trust ids alone, because the options that decide the keys are not known."""


class BadEntry(Struct, frozen=True):
    """A line that cannot run."""

    source: str
    number: int
    problem: Problem
    fields: dict[str, object]
    code: Literal["bad_job", "unsupported"]


class Plan:
    """What a run has to do. Memory: 8 bytes a job to do, and only the first problems' words."""

    def __init__(self) -> None:
        self.new = 0
        self.changed = 0
        self.done = 0
        self.answered_by: Counter[str] = Counter()
        """Who gave the answers that are done; of those that are taken back nobody looks."""
        self.retried_codes: Counter[str] = Counter()
        """Failures of earlier runs that are tried again, by code."""
        self.kept: Counter[str] = Counter()
        """Failures of earlier runs that stand, by code."""
        self.todo: list[array[int]] = []
        """Addresses to run, a list a source."""
        self.restored: dict[int, int] = {}
        """Superseded answers that are right again: hash of the id → offset."""
        self.superseded: list[int] = []
        """Offsets of answers whose job was edited."""
        self.settled: set[int] = set()
        """Hashes of ids whose failed line is out of date once this run begins."""
        self.bad: list[BadEntry] = []
        self.bad_count = 0
        self.bad_recorded: Counter[str] = Counter()
        """Lines that cannot run and stand in the failed file already, by code."""
        self.passed_over = 0
        self.withheld = 0
        """Images that are not asked about, because they have a caption already: no jobs."""
        self.orphans = 0
        self.carried = 0
        """Answers that are carried over to another id, because their pictures were renamed."""
        self.characters = 0
        """Characters of the text of the jobs to do."""
        self.images = 0
        self.unfilled = 0
        """Jobs to do that hold `{{name}}` and give no `vars`."""

    @property
    def retried(self) -> int:
        """Failed jobs that are tried again."""
        return self.retried_codes.total()

    @property
    def jobs(self) -> int:
        """Every job of the source, bad lines included."""
        return self.done + self.kept.total() + self.to_do + self.bad_count

    @property
    def to_do(self) -> int:
        """Jobs that this run would send."""
        return self.new + self.changed + self.retried

    @property
    def queued(self) -> int:
        """Those of the jobs to do that a limit lets through."""
        return sum(map(len, self.todo))

    @property
    def tokens(self) -> int:
        """An estimate of the input tokens of the text to send."""
        return self.characters // CHARACTERS_A_TOKEN

    def measure(self, job: Job, times: Literal[1, -1] = 1) -> None:
        """Add a job to the estimate, or take it out again."""
        texts, images = job_size(job)
        self.characters += times * texts
        self.images += times * images
        self.unfilled += times * is_unfilled(job.fields)


class Planner:
    """Walks the sources once and sorts every job."""

    def __init__(
        self,
        rules: PlanRules,
        index: Index,
        failed: FailedIndex,
        archive: Archive,
        *,
        keep_bad: bool,
    ) -> None:
        self._rules = rules
        self._index = index
        self._failed = failed
        self._archive = archive
        self._keep_bad = keep_bad
        self.ids = Ids()
        """The ids of every job of the sources, once there is a plan."""
        self._plan = Plan()
        self._matched = 0

    async def plan(self, sources: Sequence[Source], limit: int | None = None) -> Plan:
        """The plan for all sources; at most `limit` jobs of it are to be done."""
        plan = self._plan
        ids = self.ids
        for source in sources:
            todo = array("Q")
            plan.todo.append(todo)
            async for entries in source.entries(ids):
                keys = await self._image_keys(entries)
                for entry in entries:
                    if entry.job is None:
                        self._bad(source, entry, entry.problem)
                    elif reason := self._reason_unsupported(entry.job):
                        self._bad(source, entry, Problem(entry.job.id, reason))
                    else:
                        self._sort(entry.job, entry.address, keys, todo, limit)
            plan.passed_over += source.passed_over
        plan.orphans = len(self._index) - self._matched
        if not self._keep_bad:
            await self._name_rivals(sources)
        return plan

    def _reason_unsupported(self, job: Job) -> str:
        """Why the provider cannot do a job; empty when it can, or would not be asked."""
        reason = self._rules.reason_unsupported(job)
        return "" if reason and self._rules.withheld(job.id) else reason

    async def _name_rivals(self, sources: Sequence[Source]) -> None:
        """Say of the first ids that stand twice where they stand first.

        Takes one more walk over the sources, which is made only when nothing will be run.
        """
        doubled = [at for at, bad in enumerate(self._plan.bad) if bad.problem.taken][:SHOWN_RIVALS]
        wanted = {self._plan.bad[at].problem.taken for at in doubled}
        places: dict[str, str] = {}
        ids = Ids()
        for source in sources if wanted else ():
            async for entries in source.entries(ids):
                for entry in entries:
                    if entry.job is not None and entry.job.id in wanted:
                        places[entry.job.id] = f"{source.name}:{entry.number}"
        for at in doubled:
            bad = self._plan.bad[at]
            words = f"{bad.problem.message} ({places.get(bad.problem.taken, 'elsewhere')})"
            self._plan.bad[at] = replace(bad, problem=bad.problem._replace(message=words))

    async def _image_keys(self, entries: Sequence[Entry]) -> dict[str, str]:
        """The present keys of the jobs with images that have a result or a failure, by id.

        Files are looked at in a thread, because disks may be slow.
        """
        if self._rules.ids_only:
            return {}
        wanted = self._rules.withheld if self._rules.fresh else self._known
        jobs = [
            each.job
            for each in entries
            if each.job and each.job.images and wanted(each.job.id) and self._known(each.job.id)
        ]
        if not jobs:
            return {}
        return await asyncio.to_thread(lambda: {job.id: self._image_key(job) for job in jobs})

    def _known(self, name: str) -> bool:
        """Whether an earlier run answered or failed a job of this id."""
        return (
            self._index.key_bits(name) is not None
            or self._failed.get(name) is not None
            or self._archive.holds(name)
        )

    def is_new(self, name: str) -> bool:
        """Whether no earlier run answered or failed a job of this id."""
        return not self._known(name)

    def _image_key(self, job: Job) -> str:
        """The key of a job with images, from the recorded hashes where they still hold.

        The hash of an answered image that cannot be read now holds too: a disk that is not mounted
        shall not make anybody pay for all its images again.
        """
        answered = self._index.key_bits(job.id) is not None
        recorded = self._index.row(job.id).media if answered else ()
        known = {media.path: media.sha256 for media in recorded}
        present = current_digests(job, recorded, self._rules.images)
        digests = [
            known.get(image.source, digest) if digest.startswith("!") else digest
            for image, digest in zip(job.images, present, strict=True)
        ]
        return self.key(job, digests)

    def key(self, job: Job, digests: Sequence[str]) -> str:
        """The key of a job as this run would ask it."""
        return job_key(job, self._rules.provider, self._rules.model_of(job.model), digests)

    def _sort(
        self, job: Job, address: int, keys: dict[str, str], todo: array[int], limit: int | None
    ) -> None:
        """Put one job where it belongs."""
        plan = self._plan
        recorded = self._index.key_bits(job.id)
        failure = None if self._rules.fresh else self._failed.get(job.id)
        self._matched += recorded is not None
        if self._is_settled(job, recorded, failure, keys):
            return
        if self._rules.withheld(job.id):
            plan.withheld += 1
            # The answer to another question; with `fresh` it may be one to this.
            if recorded is not None and recorded != key_bits(keys[job.id]):
                plan.superseded.append(self._index.offset(job.id))
            return
        if recorded is not None:
            plan.changed += 1
        elif failure is not None:
            plan.retried_codes[failure.code] += 1
        else:
            plan.new += 1
        if limit is not None and plan.to_do > limit:
            return
        if recorded is not None:
            plan.superseded.append(self._index.offset(job.id))
        if failure is not None or (self._rules.fresh and recorded is not None):
            plan.settled.add(hash(job.id))
        todo.append(address)
        plan.measure(job)

    def _is_settled(
        self, job: Job, recorded: int | None, failure: FailureHead | None, keys: dict[str, str]
    ) -> bool:
        """Whether the job is answered, or failed for good, as it stands now; counts it if so."""
        plan = self._plan
        if recorded is not None and self._is_current(job, recorded, keys):
            plan.done += 1
            plan.answered_by[self._index.provider(job.id)] += 1
            if failure is not None or self._failed.is_outdated(job.id):
                plan.settled.add(hash(job.id))
            return True
        if recorded is None and failure is not None and not self._runs_again(job, failure, keys):
            plan.kept[failure.code] += 1
            return True
        return self._restores(job, keys)

    def _restores(self, job: Job, keys: dict[str, str]) -> bool:
        """Whether the job's answer was set aside earlier and can be taken back."""
        if self._rules.fresh or not self._archive.holds(job.id):
            return False
        offset = self._archive.offset(job.id, keys.get(job.id) or self.key(job, ()))
        if offset is None:
            return False
        self._plan.done += 1
        self._plan.restored[hash(job.id)] = offset
        if self._index.key_bits(job.id) is not None:
            self._plan.superseded.append(self._index.offset(job.id))
        return True

    def _is_current(self, job: Job, recorded: int, keys: dict[str, str]) -> bool:
        """Whether the recorded answer is the answer to the job as it stands now."""
        if self._rules.ids_only:
            return True
        if self._rules.fresh:
            return False
        return recorded == key_bits(keys.get(job.id) or self.key(job, ()))

    def _runs_again(self, job: Job, failure: FailureHead, keys: dict[str, str]) -> bool:
        """Whether a failed job is tried in this run."""
        if self._rules.retry_failed == "all":
            return True
        if self._rules.ids_only:
            return False
        if failure.retryable and self._rules.retry_failed == "transient":
            return True
        return failure.key != (keys.get(job.id) or self.key(job, ()))

    def _bad(self, source: Source, entry: Entry, problem: Problem | None) -> None:
        """Keep a line that cannot run: all of them for a run that goes on without them."""
        assert problem is not None
        self._plan.bad_count += 1
        if entry.job is not None and self._index.key_bits(entry.job.id) is not None:
            self._matched += 1
        recorded = self._failed.get(problem.id)
        if recorded is not None:
            self._plan.bad_recorded[recorded.code] += 1
        if self._keep_bad or len(self._plan.bad) < SHOWN_PROBLEMS:
            fields = entry.job.fields if entry.job else {}
            code: Literal["bad_job", "unsupported"] = "unsupported" if entry.job else "bad_job"
            self._plan.bad.append(BadEntry(source.name, entry.number, problem, fields, code))
