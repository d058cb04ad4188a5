"""Runs in virtual time against model servers: the real runner, lane, breaker and retries.

A scenario is data. Nothing here takes real time: a run costs the CPU of its jobs and no more.
"""

import asyncio
import random
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from clock import VirtualLoop
from model_server import Log, ModelServer, Server
from rehearsal import Night, job

from batch.errors import Retryable
from batch.models import Message, Request

WARM = 10.0  # seconds that a client may take to find its pace


class Counts:
    """Records that keep no answer, only how often each job was answered."""

    def __init__(self, jobs):
        self.answered = bytearray(jobs)
        self.failures = Counter()

    def append(self, result):
        self.answered[int(result.id)] += 1

    def append_failed(self, failed):
        self.failures[failed.failure.code] += 1

    async def settled(self):
        pass


@dataclass(frozen=True)
class Scenario:
    """A run of so many jobs against a server."""

    name: str
    server: Server
    jobs: int = 2000
    concurrency: int = 32
    rules: dict = field(default_factory=dict)
    seed: int = 1
    every: float = 1.0  # seconds between two samples
    at_most: float = 7 * 86400.0  # seconds after which the run is stopped
    sleeps: tuple = ()  # pairs of a moment and the seconds that the machine sleeps then


class Sample(NamedTuple):
    """How the run was at a moment."""

    at: float
    limit: int
    tasks: int
    memory: int  # KiB that the process holds
    lane: str


@dataclass
class Outcome:
    """What came of a scenario."""

    scenario: Scenario
    log: Log
    records: Counts
    seconds: float
    cpu: float = 0.0
    samples: list = field(default_factory=list)
    retries: int = 0
    ended: object = None  # why the run ended early

    @property
    def failed(self):
        return self.records.failures.total()

    @property
    def each_once(self):
        """Whether each job was answered, and none twice."""
        return self.records.answered == b"\1" * self.scenario.jobs

    @property
    def throughput(self):
        """Answers a second as a share of what server and concurrency sustain.

        What a server saved up before the run makes it exceed 1.
        """
        return self._share(self.scenario.server.capacity().sustained)

    @property
    def of_best(self):
        """The shortest time in which anybody could have done it, as a share of the time taken."""
        return self._share(self.scenario.server.capacity().least)

    def _share(self, seconds):
        scenario, jobs = self.scenario, sum(self.records.answered)
        by_client = jobs * scenario.server.mean / scenario.concurrency
        return max(seconds(jobs), by_client) / self.seconds


def simulate(scenario):
    """The outcome with the real runner, the same each time."""
    return _driven(_run, scenario)


def simulate_fixed(scenario):
    """The outcome with the usual script: so many workers, each of which waits as it is told."""
    return _driven(_run_fixed, scenario)


def _driven(run, scenario):
    random.seed(scenario.seed)  # the jitter of the lane and of the retries
    started = time.process_time()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(run(scenario))
    outcome.cpu = time.process_time() - started
    return outcome


def model_server(scenario):
    return ModelServer(scenario.server, scenario.jobs, scenario.seed)


async def _run(scenario):
    clock = asyncio.get_running_loop().time
    model, records, samples = model_server(scenario), Counts(scenario.jobs), []

    def wall():
        return clock() + sum(seconds for at, seconds in scenario.sleeps if clock() >= at)

    night = Night(
        wall=wall,
        concurrency=scenario.concurrency,
        client=model,
        records=records,
        observer=lambda _: None,
        **scenario.rules,
    )

    async def watch():
        while clock() < scenario.at_most:
            samples.append(sample(night.lane))
            await asyncio.sleep(scenario.every)
        night.runner.stop("the scenario takes too long")

    async def beat():
        while scenario.sleeps:
            await asyncio.sleep(5.0)
            await night.runner.tick()

    beside = [asyncio.create_task(each()) for each in (watch, beat)]
    await night.run(job(str(number)) for number in range(scenario.jobs))
    for task in beside:
        task.cancel()
    ended = night.runner.ended_by or night.runner.stopping or None
    outcome = Outcome(scenario, model.log, records, clock(), samples=samples, ended=ended)
    outcome.retries = night.tally.retries
    return outcome


def sample(lane):
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
    now = asyncio.get_running_loop().time()
    return Sample(now, lane.concurrency.limit, len(asyncio.all_tasks()), memory, repr(lane))


async def _run_fixed(scenario):
    model, records = model_server(scenario), Counts(scenario.jobs)
    outcome = Outcome(scenario, model.log, records, 0.0)
    numbers = iter(range(scenario.jobs))

    async def worker():
        for number in numbers:
            request = Request("model-1", (Message("user", str(number)),))
            while not records.answered[number]:
                try:
                    await model.complete(request)
                    records.answered[number] += 1
                except Retryable as error:
                    outcome.retries += 1
                    await asyncio.sleep(error.retry_after or 1.0)

    async with asyncio.TaskGroup() as group:
        for _ in range(scenario.concurrency):
            group.create_task(worker())
    outcome.seconds = asyncio.get_running_loop().time()
    return outcome
