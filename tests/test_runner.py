"""The run: what comes of each kind of job, what a bad night costs, and how a run ends."""

import asyncio
import gc
import io
import json
import tracemalloc

import pytest
from clock import in_virtual_time, now
from msgspec.structs import replace
from PIL import Image
from rehearsal import Night, Pages, Timed, job, jobs

from batch.events import Retrying
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
    assert [event.attempt for event in night.told(Retrying)] == [1, 2, 3]
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
