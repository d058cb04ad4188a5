"""What a bad night costs: rate limits, outages, refused keys, sleep and failing attempts."""

import asyncio
import itertools

import pytest
from clock import in_virtual_time, now
from PIL import Image
from rehearsal import Night, Timed, job, jobs

from batch.errors import Denied, RateLimited, Retryable, Unreachable
from batch.events import FellBack, Paused, Woke
from batch.limits.budget import A_SECOND, SAVED, SHARE
from batch.limits.lane import Lane
from batch.retry import RetryPolicy
from batch.routes import Route

HOUR = 3600.0


# Rate limits and outages


@in_virtual_time
async def test_a_rate_limit_costs_no_attempt_and_pauses_everyone():
    class Limiting(Timed):
        async def reply(self, request):
            if len(self.times) == 40:
                raise RateLimited("slow down", "rate_limited", 429, 30.0)
            return await super().reply(request)

    policy = RetryPolicy(retries=0)
    night = await Night(client=Limiting(), retry=policy).run(jobs(100, delay=0.5))
    assert len(night.answers) == 100
    at = night.client.times[39]
    assert night.client.asked(at + 0.001, at + 30) == 0
    assert night.client.asked(at + 30, at + 120) == 101 - night.client.asked(0.0, at + 0.001)
    assert 30 < sum(night.lane.paused().values()) <= 34
    [paused] = night.told(Paused)
    assert paused.reason == "slow down"
    assert max(answer.attempts for answer in night.answers.values()) == 2  # requests, all told


@in_virtual_time
async def test_a_storm_of_rate_limits_just_under_the_longest_outage_fails_nobody():
    storm = RateLimited("slow down", "rate_limited", 429)
    client = Timed((60.0, 60.0 + 1.9 * HOUR), storm)
    night = await Night(client=client, retry=RetryPolicy(retries=0)).run(jobs(2000, delay=1.0))
    assert len(night.answers) == 2000
    assert client.asked(60, 60 + 1.9 * HOUR) < 400


@in_virtual_time
async def test_a_storm_of_rate_limits_ends_the_run_before_it_fails_a_job():
    """Most jobs of the window wait since the start, but the first answer came after 300 s."""
    storm = RateLimited("slow down", "rate_limited", 429)
    client = Timed((3.0, 9 * HOUR), storm)
    night = await Night(client=client).run(jobs(2000, delay=300.0))
    assert night.runner.ended_by.exit_code == 3
    assert night.failures == {}
    assert 2 * HOUR + 300 <= now() < 2.2 * HOUR


@in_virtual_time
async def test_one_job_that_is_always_limited_does_not_keep_the_run_for_ever():
    class Choosy(Timed):
        async def reply(self, request):
            if request.messages[0].text == "huge":
                raise RateLimited("too many tokens", "rate_limited", 429, 5.0)
            return await super().reply(request)

    policy = RetryPolicy(patience=600.0)
    night = await Night(client=Choosy(), retry=policy).run([job("huge"), *jobs(1000, delay=10.0)])
    assert night.failures["huge"].code == "rate_limited"
    assert len(night.answers) == 1000


@pytest.mark.parametrize("start", [0.0, 100.0])
@pytest.mark.parametrize("code", ["connection", "server_error", "timeout"])
@in_virtual_time
async def test_an_outage_of_twenty_minutes_fails_nobody_and_is_probed_seldom(code, start):
    away = Timed((start, start + 1200), Retryable("nobody is there", code))
    night = await Night(concurrency=16, client=away).run(jobs(4000, delay=1.0))
    assert len(night.answers) == 4000
    assert night.failures == {}
    assert night.runner.ended_by is None
    assert away.asked(start, start + 1200) < 16 + 8 * 5 + 20
    assert away.asked(start + 300, start + 1200) < 12
    assert now() < start + 1200 + 4000 / 16 + 180


@in_virtual_time
async def test_a_single_job_outlasts_an_outage_of_twenty_minutes():
    away = Timed((0.0, 1200.0), Unreachable("nobody is there", "connection"))
    night = await Night(client=away).run(jobs(1))
    assert night.runner.tally.answered == 1
    assert night.runner.tally.failed == 0


@in_virtual_time
async def test_an_outage_in_which_requests_hang_fails_nobody():
    class Hanging(Timed):
        async def reply(self, request):
            if 60 <= now() < 1260:
                await asyncio.sleep(120)
                raise Retryable("no whole reply within 120 s", "timeout")
            return await super().reply(request)

    night = await Night(client=Hanging()).run(jobs(1000, delay=1.0))
    assert len(night.answers) == 1000
    assert night.client.asked(60, 1260) < 8 + 20


@in_virtual_time
async def test_an_outage_longer_than_the_run_waits_ends_it_with_3_and_leaves_the_jobs():
    night = await Night(client=Timed((60.0, 9 * HOUR)), max_outage=600.0).run(jobs(1000, delay=1.0))
    assert night.runner.ended_by.exit_code == 3
    assert night.runner.stopping.startswith("no answer for 1")
    assert night.runner.stopping.endswith("min: nobody is there")
    assert night.failures == {}
    assert 660 <= now() < 800
    assert 0 < len(night.answers) < 1000


@in_virtual_time
async def test_without_patience_the_first_rate_limit_ends_the_run():
    night = await Night(max_outage=0.0).run(jobs(50, failures=["rate_limited"]))
    assert night.runner.ended_by.exit_code == 3
    assert len(night.client.times) == 1


@pytest.mark.parametrize("code", ["rate_limited", "server_error"])
@in_virtual_time
async def test_a_wait_beyond_the_longest_outage_ends_the_run_with_the_time_to_come_back(code):
    kind = RateLimited if code == "rate_limited" else Retryable
    error = kind("come back tomorrow", code, 503, 20 * HOUR)
    night = await Night(client=Timed((5.0, 90 * HOUR), error)).run(jobs(100, delay=1.0))
    assert night.runner.ended_by.exit_code == 3
    assert night.runner.stopping.startswith("the provider asks to wait until 2")
    assert night.runner.stopping.endswith(": come back tomorrow")
    assert night.failures == {}
    assert now() < 30
    assert sum(night.lane.paused().values()) < 30


@in_virtual_time
async def test_an_outage_gives_back_the_attempts_that_were_spent_before_it_was_known():
    """Each job had one error before the breaker opened, and may have one more afterwards."""
    away = Timed((0.0, 600.0))
    policy = RetryPolicy(retries=1)
    todo = jobs(30, delay=1.0, failures=["server_error"])
    night = await Night(client=away, retry=policy).run(todo)
    assert night.failures == {}
    assert len(night.answers) == 30


@in_virtual_time
async def test_an_outage_long_ago_gives_nothing_to_later_jobs():
    away = Timed((0.0, 600.0))
    todo = [*jobs(40, delay=1.0), job("late", failures=["bad_response"] * 9)]
    night = await Night(client=away, retry=RetryPolicy(retries=2)).run(todo)
    assert night.failures["late"].attempts == 3


@in_virtual_time
async def test_an_earlier_outage_spends_nothing_of_a_jobs_patience():
    """The first passing error after a long absence is tried again as any other."""
    away = Timed((0.0, 6000.0))
    policy = RetryPolicy(patience=5000.0)
    todo = [job("early"), *jobs(100, delay=1.0, failures=["bad_response"])]
    night = await Night(client=away, retry=policy, max_outage=6500.0).run(todo)
    assert len(night.answers) == 101
    assert night.failures == {}


@pytest.mark.parametrize(("at", "least", "staggered"), [(1.4, 6, 30.0), (10.0, 32, 1.0)])
@in_virtual_time
async def test_workers_that_are_told_to_wait_come_back_one_by_one(at, least, staggered):
    """Whether the refusal teaches the lane a pace, or is one among many answers."""
    limited = RateLimited("slow down", "rate_limited", 429, 5.0)
    client = Timed((at, at + 0.5), limited, takes=0.02)
    night = await Night(concurrency=32, client=client).run(jobs(1000, delay=0.3))
    refused = [each for each in client.times if at <= each < at + 0.5]
    back = [each for each in client.times if each > refused[-1]]
    assert len(refused) >= least
    assert back[0] >= refused[0] + 0.02 + 5.0
    assert all(b > a for a, b in itertools.pairwise(back) if b < back[0] + staggered)
    assert len(night.answers) == 1000


# Keys


@pytest.mark.parametrize("concurrency", [1, 8, 128])
@pytest.mark.parametrize(
    ("failure", "words"), [("halt", "the script says halt"), ("denied", "the script says denied")]
)
@in_virtual_time
async def test_a_wrong_key_costs_at_most_three_requests(failure, words, concurrency):
    night = await Night(concurrency=concurrency).run(jobs(999, delay=0.3, failures=[failure] * 9))
    assert len(night.client.times) <= 3
    assert night.runner.ended_by.exit_code == 4
    assert night.runner.stopping == words
    assert (night.answers, night.failures) == ({}, {})


@pytest.mark.parametrize("concurrency", [1, 8, 128])
@in_virtual_time
async def test_a_key_that_is_refused_once_and_then_accepted_costs_nothing_but_a_pause(concurrency):
    client = Timed((20.0, 20.5), Denied("who are you?", 401))
    policy = RetryPolicy(retries=0)
    night = Night(concurrency=concurrency, client=client, retry=policy)
    await night.run(jobs(50 * concurrency, delay=1.0))
    assert len(night.answers) == 50 * concurrency
    assert (night.failures, night.runner.ended_by) == ({}, None)
    assert set(night.lane.paused()) == {"refused key"}
    assert now() < 50 + 20


@in_virtual_time
async def test_a_key_that_is_taken_back_in_the_middle_fails_no_job():
    client = Timed((20.0, 1e9), Denied("who are you?", 401))
    night = await Night(client=client).run(jobs(500, delay=1.0))
    assert night.runner.ended_by.exit_code == 4
    assert client.asked(20.0, 1e9) <= 8 + 1
    assert len(night.answers) == client.asked(0.0, 20.0)
    assert night.failures == {}


@in_virtual_time
async def test_one_job_that_is_refused_again_and_again_is_the_only_one_that_fails():
    """Gemini answers 403 to some requests among many."""
    more = [job(f"late-{n}", delay=1.0) for n in range(50)]
    odd = job("odd", failures=["denied"] * 9)
    night = await Night().run([*jobs(50, delay=1.0), odd, *more])
    assert list(night.failures) == ["odd"]
    failure = night.failures["odd"]
    assert (failure.code, failure.http_status, failure.attempts) == ("rejected", 401, 3)
    assert len(night.answers) == 100


# The time of a job


class Slow(Timed):
    """Ends every attempt of the job `late` in an error after so many seconds."""

    def __init__(self, error, takes):
        super().__init__()
        self._late, self._takes = error, takes

    async def reply(self, request):
        if request.messages[0].text == "late":
            await asyncio.sleep(self._takes)
            raise self._late
        return await super().reply(request)


@in_virtual_time
async def test_a_job_is_worked_on_for_no_longer_than_its_timeout():
    """Two attempts and two short waits take less than 25 s, three attempts take more."""
    client = Slow(Retryable("no", "bad_response"), 10.0)
    policy = RetryPolicy(retries=99, job_timeout=25.0)
    night = await Night(client=client, retry=policy).run([job("late"), *jobs(50, delay=1.0)])
    failure = night.failures["late"]
    assert (failure.code, failure.attempts, failure.retryable) == ("bad_response", 3, True)
    assert len(night.answers) == 50


@in_virtual_time
async def test_the_waits_between_attempts_count():
    client = Slow(Retryable("no", "server_error", 500, 100.0), 1.0)
    policy = RetryPolicy(retries=99, job_timeout=150.0)
    night = await Night(client=client, retry=policy).run([job("late")])
    assert night.failures["late"].attempts == 2
    assert 100 < now() < 130


@in_virtual_time
async def test_the_pauses_of_the_lane_and_the_wait_for_a_place_do_not_count():
    limits = ["rate_limited"] * 5
    todo = [job("late", failures=limits, retry_after=100.0), *jobs(40, delay=5.0)]
    night = await Night(concurrency=1, retry=RetryPolicy(job_timeout=10.0)).run(todo)
    assert night.failures == {}
    assert night.answers["late"].attempts == 6
    assert now() > 500


@in_virtual_time
async def test_a_job_that_keeps_being_limited_has_a_timeout_too():
    client = Slow(RateLimited("too large", "rate_limited", 429, 1.0), 10.0)
    policy = RetryPolicy(job_timeout=25.0)
    night = await Night(client=client, retry=policy).run([*jobs(300, delay=5.0), job("late")])
    failure = night.failures["late"]
    assert (failure.code, failure.attempts) == ("rate_limited", 3)
    assert len(night.answers) == 300


# Retries


class Asked(Timed):
    """Knows which of its requests were repeats."""

    def repeats(self, until):
        seen, count = set(), 0
        for at, request in zip(self.times, self.requests, strict=True):
            name = request.messages[0].text
            count += name in seen and at < until
            seen.add(name)
        return count

    @property
    def last_first(self):
        """When the last job was asked for the first time."""
        first = {}
        for at, request in zip(self.times, self.requests, strict=True):
            first.setdefault(request.messages[0].text, at)
        return max(first.values())


@in_virtual_time
async def test_while_every_job_fails_once_retries_are_a_tenth_of_the_traffic():
    night = Night(client=Asked(), retry=RetryPolicy(first_wait=0.1))
    await night.run(jobs(1000, delay=0.1, failures=["bad_response"]))
    until = night.client.last_first
    allowed = SAVED + SHARE * 1000 + A_SECOND * until
    assert allowed / 2 < night.client.repeats(until) <= allowed + 1
    assert len(night.answers) == 1000
    assert night.client.repeats(1e9) == 1000


@in_virtual_time
async def test_a_short_run_waits_for_no_retry():
    night = Night(retry=RetryPolicy(first_wait=0.1))
    await night.run(jobs(20, delay=0.1, failures=["bad_response"] * 4))
    assert len(night.answers) == 20
    assert now() < 10


@in_virtual_time
async def test_a_rate_limit_takes_nothing_of_the_retry_budget():
    limited = jobs(3, failures=["rate_limited"], retry_after=0.0)
    night = await Night(concurrency=1, window=1).run(limited)
    assert len(night.answers) == 3
    assert f"{SAVED:.1f} of" in repr(night.lane.retries)


@in_virtual_time
async def test_jobs_that_wait_for_their_retry_hold_up_nobody():
    """Far more than the window fail, and the others go by."""
    todo = [*jobs(300, delay=0.1, failures=["bad_response"]), *(job(f"x{n}") for n in range(300))]
    client = Asked()
    night = Night(client=client, window=24, retry=RetryPolicy(first_wait=0.1))
    await night.run(todo)
    assert len(night.answers) == 600
    assert client.last_first < 20


@in_virtual_time
async def test_jobs_with_pictures_that_wait_for_their_retry_hold_up_nobody_either(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    pictured = {"images": ["a.png"], "root": str(tmp_path), "delay": 0.1}
    failing = [job(f"f{n}", **pictured, failures=["bad_response"]) for n in range(100)]
    client = Asked()
    night = Night(client=client, window=24, retry=RetryPolicy(first_wait=0.1))
    await night.run([*failing, *(job(f"x{n}", **pictured) for n in range(100))])
    assert len(night.answers) == 200
    assert client.last_first < 20


# Sleep


class Wired(Timed):
    """A client of a machine that sleeps: what is in flight then never ends until it is dropped."""

    def __init__(self):
        super().__init__()
        self.slept = 0.0
        self.drops = []
        self.ends = set()
        self._lost = set()

    def wall(self):
        return now() + self.slept

    def sleep(self, seconds):
        self.slept += seconds
        self._lost |= self.ends

    async def reply(self, request):
        end = asyncio.get_running_loop().create_future()
        self.ends.add(end)
        try:
            await asyncio.wait([end], timeout=1.0)
            if end in self._lost:
                await end
            if end.done():
                raise Retryable("the connection was dropped", "connection")
            return await super().reply(request)
        finally:
            self.ends.discard(end)

    async def drop(self):
        self.drops.append(now())
        for end in self.ends:
            end.set_result(None)


async def ticks(night):
    """What a session does while a run goes on."""
    while True:
        await night.runner.tick()
        await asyncio.sleep(0.25)


async def asleep(night, todo, at, seconds):
    """A run on a machine that falls asleep at a moment."""
    ticking = asyncio.create_task(ticks(night))
    run = asyncio.create_task(night.run(todo))
    await asyncio.sleep(at)
    if seconds:
        night.client.sleep(seconds)
    await run
    ticking.cancel()


@in_virtual_time
async def test_a_laptop_that_slept_drops_its_connections_once_and_no_job_loses_an_attempt():
    client = Wired()
    night = Night(client=client, wall=client.wall, retry=RetryPolicy(retries=0))
    await asleep(night, jobs(200), 10.1, 8 * HOUR)
    assert len(night.answers) == 200
    assert night.failures == {}
    assert client.drops == [pytest.approx(10.1, abs=0.26)]
    assert sorted({each.attempts for each in night.answers.values()}) == [1, 2]
    assert night.told(Woke) == [Woke(8 * HOUR)]
    assert (night.told(Paused), night.lane.breaker.openings, night.lane.paused()) == ([], 0, {})


@in_virtual_time
async def test_a_machine_that_is_awake_drops_nothing():
    client = Wired()
    night = Night(client=client, wall=client.wall)
    await asleep(night, jobs(100), 10.1, 0.0)
    assert client.drops == []


@in_virtual_time
async def test_an_error_that_tells_of_the_sleep_first_costs_nobody_an_attempt():
    """All that went out on old connections is forgiven, also what went out before the tick."""
    client = Wired()
    night = Night(client=client, wall=client.wall, retry=RetryPolicy(retries=0))
    run = asyncio.create_task(night.run(jobs(200)))
    await asyncio.sleep(10.1)
    client.sleep(HOUR)
    next(iter(client.ends)).set_result(None)
    await asyncio.sleep(0.2)
    await night.runner.tick()
    await run
    assert len(night.answers) == 200
    assert night.failures == {}
    assert len(client.drops) == 1


@in_virtual_time
async def test_connections_of_every_provider_of_the_run_are_dropped():
    client, other = Wired(), Wired()
    lane = Lane(8, None, asyncio.get_running_loop().time, asyncio.sleep)
    night = Night(client=client, wall=client.wall, fallbacks=[Route("other", other, lane)])
    await asleep(night, jobs(100), 5.1, HOUR)
    assert client.drops == other.drops != []
    assert night.told(FellBack) == []
