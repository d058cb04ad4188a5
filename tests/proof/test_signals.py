"""The real command is told to stop, in every way and at every moment, and run again.

The first signal starts no new job and finishes what is in flight, the second leaves within two
seconds; exit code, run.json and summary tell the truth, and the same command finishes.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from night import ATTEMPTS, OVERNIGHT
from oracle import recorded
from PIL import Image
from processes import wait_until
from server import Hold, RateLimit, Status

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
every_signal = pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
PROMISED = 2.0  # seconds from the second signal to the end
NOTHING_SENT = ("", "overnight: interrupted: nothing was sent")
BUSY = 6.0  # seconds more that a busy machine may take to do it


def wait_until_heard(process):
    """Block until a process handles SIGHUP itself, and so the others."""
    heard = 0
    while not heard & 1 << signal.SIGHUP - 1:
        status = Path(f"/proc/{process.pid}/status").read_text()
        heard = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)


def line_with(stream, word):
    return next(line for line in stream if word in line)


def ended(process, code, seconds=30.0):
    """What a process says until its end, which is one of its own making."""
    _, messages = process.communicate(timeout=seconds)
    assert process.returncode == code, messages
    assert "Traceback" not in messages
    assert "ignored" not in messages
    return messages


def state_of(made):
    return json.loads((made.folder / "night.run.json").read_bytes())


def in_the_middle(made, process):
    """Wait until ten jobs are answered and as many are in flight as may be."""
    made.server.wait_until(lambda: len(made.server.held) == ATTEMPTS, 30)
    return made.server.arrived


def after_ten(request):
    return Hold() if request.number > 10 else None


def finishes(made, left):
    """The same command does what is left, and all is well."""
    made.server.faults = None
    assert made.run()[::2] == (0, left)
    assert made.judge()


# At any moment


def test_a_signal_at_any_moment_ends_in_order_and_the_same_command_goes_on(
    night, chance, many, count
):
    made = night(many(600, 20_000), latency=0.004)
    for _ in range(many(14, 400)):
        number = chance.choice(list(CODES))
        with made.start() as process:
            wait_until_heard(process)
            time.sleep(0.2 * chance.random())
            for _ in range(chance.choice([1, 1, 2, 3])):
                process.send_signal(number)
            _, messages = process.communicate(timeout=40)
        assert process.returncode in (0, CODES[number]), messages
        assert "Traceback" not in messages
        assert "ignored" not in messages
        made.server.settle()
        verdict = made.judge(finished=False)
        assert not verdict.doubled + verdict.strange + verdict.swapped + verdict.unparsable
        count(cases=1)
    assert made.run()[0] == 0
    assert made.judge()


@every_signal
def test_a_signal_while_the_command_is_being_loaded_ends_it(night, number):
    made = night(3)
    with made.start() as process:
        wait_until_heard(process)
        process.send_signal(number)
        assert ended(process, CODES[number]).strip() in NOTHING_SENT
    assert made.server.arrived == 0
    finishes(made, 3)


# In the middle


@every_signal
def test_the_first_signal_lets_what_is_in_flight_finish_and_starts_nothing(night, number):
    made = night(40, faults=after_ten)
    with made.start() as process:
        arrived = in_the_middle(made, process)
        process.send_signal(number)
        words = line_with(process.stderr, f"interrupted by {number.name}")
        assert "finishing 8 requests" in words
        made.server.release()
        messages = ended(process, CODES[number])
    assert f"{arrived} of 40 jobs answered" in messages
    assert messages.splitlines()[-1].startswith("next: overnight run ")
    state = state_of(made)
    assert (state["state"], state["exit_code"]) == ("stopped", CODES[number])
    assert state["reason"] == f"interrupted by {number.name}"
    assert (state["answered"], state["failed"], state["left"]) == (arrived, 0, 40 - arrived)
    assert made.server.arrived == len(recorded(made.results)) == arrived
    finishes(made, 40 - arrived)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGTERM),
        (signal.SIGHUP, signal.SIGTERM),
    ],
    ids=lambda number: number.name,
)
def test_the_second_signal_drops_what_is_in_flight_and_leaves(night, first, second):
    made = night(40, faults=after_ten)
    with made.start() as process:
        arrived = in_the_middle(made, process)
        process.send_signal(first)
        line_with(process.stderr, "interrupted")
        start = time.monotonic()
        process.send_signal(second)
        messages = ended(process, CODES[first])
        assert time.monotonic() - start < PROMISED + BUSY
    assert "10 of 40 jobs answered" in messages
    state = state_of(made)
    assert (state["state"], state["exit_code"], state["answered"]) == ("stopped", CODES[first], 10)
    assert (arrived, len(recorded(made.results))) == (10 + ATTEMPTS, 10)
    finishes(made, 30)


def test_who_hangs_up_twice_has_what_is_in_flight_finished(night):
    made = night(40, faults=after_ten)
    with made.start() as process:
        arrived = in_the_middle(made, process)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        line_with(process.stderr, "finishing 8 requests")
        made.server.release()
        ended(process, 143)
    assert len(recorded(made.results)) == arrived
    finishes(made, 40 - arrived)


def test_what_is_in_flight_is_waited_for_no_longer_than_the_grace(night):
    made = night(40, faults=after_ten)
    with made.start("--grace", "0.5") as process:
        in_the_middle(made, process)
        process.send_signal(signal.SIGTERM)
        ended(process, 143)
    assert (state_of(made)["answered"], state_of(made)["left"]) == (10, 30)
    finishes(made, 30)


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT], ids=lambda each: each.name)
def test_a_signal_that_was_to_be_ignored_is(night, ignored):
    """As nohup wants it of SIGHUP, and a shell of the SIGINT of what it starts with `&`."""
    made = night(40, faults=after_ten)
    with made.start(preexec_fn=lambda: signal.signal(ignored, signal.SIG_IGN)) as process:
        in_the_middle(made, process)
        process.send_signal(ignored)
        made.server.faults = None
        made.server.release()
        ended(process, 0)
    assert made.judge()


def test_a_run_that_was_stopped_and_goes_on_loses_nothing(night):
    made = night(40, faults=after_ten)
    with made.start() as process:
        in_the_middle(made, process)
        process.send_signal(signal.SIGSTOP)
        made.server.faults = None
        made.server.release()
        made.server.settle()
        process.send_signal(signal.SIGCONT)
        ended(process, 0)
    assert made.server.arrived == 40
    assert made.judge()


@pytest.mark.parametrize("progress", ["none", "plain"])
def test_a_run_whose_stderr_nobody_reads_any_more_goes_on(night, progress):
    made = night(40, faults=after_ten)
    with made.start("-v", "--progress", progress) as process:
        in_the_middle(made, process)
        process.stderr.close()
        made.server.faults = None
        made.server.release()
        assert process.wait(30) == 0
    assert state_of(made)["answered"] == 40
    assert made.judge()


@pytest.mark.parametrize("words", [["run", "none.jsonl"], ["run", "--nonsense"], ["run"]])
def test_an_error_that_nobody_reads_is_told_by_the_exit_code(words):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([OVERNIGHT, *words], check=False, stderr=write, stdin=subprocess.DEVNULL)
    os.close(write)
    assert done.returncode == 2


def test_results_that_nobody_reads_any_more_end_the_run_which_pays_for_no_others(night):
    made = night(40, latency=0.05)
    with made.start("-o", "-") as process:
        assert json.loads(process.stdout.readline())["status"] == "ok"
        process.stdout.close()
        _, messages = process.communicate(timeout=30)
    assert process.returncode == 74
    assert "cannot write the output: Broken pipe" in messages
    assert "Traceback" not in messages
    assert made.server.arrived < 40


# While it waits


@every_signal
def test_a_signal_while_the_lane_is_paused_waits_for_no_pause(night, number):
    made = night(20, faults=lambda request: RateLimit(60) if request.number > 4 else None)
    with made.start() as process:
        line_with(process.stderr, "paused")
        process.send_signal(number)
        messages = ended(process, CODES[number])
    assert "of 20 jobs answered" in messages
    assert state_of(made)["failed"] == 0
    finishes(made, 20 - len(recorded(made.results)))


@pytest.mark.parametrize("looking", [False, True])
def test_a_signal_while_the_provider_is_away_fails_no_job(night, looking):
    made = night(20)
    made.server.faults = lambda request: Hold() if request.number > 24 else Status(503)
    with made.start("--retries", "99") as process:
        line_with(process.stderr, "paused")
        if looking:  # until the request that looks whether it is back is in flight
            made.server.faults = lambda request: Hold()
            made.server.wait_until(lambda: made.server.held, 30)
        process.send_signal(signal.SIGTERM)
        if looking:
            line_with(process.stderr, "finishing")
            made.server.release()
        ended(process, 143)
    state = state_of(made)
    assert (state["failed"], state["answered"]) == (0, int(looking))
    finishes(made, 20 - state["answered"])


def test_a_signal_while_a_large_source_is_planned_ends_the_run_before_it_sends_anything(night):
    made = night(3)
    few = made.source.read_bytes()
    made.source.write_text("".join(f'{{"id":"{n}","prompt":"p"}}\n' for n in range(400_000)))
    with made.start() as process:
        wait_until_heard(process)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        messages = ended(process, 130)
    assert messages.strip() in NOTHING_SENT
    assert made.server.arrived == 0
    assert not made.results.exists()
    made.source.write_bytes(few)
    finishes(made, 3)


HANGING = """
import os, time
read = os.read
def read_at_last(fd, count):
    if os.readlink(f"/proc/self/fd/{fd}").endswith(os.environ["HANGS"]):
        os.write(2, b"hangs\\n")
        time.sleep(600)
    return read(fd, count)
os.read = read_at_last
"""


def hang(made, name):
    """Let every read of a file of this name hang, in the next runs."""
    (made.folder / "sitecustomize.py").write_text(HANGING)
    made.environment = {"PYTHONPATH": str(made.folder), "HANGS": name}


@pytest.mark.parametrize("presses", [1, 2])
def test_a_signal_while_the_results_hang_on_their_disk_does_not_wait_for_the_disk(night, presses):
    made = night(3)
    assert made.run()[0] == 0
    hang(made, "night.results.jsonl")
    with made.start() as process:
        line_with(process.stderr, "hangs")
        start = time.monotonic()
        for _ in range(presses):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.02)
        messages = ended(process, 143)
        assert time.monotonic() - start < PROMISED + BUSY
    assert "interrupted" in messages
    made.environment = {}
    assert made.run()[::2] == (0, 0)


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_a_signal_while_a_picture_hangs_on_its_disk_does_not_wait_for_the_disk(night, presses):
    made = night(answer=None)
    for name in ("a", "b"):
        Image.new("RGB", (20, 10), "red").save(made.folder / f"{name}.png")
    jobs = [{"id": name, "prompt": "what?", "image": f"{name}.png"} for name in "ab"]
    made.source.write_text("".join(f"{json.dumps(job)}\n" for job in jobs))
    hang(made, "b.png")
    with made.start() as process:
        wait_until(lambda: recorded(made.results) == ["a"], 30)
        start = time.monotonic()
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        ended(process, 130)
        assert time.monotonic() - start < PROMISED + BUSY
    made.environment = {}
    assert made.run()[::2] == (0, 1)


# At the end


@pytest.mark.parametrize("presses", [0, 1, 2])
def test_however_a_run_ends_it_leaves_nothing_unclosed(night, presses):
    made = night(40, faults=after_ten)
    made.environment = {"PYTHONWARNINGS": "always::ResourceWarning"}
    with made.start() as process:
        in_the_middle(made, process)
        for _ in range(presses):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        if presses < 2:
            made.server.faults = None
            made.server.release()
        _, messages = process.communicate(timeout=30)
    assert process.returncode in (0, 143)
    assert "ResourceWarning" not in messages
    assert "unclosed" not in messages


def test_signals_after_the_summary_change_nothing(night, many, count):
    made = night(5)
    for _ in range(many(4, 40)):
        with made.start("--fresh") as process:
            line_with(process.stderr, "next:")
            for _ in range(3):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
            assert ended(process, 0) == ""
        assert state_of(made)["exit_code"] == 0
        count(cases=1)
    assert made.judge()
