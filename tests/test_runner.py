"""The run: what comes of each kind of job, what a bad night costs, and how a run ends."""

import asyncio
import gc
import io
import json
import tracemalloc

import pytest
from clock import in_virtual_time, now, turns
from msgspec.structs import replace
from PIL import Image
from rehearsal import Night, Pages, Timed, job, jobs

from batch.errors import Halt, OutputError, RateLimited, Retryable, Unreachable
from batch.events import Paused, Retrying, Stopping
from batch.keys import job_key
from batch.loader import THREADS, has_images
from batch.models import Price, Reply, Usage
from batch.refusals import SAME_REFUSALS
from batch.results.records import encode_line
from batch.retry import RetryPolicy

HOUR = 3600.0


@pytest.fixture
def picture(tmp_path):
    """The bytes of a picture that goes out as it is."""
    file = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(file, "PNG")
    for n in range(40):
        (tmp_path / f"{n}.png").write_bytes(file.getvalue())
    return file.getvalue()


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


# What comes of a job


@in_virtual_time
async def test_an_answered_job_becomes_a_result_with_every_fact():
    asked = job("what is a tide?", delay=1.5, reply="the sea, breathing")
    night = await Night(price=Price(2.0, 4.0)).run([asked])
    result = night.answers["what is a tide?"]
    assert result.status == "ok"
    assert result.output == "the sea, breathing"
    assert (result.provider, result.model, result.source) == ("fake", "fake-1", "model")
    assert (result.finish_reason, result.attempts, result.latency_s) == ("stop", 1, 1.5)
    assert (result.input_tokens, result.output_tokens) == (3, 4)
    assert result.cost_usd == pytest.approx((3 * 2 + 4 * 4) / 1e6)
    assert result.key == job_key(asked, "fake", "fake-1", ())
    assert result.media == ()
    assert result.run_id == "run-1"
    assert result.started_at <= result.finished_at
    assert result.started_at.endswith("Z")
    assert night.tally.answered == 1
    assert night.tally.cost == pytest.approx(result.cost_usd)
    assert night.runner.in_flight == {}


@in_virtual_time
async def test_meta_and_json_stand_in_a_result_only_when_they_are_due():
    schema = {"type": "object"}
    todo = [
        job("plain"),
        job("meta", meta={"album": 3}),
        job("json", schema=schema, reply='{"a": [1, NaN]}'),
        job("no json", schema=schema, reply="well, it is a cat"),
    ]
    night = await Night().run(todo)
    answers = night.answers
    assert "meta" not in dir_of(answers["plain"])
    assert "json" not in dir_of(answers["plain"])
    assert answers["meta"].meta == {"album": 3}
    assert answers["json"].json == {"a": [1, None]}
    assert answers["no json"].json is None
    assert answers["no json"].output == "well, it is a cat"


def dir_of(result):
    """The keys of a line of the results file."""
    return list(json.loads(encode_line(result)))


@in_virtual_time
async def test_without_a_price_or_token_counts_there_is_no_cost():
    class Silent(Timed):
        async def reply(self, request):
            return Reply("yes", usage=Usage(None, None))

    unpriced = await Night().run([job("a")])
    assert unpriced.answers["a"].cost_usd is None
    silent = await Night(client=Silent(), price=Price(1, 1)).run([job("a")])
    assert silent.answers["a"].cost_usd is None
    assert silent.tally.unknown_usage == 1


@in_virtual_time
async def test_passing_trouble_is_tried_again_and_every_attempt_is_numbered():
    trouble = ["server_error", "timeout", "connection"]
    night = await Night().run([job("a", failures=trouble)])
    assert night.answers["a"].attempts == 4
    assert night.tally.retries == 3
    assert [event.attempt for event in of_kind(night.events, Retrying)] == [1, 2, 3]
    assert night.failures == {}


@in_virtual_time
async def test_a_job_whose_attempts_are_spent_fails_as_retryable():
    night = await Night(retry=RetryPolicy(retries=2)).run([job("a", failures=["server_error"] * 9)])
    failure = night.failures["a"]
    assert (failure.code, failure.attempts, failure.retryable) == ("server_error", 3, True)
    assert night.tally.failures == {"server_error": 1}
    assert night.tally.retries == 2


@in_virtual_time
async def test_a_refusal_is_not_asked_again():
    night = await Night().run([job("a"), job("b", failures=["refused"] * 9)])
    failure = night.failures["b"]
    assert (failure.code, failure.attempts, failure.retryable) == ("refused", 1, False)
    assert failure.http_status == 400
    assert failure.key == job_key(job("b", failures=["refused"] * 9), "fake", "fake-1", ())
    assert night.records.failures[0].line()["prompt"] == "b"
    assert list(night.answers) == ["a"]


@in_virtual_time
async def test_an_empty_answer_is_asked_again_and_ends_as_empty_output():
    night = await Night().run([job("a", reply=" \n")])
    assert night.failures["a"].code == "empty_output"
    assert night.failures["a"].attempts == 5
    assert night.failures["a"].retryable


@in_virtual_time
async def test_an_answer_that_was_empty_only_once_is_an_answer():
    class Mumbling(Timed):
        async def reply(self, request):
            return Reply("" if len(self.times) == 1 else "pardon, a cat")

    night = await Night(client=Mumbling()).run([job("a")])
    assert night.answers["a"].output == "pardon, a cat"
    assert night.answers["a"].attempts == 2


@in_virtual_time
async def test_the_latency_is_that_of_the_last_attempt():
    class Hastening(Timed):
        async def reply(self, request):
            await asyncio.sleep(10.0 / len(self.times))
            return await super().reply(request)

    policy = RetryPolicy(first_wait=500.0, longest_wait=500.0)
    night = await Night(client=Hastening(), retry=policy).run([job("a", failures=["timeout"])])
    assert night.answers["a"].latency_s == 5.0
    assert now() >= 15.0


@in_virtual_time
async def test_an_image_that_cannot_be_loaded_fails_its_job_without_a_request(tmp_path):
    (tmp_path / "note.png").write_text("not a picture")
    todo = [
        job("gone", images=["gone.png"], root=str(tmp_path)),
        job("note", images=["note.png"], root=str(tmp_path)),
        job("away", images=["../else.png"], root=str(tmp_path)),
        job("fine"),
    ]
    night = await Night().run(todo)
    codes = {name: failure.code for name, failure in night.failures.items()}
    assert codes == {"gone": "image_unreadable", "note": "image_invalid", "away": "not_allowed"}
    assert {failure.attempts for failure in night.failures.values()} == {0}
    assert list(night.answers) == ["fine"]
    assert len(night.client.requests) == 1


@in_virtual_time
async def test_an_image_is_sent_recorded_and_let_go(tmp_path, picture):
    night = await Night().run([job("a", images=["3.png"], root=str(tmp_path))])
    media = night.answers["a"].media
    assert [each.path for each in media] == ["3.png"]
    assert media[0].bytes == len(picture)
    assert [image.data for image in night.client.requests[0].images()] == [picture]
    assert repr(night.runner.loader.held) == f"Held(bytes=0, cap={256 << 20})"


@in_virtual_time
async def test_a_bug_met_in_one_job_is_recorded_as_internal_and_the_run_goes_on(caplog):
    class Buggy(Timed):
        async def reply(self, request):
            if request.messages[0].text == "job-3":
                raise KeyError("choices")
            return await super().reply(request)

    night = await Night(client=Buggy()).run(jobs(6))
    assert night.failures["job-3"].code == "internal"
    assert night.failures["job-3"].message == "KeyError: 'choices'"
    assert len(night.answers) == 5
    assert night.runner.ended_by is None
    assert "a bug of ours in job job-3" in caplog.text


@in_virtual_time
async def test_a_bug_that_every_job_meets_ends_the_run_as_a_bug(caplog):
    class Broken(Timed):
        async def reply(self, request):
            raise KeyError("choices")

    night = await Night(client=Broken()).run(jobs(100))
    assert night.runner.ended_by.exit_code == 70
    assert len(night.client.times) == SAME_REFUSALS
    assert night.failures == {}


def test_a_body_is_looked_through_for_pictures_before_it_is_loaded_in_the_loop():
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    plain = job("a")
    assert not has_images(plain)

    def body(content):
        return replace(plain, messages=(), body={"messages": [{"content": content}]})

    assert not has_images(body("text"))
    assert has_images(body([part]))


# Bounds


@in_virtual_time
async def test_a_job_in_backoff_holds_no_slot():
    """400 jobs of 0.2 s, 8 at once, take 10 s; 20 of them wait up to half a minute in between."""
    ended = []

    class Noting(Pages):
        def append(self, result):
            super().append(result)
            ended.append(now())

    todo = jobs(400, delay=0.2)
    for at in range(0, 400, 20):
        todo[at] = job(f"late-{at}", delay=0.2, failures=["server_error"])
    policy = RetryPolicy(first_wait=30.0)
    night = await Night(records=Noting(), window=64, retry=policy).run(todo)
    assert len(night.answers) == 400
    assert ended[379] < 11.5
    assert night.client.peak == 8


@in_virtual_time
async def test_the_window_bounds_what_is_read_and_asked():
    night = Night(concurrency=4, window=10)
    run = asyncio.create_task(night.run(jobs(1000, delay=HOUR)))
    await asyncio.sleep(HOUR * 3.5)
    done = len(night.answers)
    assert done > 0
    assert night.read <= done + 10 + 1
    assert night.client.peak <= 4
    night.runner.stop("enough")
    await run
    assert night.read <= done + 15


@in_virtual_time
async def test_the_window_moves_on_although_it_is_full_of_waiting_jobs():
    """No deadlock: every job of the window waits for something that comes."""
    todo = jobs(60, failures=["server_error", "rate_limited", "timeout"])
    night = await Night(concurrency=2, window=3).run(todo)
    assert len(night.answers) == 60


@in_virtual_time
async def test_images_are_not_loaded_ahead_beyond_the_cap_on_their_bytes(tmp_path, picture):
    size = len(picture)
    seen = []

    class Weighing(Timed):
        async def reply(self, request):
            seen.append(night.runner.loader.held.bytes)
            return await super().reply(request)

    todo = [
        job(f"{n}", images=[f"{n}.png"], root=str(tmp_path), delay=1.0, failures=["timeout"])
        for n in range(40)
    ]
    night = Night(client=Weighing(), window=40, held_bytes=size * 3)
    await night.run(todo)
    assert len(night.answers) == 40
    assert max(seen) <= size * (3 + THREADS - 1)
    assert night.runner.loader.held.bytes == 0


@in_virtual_time
async def test_ten_thousand_jobs_leave_no_task_and_no_memory():
    class Forgetful(Pages):
        def append(self, result):
            pass

    async def busy(count):
        night = Night(concurrency=32, records=Forgetful(), client=Timed())
        night.client.times = night.client.requests = _Nowhere()
        await night.run(job(f"{n}", delay=0.01) for n in range(count))
        assert night.tally.answered == count
        return night

    await busy(1000)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    night = await busy(10_000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 200_000
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert night.runner.in_flight == {}
    assert "held=0, waiting=0" in repr(night.lane)


class _Nowhere:
    def append(self, _):
        pass


# Refusals


@in_virtual_time
async def test_nine_refusals_before_an_answer_were_the_jobs_own():
    todo = [job(f"bad-{n}", failures=["rejected"]) for n in range(SAME_REFUSALS - 1)]
    night = await Night().run([*todo, job("good")])
    assert set(night.failures) == {each.id for each in todo}
    assert list(night.answers) == ["good"]
    assert night.tally.failures == {"rejected": 9}
    assert night.runner.ended_by is None


@in_virtual_time
async def test_ten_refusals_of_one_kind_and_no_answer_end_the_run_and_fail_no_job():
    night = await Night(concurrency=64).run(jobs(500, failures=["rejected"] * 9))
    assert isinstance(night.runner.ended_by, Halt)
    assert night.runner.ended_by.exit_code == 4
    assert night.runner.stopping == "every request is refused the same way: scripted"
    assert night.failures == {}
    assert night.answers == {}
    assert night.tally.failed == 0
    assert len(night.client.times) == SAME_REFUSALS


@in_virtual_time
async def test_a_short_file_of_refusals_ends_with_failed_lines():
    night = await Night().run(jobs(4, failures=["rejected"] * 9))
    assert len(night.failures) == 4
    assert night.tally.failed == 4
    assert night.runner.ended_by is None


@in_virtual_time
async def test_refusals_of_two_kinds_are_counted_apart():
    todo = [job(f"{n}", failures=["rejected" if n % 2 else "refused"]) for n in range(18)]
    night = await Night().run([*todo, job("good")])
    assert len(night.failures) == 18
    assert len(night.answers) == 1


@in_virtual_time
async def test_after_an_answer_any_number_of_refusals_are_the_jobs_own():
    night = await Night(concurrency=1).run([job("good"), *jobs(30, failures=["rejected"])])
    assert len(night.failures) == 30
    assert night.runner.ended_by is None


@in_virtual_time
async def test_refusals_that_were_kept_back_are_recorded_when_the_run_is_interrupted():
    night = Night(concurrency=1)
    run = asyncio.create_task(night.run(jobs(50, failures=["rejected"], delay=1.0)))
    await asyncio.sleep(4.5)
    night.runner.stop("interrupted by SIGINT")
    await run
    assert len(night.failures) == 5
    assert night.tally.failed == 5


@in_virtual_time
async def test_refusals_that_were_kept_back_are_left_when_the_key_turns_out_to_be_wrong():
    todo = [*jobs(5, failures=["rejected"]), *(job(f"k{n}", failures=["halt"]) for n in range(9))]
    night = await Night(concurrency=1).run(todo)
    assert night.runner.ended_by.exit_code == 4
    assert night.failures == {}


@pytest.mark.parametrize("concurrency", [1, 8, 256])
@in_virtual_time
async def test_a_wrong_key_costs_at_most_three_requests(concurrency):
    night = await Night(concurrency=concurrency).run(jobs(1000, delay=0.3, failures=["halt"] * 9))
    assert len(night.client.times) <= 3
    assert night.runner.ended_by.exit_code == 4
    assert night.runner.stopping == "the script says halt"
    assert (night.answers, night.failures) == ({}, {})


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
    assert night.client.asked(at + 30, at + 120) == 61
    assert 30 < sum(night.lane.paused().values()) <= 34
    [paused] = of_kind(night.events, Paused)
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


# How a run ends


async def under_way(night, todo, seconds):
    """Start a run and let so many seconds go by."""
    run = asyncio.create_task(night.run(todo))
    await asyncio.sleep(seconds)
    return run


@in_virtual_time
async def test_stop_leaves_what_waits_and_finishes_what_is_in_flight():
    night = Night(concurrency=4)
    run = await under_way(night, jobs(100, delay=2.0), 7.0)
    in_flight = len(night.runner.in_flight)
    done = len(night.answers)
    assert in_flight == 4
    night.runner.stop("interrupted by SIGINT")
    night.runner.stop("interrupted by SIGTERM")
    await run
    assert len(night.answers) == done + in_flight == night.tally.answered
    assert night.failures == {}
    assert night.runner.stopping == "interrupted by SIGINT"
    assert night.runner.ended_by is None
    assert of_kind(night.events, Stopping) == [Stopping("interrupted by SIGINT", in_flight)]
    assert len(night.client.times) == done + in_flight
    assert now() <= 9.0


@in_virtual_time
async def test_a_stopping_run_waits_for_no_backoff_and_tells_of_no_retry():
    night = Night(concurrency=2, retry=RetryPolicy(first_wait=HOUR, longest_wait=HOUR))
    todo = [job("late", failures=["timeout"]), job("flying", delay=5.0, failures=["timeout"])]
    run = await under_way(night, todo, 1.0)
    night.runner.stop("enough")
    await run
    assert now() <= 5.0
    assert (night.answers, night.failures) == ({}, {})
    assert [event.job_id for event in of_kind(night.events, Retrying)] == ["late"]
    assert night.tally.retries == 1
    assert night.runner.in_flight == {}


@in_virtual_time
async def test_a_stopping_run_waits_for_no_pause_and_no_moment():
    night = Night(rpm=1)
    run = await under_way(night, jobs(20), 90.0)
    night.lane.limited(HOUR)
    night.runner.stop("enough")
    await run
    assert now() == 90.0
    assert repr(night.lane.concurrency).endswith("held=0, waiting=0)")


@in_virtual_time
async def test_stop_loses_no_answer_that_came_and_is_not_saved_yet():
    night = Night(concurrency=4, records=Pages(saving=3.0))
    run = await under_way(night, jobs(50, delay=1.0), 2.0)
    assert len(night.records.answers) > night.tally.answered
    night.runner.stop("enough")
    await run
    assert len(night.records.answers) == night.tally.answered > 0


@in_virtual_time
async def test_abandon_drops_what_is_in_flight_and_saves_what_came():
    night = Night(concurrency=2, records=Pages(saving=2.0))
    run = await under_way(night, [job("quick", delay=1.0), *jobs(20, delay=HOUR)], 2.0)
    night.runner.stop("interrupted by SIGINT")
    night.runner.abandon()
    await run
    assert now() == 3.0
    assert list(night.answers) == ["quick"]
    assert night.tally.answered == 1
    assert night.failures == {}


@in_virtual_time
async def test_abandon_alone_starts_no_other_job():
    night = Night(concurrency=2)
    run = await under_way(night, jobs(100, delay=HOUR), 1.0)
    asked = len(night.client.times)
    night.runner.abandon()
    await run
    assert len(night.client.times) == asked
    assert now() == 1.0


@in_virtual_time
async def test_a_job_that_was_stopped_counts_nowhere():
    night = Night(concurrency=4)
    run = await under_way(night, jobs(40, delay=1.0), 3.5)
    night.runner.stop("enough")
    await turns()
    night.runner.abandon()
    await run
    assert night.tally.answered == len(night.records.answers)
    assert night.tally.failed == len(night.records.failures) == 0
    assert repr(night.lane.concurrency).endswith("held=0, waiting=0)")


@in_virtual_time
async def test_a_journal_that_cannot_write_stops_the_run_with_74():
    class Full(Pages):
        def append(self, result):
            if len(self.answers) == 20:
                raise OutputError("cannot write night.results.jsonl: No space left on device")
            super().append(result)

    night = await Night(records=Full(), concurrency=4).run(jobs(500, delay=1.0))
    assert night.runner.ended_by.exit_code == 74
    assert night.tally.answered == len(night.records.answers) == 20
    assert night.runner.stopping == "cannot write night.results.jsonl: No space left on device"
    assert len(night.client.times) <= 24
    [stopping] = of_kind(night.events, Stopping)
    assert stopping.in_flight == len(night.client.times) - 21


@in_virtual_time
async def test_an_answer_that_cannot_be_saved_is_told_also_when_the_run_is_stopping():
    class Full(Pages):
        def append(self, result):
            raise OutputError("the disk is full")

    night = Night(records=Full(), concurrency=1)
    run = await under_way(night, jobs(50, delay=5.0), 1.0)
    night.runner.stop("interrupted by SIGINT")
    await run
    assert night.runner.ended_by.exit_code == 74
    assert night.runner.stopping == "interrupted by SIGINT; the disk is full"


@in_virtual_time
async def test_a_failure_that_cannot_be_saved_stops_the_run_too():
    class Full(Pages):
        def append_failed(self, failed):
            raise OutputError("the disk is full")

    night = await Night(records=Full(), concurrency=1).run(
        [job("good"), *jobs(50, failures=["rejected"])]
    )
    assert night.runner.ended_by.exit_code == 74
    assert night.tally.failed == 0
    short = await Night(records=Full()).run(jobs(3, failures=["rejected"]))
    assert short.runner.ended_by.exit_code == 74


@in_virtual_time
async def test_when_the_jobs_cannot_be_read_any_further_what_is_in_flight_is_still_saved():
    async def torn():
        for each in jobs(6, delay=4.0):
            yield each
        raise OSError(5, "Input/output error")

    night = Night(concurrency=1)
    await night.runner.run(torn())
    assert night.runner.ended_by.exit_code == 70
    assert "cannot be read any further" in night.runner.stopping
    assert 0 < len(night.answers) == len(night.client.times) < 6


@in_virtual_time
async def test_an_observer_that_fails_does_no_harm():
    told = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def broken(event):
        raise ZeroDivisionError(type(event).__name__)

    night = Night(observer=broken)
    todo = [job("a", failures=["rate_limited", "timeout"]), *jobs(20, delay=0.1)]
    run = await under_way(night, [*todo, job("endless", delay=HOUR)], 200.0)
    night.runner.stop("enough")
    night.runner.abandon()
    await run
    assert len(night.answers) == 21
    assert night.failures == {}
    assert {str(error) for error in told} == {"Retrying", "Paused", "Stopping"}


@in_virtual_time
async def test_a_refusal_met_in_process_is_always_the_jobs_own():
    night = await Night(in_process=True).run(jobs(50, failures=["unsupported"] * 9))
    assert len(night.failures) == 50
    assert night.runner.ended_by is None


@in_virtual_time
async def test_a_run_of_nothing_ends_at_once():
    night = await Night().run([])
    assert night.tally.answered == 0
    assert night.runner.stopping == ""
    assert night.runner.ended_by is None
