"""Several runs on one output: one works, the others leave within a second and change nothing."""

import resource
import time
from contextlib import ExitStack

import pytest
from night import ATTEMPTS
from oracle import parsed, recorded
from server import Hold

TAKEN = 75


def cpu_of_children():
    """Seconds of processor that ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_losers(running):
    """The one run that goes on, and what all others ended with, once they have."""
    ended, over = [], time.monotonic() + 30
    while len(running) > 1:
        assert time.monotonic() < over, "they all work"
        for process in [each for each in running if each.poll() is not None]:
            running.remove(process)
            ended.append((process.returncode, process.stderr.read()))
        time.sleep(0.002)
    return running[0], ended


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runners", [2, 5])
def test_of_several_runs_started_at_once_one_works_and_the_others_change_nothing(
    night, many, count, runners
):
    times = []
    for _ in range(many(3, 20)):
        made = night(12, faults=lambda request: Hold())
        with ExitStack() as stack:
            used = cpu_of_children()
            running = [stack.enter_context(made.start()) for _ in range(runners)]
            made.server.wait_for(1, 30)  # starting takes all of them as long
            start = time.monotonic()
            winner, losers = wait_for_losers(running)
            times.append(time.monotonic() - start)
            assert cpu_of_children() - used < runners - 1  # a second each, however busy it is here
            assert [code for code, _ in losers] == [TAKEN] * (runners - 1)
            assert all(f"pid {winner.pid} on " in messages for _, messages in losers)
            files = made.bytes()
            code, _, requests = made.run()  # one that comes later
            assert (code, requests) == (TAKEN, 0)
            assert made.bytes() == files
            assert made.run("--if-locked", "skip")[::2] == (0, 0)
            assert made.bytes() == files
            made.server.faults = None
            made.server.release()
            _, messages = winner.communicate(timeout=50)
            assert winner.returncode == 0, messages
        assert made.judge()
        assert made.server.arrived == 12
        count(cases=runners)
    assert min(times) < 1


def test_two_outputs_of_one_source_may_be_written_at_once(night, count):
    made = night(12, faults=lambda request: Hold() if request.number <= 2 else None)
    other = made.folder / "other.results.jsonl"
    with made.start() as first, made.start("-o", other) as second:
        made.server.wait_for(2, 30)  # both are at work
        made.server.wait_until(lambda: len(made.server.held) == 2, 30)
        made.server.release()
        for process in (first, second):
            _, messages = process.communicate(timeout=50)
            assert process.returncode == 0, messages
    assert made.judge()
    assert made.server.arrived == 24
    assert sorted(recorded(other)) == sorted(recorded(made.results)) == sorted(made.prompts)
    ids = {parsed(path)[0][0]["run_id"] for path in (made.results, other)}
    assert len(ids) == 2  # though they began in one second
    count(cases=2)


@pytest.mark.timeout(300)
def test_after_kill_9_of_the_one_that_worked_a_new_one_starts_at_once(night, many, count):
    late = []
    for _ in range(many(3, 20)):
        made = night(12, faults=lambda request: Hold())
        start = time.monotonic()
        with made.start() as first:
            made.server.wait_for(1, 30)
            alone = time.monotonic() - start
            with made.start() as second:
                assert second.wait(50) == TAKEN
            first.kill()
            first.wait()
        made.server.faults = None
        arrived, start = made.server.arrived, time.monotonic()
        with made.start() as third:
            made.server.wait_for(arrived + 1, 30)
            late.append(time.monotonic() - start - alone)
            assert third.wait(50) == 0
        assert made.judge()
        assert made.server.arrived <= 12 + ATTEMPTS
        count(cases=3)
    assert min(late) < 1  # than a run that met no lock at all
