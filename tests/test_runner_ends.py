"""How a run ends: refused from the start, stopped, abandoned, or without a disk."""

import asyncio

from clock import in_virtual_time, now, turns
from rehearsal import Night, Pages, job, jobs

from batch.errors import Halt, OutputError
from batch.events import Retrying, Stopping
from batch.refusals import SAME_REFUSALS
from batch.retry import RetryPolicy

HOUR = 3600.0


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
    assert night.told(Stopping) == [Stopping("interrupted by SIGINT", in_flight)]
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
    assert [event.job_id for event in night.told(Retrying)] == ["late"]
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
    [stopping] = night.told(Stopping)
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
    assert night.runner.ended_by.exit_code == 74
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
