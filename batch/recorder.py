"""The numbers of a run at one moment: what run.json and the live line say."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from . import __version__
from .errors import RunError
from .limits.clock import Clock
from .limits.history import History
from .outcomes import RunRules, now
from .plan import Plan
from .results.state import LaneState, OldestInFlight, RunState, write_state
from .runner import Runner
from .settings import Settings, source_label
from .threads import in_thread

HEARTBEAT = 2.0
"""Seconds between two writings of run.json."""

TICK = 0.25
"""Seconds between two looks of the progress view."""

Glance = Callable[[RunState], None]


class Recorder:
    """Tells the state of one run at any moment."""

    def __init__(self, settings: Settings, rules: RunRules, clock: Clock = time.monotonic) -> None:
        self.plan = Plan()
        self.runner: Runner | None = None
        self.started = clock()
        self._clock = clock
        self.started_at = now()
        self._history = History()
        self._settings = settings
        self._rules = rules

    def state(
        self,
        state: Literal["running", "finished", "stopped"] = "running",
        reason: str = "",
        exit_code: int | None = None,
    ) -> RunState:
        """The state now. `jobs = answered + failed + left` holds at every moment."""
        plan, runner = self.plan, self.runner
        tally = runner.tally if runner else None
        lane = self._lane_state(runner) if runner else None
        answered = self.answers()
        failures = plan.kept + (tally.failures if tally else Counter())
        failed = failures.total()
        elapsed = max(self._clock() - self.started, 1e-9)
        return RunState(
            run_id=self._rules.run_id,
            version=__version__,
            source=source_label(self._settings.sources),
            provider=self._settings.provider,
            model=self._rules.model_of(self.model),
            state=state,
            reason=reason,
            exit_code=exit_code,
            pid=os.getpid(),
            host=socket.gethostname(),
            started_at=self.started_at,
            updated_at=now(),
            jobs=plan.jobs,
            done_before=plan.done,
            answered=plan.done + answered,
            failed=failed,
            left=plan.jobs - plan.done - answered - failed,
            retries=tally.retries if tally else 0,
            paused_s=round(sum(lane.pauses.values()), 1) if lane else 0.0,
            input_tokens=tally.input_tokens if tally else 0,
            output_tokens=tally.output_tokens if tally else 0,
            cost_usd=round(tally.cost, 6) if tally and self._has_price() else None,
            rate_per_s=round(answered / elapsed, 3),
            latency_p50_s=tally.latencies.percentile(0.5) if tally else None,
            latency_p95_s=tally.latencies.percentile(0.95) if tally else None,
            in_flight=len(runner.in_flight) if runner else 0,
            oldest_in_flight=oldest(runner, self._clock()) if runner else None,
            failures=dict(failures),
            lane=lane,
        )

    @property
    def gave_up(self) -> RunError | None:
        """Why jobs of this run are left, when that is because their provider was given up.

        Jobs beyond `--limit` are none of this run.
        """
        if self.runner is None:
            return None
        settled = self.answers() + self.runner.tally.failed
        left = self.plan.queued + len(self.plan.bad) - settled
        return self.runner.given_up if left else None

    def answers(self) -> int:
        """The answers of this run."""
        return self.runner.tally.answered if self.runner else 0

    def answered_by(self) -> dict[str, int]:
        """Who gave how many of the answers; those that were taken back or carried are left out."""
        ours = self.runner.tally.answered_by if self.runner else Counter[str]()
        return dict(self.plan.answered_by + ours)

    def _lane_state(self, runner: Runner) -> LaneState:
        """The limits of the lane in use; pauses are those of every lane."""
        lane = runner.route.lane
        pauses: Counter[str] = Counter()
        for route in runner.routes:
            pauses.update(route.lane.paused())
        rate = lane.pace.rate
        return LaneState(
            limit=lane.concurrency.limit,
            pace_per_s=None if rate is None else round(rate, 3),
            pauses={reason: round(seconds, 1) for reason, seconds in pauses.items()},
            limits=list(self._history.points),
        )

    def _has_price(self) -> bool:
        """Whether anything that answers has a price."""
        other = self._settings.fallback
        return bool(self._settings.price or (other and other.price))

    @property
    def model(self) -> str:
        """The model that was asked for on the command line or by configuration."""
        return str(self._settings.flags.get("model") or self._settings.ambient.get("model") or "")

    async def beat(self, glance: Glance) -> None:
        """Show the state to `glance` and write it to run.json while the run goes on."""
        written = float("-inf")
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                await self._tick(glance)
                if self._clock() - written >= HEARTBEAT and (writing is None or writing.done()):
                    written = self._clock()
                    # Beside the ticks: a slow disk shall not be taken for a sleep.
                    writing = asyncio.create_task(in_thread(self.write, self.state()))
                await asyncio.sleep(TICK)
        finally:
            if writing is not None:
                await asyncio.wait([writing])

    async def _tick(self, glance: Glance) -> None:
        """Look at the clock, at the lane and at the numbers, as a few times a second."""
        if self.runner is not None:
            limit = self.runner.route.lane.concurrency.limit
            self._history.add(self._clock() - self.started, limit)
            await self.runner.tick()
        # Soon rather than now, so that a view that fails does not end the heartbeat.
        asyncio.get_running_loop().call_soon(glance, self.state())

    def write(self, state: RunState) -> None:
        """Write run.json; a disk that has no room for it shall not stop the run."""
        if not self._settings.streams:
            with contextlib.suppress(OSError):
                write_state(self._settings.paths().state, state)


def oldest(runner: Runner, moment: float) -> OldestInFlight | None:
    """The request that has been in flight longest."""
    flights = list(runner.in_flight.values())
    if not flights:
        return None
    flight = min(flights, key=lambda each: each.since)
    return OldestInFlight(flight.job.id, round(moment - flight.since, 1))
