"""One run of one output, from the lock to the summary."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from .errors import Locked, OutputError, RunError
from .events import Observer, Planned, Repaired, Unwritable, Waiting
from .limits.clock import Clock
from .models import Job
from .outcomes import bad_line, now
from .recorder import TICK, Glance, Recorder
from .results.anew import telling_anew
from .results.archive import carry, take_back
from .results.attached import Attached
from .results.failed import forget_failures
from .results.index import Index
from .results.journal import Journal
from .results.lock import Lock
from .results.paths import Paths, check_output
from .results.repair import clean_up, repair_tails, set_aside
from .results.sidecars import Sidecars
from .results.stream import Stream
from .routing import Way, make_provider, make_ways
from .runner import Runner
from .settings import Settings, is_stream, run_rules
from .sources.entries import Source
from .sources.spool import spool_stream
from .summary import Summary
from .survey import Survey, open_sources, refuse_bad_lines, survey
from .suspects import Suspects
from .threads import in_thread


class Session:
    """Takes the lock, plans, runs and sums up.

    `glance` is shown the state a few times a second. `interrupt` may be called at any moment.
    """

    def __init__(
        self,
        settings: Settings,
        observer: Observer,
        glance: Glance,
        clock: Clock = time.monotonic,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._glance = glance
        self._clock = clock
        self._paths = None if settings.streams else settings.paths()
        self._provider = make_provider(settings)
        self._rules = run_rules(self._provider, settings)
        self._recorder = Recorder(settings, self._rules, clock)
        self._suspects = Suspects()
        self._signal_code = 0
        self._sidecars: Sidecars | None = None

    @property
    def _runner(self) -> Runner | None:
        """The runner, once there is one."""
        return self._recorder.runner

    @property
    def running(self) -> bool:
        """Whether jobs are being done, so that there is something to stop in order."""
        return self._runner is not None

    def interrupt(self, reason: str, exit_code: int) -> bool:
        """Start no new job; False while nothing runs yet, so that the caller may just cancel."""
        self._signal_code = self._signal_code or exit_code
        if self._runner is None:
            return False
        self._runner.stop(reason)
        return True

    def abandon(self) -> None:
        """Drop what is in flight and sum up."""
        if self._sidecars is not None:
            self._sidecars.stop()
        if self._runner is not None:
            self._runner.abandon()

    async def run(self) -> Summary:
        """Do the whole run.

        Raises `UsageError`, and `RunError` for what was found before the first request.
        """
        if self._paths is not None:
            check_output(self._paths.results)
        ways = make_ways(self._settings, self._provider)
        async with AsyncExitStack() as stack:
            try:
                lock = await self._lock(stack)
                spools = await self._spools(stack)
                sources = await open_sources(self._settings, stack, spools)
                found = await self._planned(lock, sources)
            except Locked:
                if self._settings.if_locked != "skip":
                    raise
                return self._summary(0, skipped=True)
            await self._prepare(found)
            anew = lock if self._settings.fresh and self._settings.limit is None else None
            with telling_anew(anew, now(), self._recorder.answers):
                await self._work(ways, sources, found.sidecars)
            return self._sum_up(found, sources)

    async def _lock(self, stack: AsyncExitStack) -> Lock | None:
        """The lock, taken at once when an earlier run left files.

        Where there are none nobody else can be running, and a job file that turns out to be bad
        shall leave no file behind.
        """
        if self._paths is None:
            return None
        lock = Lock(self._paths.lock)
        stack.callback(lock.release)
        left = self._paths.lock.exists() or self._paths.results.exists()
        if left or any(map(is_stream, self._settings.sources)):
            await self._take(lock)
        return lock

    async def _take(self, lock: Lock) -> None:
        """Take the lock, or wait for it in such a way that a signal ends the waiting."""
        told = False
        while True:
            try:
                return lock.acquire(whoami())
            except Locked as error:
                if self._settings.if_locked != "wait":
                    raise
                if not told:
                    self._observer(Waiting(str(error)))
                told = True
            await asyncio.sleep(TICK)

    async def _planned(self, lock: Lock | None, sources: Sequence[Source]) -> Survey:
        """What is to do, found under the lock; raises `UsageError` for lines that cannot run."""
        found = await survey(self._settings, self._provider, self._paths, sources)
        if not self._settings.skip_bad_lines:
            refuse_bad_lines(found.plan)
        if lock is None or self._paths is None:
            return found
        if not lock.held:
            await self._take(lock)
            if self._paths.results.exists() or self._paths.failed.exists():
                # Another run may have come and gone meanwhile.
                found = await survey(self._settings, self._provider, self._paths, sources)
        lock.add(whoami() | self._settings.deciding())
        return found

    async def _spools(self, stack: AsyncExitStack) -> list[Path | None]:
        """Streams copied to files, so that they can be read twice and resumed."""
        spools: list[Path | None] = []
        for source in self._settings.sources:
            spool = None
            if is_stream(source):
                if self._paths is None:
                    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="overnight-"))
                    spool = Path(folder) / "stdin.jsonl"
                else:
                    spool = self._paths.spool
                await spool_stream(source, spool)
            spools.append(spool)
        return spools

    async def _prepare(self, found: Survey) -> None:
        """Tell the plan, and make the files of earlier runs ready to be appended to."""
        plan = self._recorder.plan = found.plan
        self._observer(
            Planned(
                jobs=plan.jobs,
                done=plan.done,
                changed=plan.changed,
                retried=plan.retried,
                todo=plan.queued,
                restored=len(plan.restored),
                carried=plan.carried,
                withheld=plan.withheld,
                unfilled=plan.unfilled,
            )
        )
        if self._paths is not None:
            await in_thread(self._mend, self._paths, found)
        self._sidecars = found.sidecars
        if self._paths is not None and found.sidecars is not None:
            await in_thread(found.sidecars.catch_up, self._paths)
            if found.sidecars.tally.trouble:
                self._observer(Unwritable(found.sidecars.tally.trouble))

    def _mend(self, paths: Paths, found: Survey) -> None:
        """Clean up and repair after earlier runs, supersede, forget settled failures; blocks."""
        index = found.index
        self._suspects = Suspects.after(paths, self._rules.window)
        try:
            clean_up(paths)
            torn = repair_tails(paths)
            if torn:
                index = Index.scan(paths.results)
            if torn or index.damaged:
                self._observer(Repaired(len(index.damaged) + torn, str(paths.torn)))
            carry(paths.results, found.carried)  # their offsets are those of the file as it is
            set_aside(paths, index, found.plan.superseded)
            take_back(paths, set(found.plan.restored.values()))
            bad = {hash(entry.problem.id) for entry in found.plan.bad}
            settled = index.answered(found.plan.settled) | found.plan.restored.keys() | bad
            forget_failures(paths, settled)
        except OSError as error:
            words = f"cannot repair the files of an earlier run in {paths.results.parent}"
            raise OutputError(f"{words}: {error.strerror}") from error

    async def _work(
        self, ways: Sequence[Way], sources: Sequence[Source], sidecars: Sidecars | None
    ) -> None:
        """Run the jobs to do; the journal closes last, whatever happens."""
        plan = self._recorder.plan
        if not any(plan.todo) and not plan.bad:
            return
        records = self._records(sidecars)
        routes = [way.open(self._clock, asyncio.sleep) for way in ways]
        runner = Runner(
            self._rules, routes, records, self._observer, self._clock, suspects=self._suspects
        )
        self._recorder.runner = runner
        heart = asyncio.create_task(self._recorder.beat(self._glance))
        try:
            for entry in plan.bad:
                runner.record_failed(bad_line(entry, self._rules.run_id))
            await runner.run(self._suspects.last(self._jobs(sources)))
        finally:
            try:
                for route in routes:
                    await route.completer.close()
            finally:
                await self._close(records)
                heart.cancel()
                await asyncio.wait([heart])

    def _records(self, sidecars: Sidecars | None) -> Journal | Attached | Stream:
        """Where outcomes go."""
        if self._paths is None:
            return Stream()
        journal = Journal(self._paths, self._stop_for, sync_each=self._settings.sync == "each")
        if sidecars is None:
            return journal
        return Attached(
            journal, self._paths.results, sidecars, lambda why: self._observer(Unwritable(why))
        )

    async def _close(self, records: Journal | Attached | Stream) -> None:
        """Close the journal, whatever else happens; what it could not save ends the run with 74."""
        try:
            await records.close()
        except OutputError as error:
            self._stop_for(error)

    async def _jobs(self, sources: Sequence[Source]) -> AsyncIterator[Job]:
        """The jobs to do, source after source."""
        for source, addresses in zip(sources, self._recorder.plan.todo, strict=True):
            async for job in source.jobs(addresses):
                yield job

    def _stop_for(self, error: RunError) -> None:
        """Stop the runner because of an error of the output."""
        if self._runner is not None:
            self._runner.stop_for(error)

    def _sum_up(self, found: Survey, sources: Sequence[Source]) -> Summary:
        """The summary, after its state is written."""
        changed = tuple(source.name for source in sources if source.grown())
        sidecars = found.sidecars.tally if found.sidecars else None
        code = self._exit_code()
        if sidecars is not None and sidecars.failed and code in (0, 1):
            # The answers are safe, but what was asked for is not there.
            code = self._signal_code or 74
        summary = self._summary(code)
        self._recorder.write(summary.state)
        self._suspects.close(finished=not summary.state.left)
        tally = self._runner.tally if self._runner else None
        routes = self._runner.routes if self._runner else ()
        fleets = [route.fleet for route in routes if route.fleet]
        hedges = [route.hedge for route in routes if route.hedge]
        return msgspec.structs.replace(
            summary,
            answered_by=self._recorder.answered_by(),
            orphans=found.plan.orphans,
            withheld=found.plan.withheld,
            sidecars=sidecars,
            passed_over=found.plan.passed_over,
            changed_sources=changed,
            slowest=tuple(sorted(tally.slowest, reverse=True)) if tally else (),
            unknown_usage=tally.unknown_usage if tally else 0,
            by_fallback=tuple((route.provider, route.answered) for route in routes[1:]),
            endpoints=tuple(each for fleet in fleets for each in fleet.endpoints),
            triage=tuple(each for way in routes if way.triage for each in way.triage.findings()),
            hedged=sum(hedge.sent for hedge in hedges),
            hedges_won=sum(hedge.won for hedge in hedges),
            spared=self._runner.twins.spared if self._runner else 0,
        )

    def _summary(self, exit_code: int, *, skipped: bool = False) -> Summary:
        """The numbers so far with the code that the process ends with."""
        reason = self._reason()
        state = self._recorder.state("stopped" if reason else "finished", reason, exit_code)
        seconds = self._clock() - self._recorder.started
        return Summary(state, exit_code, self._settings, seconds, skipped=skipped)

    def _reason(self) -> str:
        """Why the run ended before every job was settled; empty when none is left."""
        runner, limit = self._runner, self._settings.limit
        if runner is not None and runner.ended_by is not None:
            return runner.stopping
        if not self._recorder.state().left:
            return ""
        if runner is not None and (runner.stopping or self._recorder.gave_up):
            return runner.stopping or f"{runner.given_up}; the fallback cannot do what is left"
        return "the source changed during the run" if limit is None else f"--limit {limit}"

    def _exit_code(self) -> int:
        """The code of `errors.EXIT_CODES` that tells how the run ended."""
        runner = self._runner
        if runner is not None and runner.ended_by is not None:
            return runner.ended_by.exit_code
        state = self._recorder.state()
        if self._signal_code and state.left:
            return self._signal_code
        if self._recorder.gave_up is not None:
            return self._recorder.gave_up.exit_code
        if self._settings.limit is not None and state.left:
            return 1 if runner is not None and runner.tally.failed else 0
        return 1 if state.failed or state.left else 0


def whoami() -> dict[str, Any]:
    """Who holds the lock, for those who find it taken."""
    return {"pid": os.getpid(), "host": socket.gethostname(), "started_at": now()}
