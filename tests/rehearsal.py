"""What the tests of a run share: jobs with a script, records in memory, a run in virtual time."""

import asyncio

from clock import now
from msgspec import UNSET

from batch.errors import Retryable
from batch.limits.lane import Lane
from batch.limits.waking import Waking
from batch.models import ImageRef, Job, JobMessage, Text
from batch.outcomes import RunRules
from batch.providers.fake import Fake, FakeClient
from batch.retry import RetryPolicy
from batch.routes import Route
from batch.runner import Runner


def job(name, *, images=(), root="/", meta=UNSET, schema=None, **script):
    """A job for the fake provider; its prompt is its id, its params are the script."""
    content = (*map(ImageRef, images), Text(name)) if images else name
    messages = (JobMessage("user", content),)
    return Job(name, messages, "", script, schema, meta, root, {"id": name, "prompt": name})


def jobs(count, **script):
    return [job(f"job-{n}", **script) for n in range(count)]


class Pages:
    """Records in memory."""

    def __init__(self, *, saving=0.0):
        self.answers = []
        self.failures = []
        self.saving = saving  # seconds until what was saved may be counted

    def append(self, result):
        self.answers.append(result)

    def append_failed(self, failed):
        self.failures.append(failed)

    async def settled(self):
        if self.saving:
            await asyncio.sleep(self.saving)


class Timed(FakeClient):
    """The fake provider, which also remembers when it was asked and may be away for a while.

    Then every request ends in `error`, which takes so many seconds.
    """

    def __init__(self, away=(0.0, 0.0), error=None, takes=0.0):
        super().__init__(keep=True)
        self.times = []
        self.busy = 0
        self.peak = 0
        self._away = away
        self._error = error or Retryable("nobody is there", "connection")
        self._takes = takes

    async def complete(self, request):
        self.times.append(now())
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            return await self.reply(request)
        finally:
            self.busy -= 1

    async def reply(self, request):
        since, until = self._away
        if since <= now() < until:
            if self._takes:
                await asyncio.sleep(self._takes)
            raise self._error
        return await super().complete(request)

    def asked(self, since, until):
        return sum(since <= at < until for at in self.times)


class Night:
    """A runner with all that it needs; `read` counts the jobs that were taken from the source."""

    def __init__(
        self,
        *,
        concurrency=8,
        client=None,
        records=None,
        observer=None,
        fallbacks=(),
        wall=None,
        **rules,
    ):
        clock = asyncio.get_running_loop().time
        self.client = client or Timed()
        self.records = records or Pages()
        self.events = []
        self.read = 0
        rpm, tpm, price = (rules.pop(name, None) for name in ("rpm", "tpm", "price"))
        rules = {"window": concurrency * 3, "retry": RetryPolicy()} | rules
        self.rules = RunRules("run-1", "fake", Fake.get_model, **rules)
        self.lane = Lane(concurrency, rpm, clock, asyncio.sleep, tpm=tpm)
        observer = observer or self.events.append
        self.route = Route("fake", self.client, self.lane, price=price)
        routes = [self.route, *fallbacks]
        waking = Waking(clock, wall or clock)
        self.runner = Runner(self.rules, routes, self.records, observer, clock, waking)

    async def source(self, todo):
        for each in todo:
            self.read += 1
            yield each

    async def run(self, todo):
        await self.runner.run(self.source(todo))
        return self

    def told(self, kind):
        """The events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def answers(self):
        return {each.id: each for each in self.records.answers}

    @property
    def failures(self):
        return {each.id: each.failure for each in self.records.failures}

    @property
    def tally(self):
        return self.runner.tally
