"""When and how long a job is tried again; time is a number that these tests set."""

import asyncio
import random
from traceback import walk_stack

import pytest

from batch.errors import Halt, Outage, RateLimited, Rejected, Retryable, Unreachable
from batch.retry import LONGEST_ASKED, RetryPolicy, with_retries


class Time:
    """A clock that moves only by what is slept, or by what an attempt takes."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def trouble(retry_after=None):
    return Retryable("trouble", "server_error", 503, retry_after)


def limited(retry_after=None):
    return RateLimited("slow down", "rate_limited", 429, retry_after)


def outage():
    return Outage("away", "connection")


async def play(script, policy=None, time=None, takes=0.0):
    """The answer after the errors of a script, the attempts made and the waits that were told."""
    time, acts, told = time or Time(), iter(script), []
    attempts = 0

    async def attempt():
        nonlocal attempts
        attempts += 1
        time.now += takes
        await asyncio.sleep(0)
        for error in acts:
            raise error
        return "answer"

    def notice(wait, error):
        told.append((wait, error))

    try:
        answer = await with_retries(attempt, policy or RetryPolicy(), notice, time.sleep, time)
    except (Retryable, Rejected, Halt) as error:
        answer = error
    return answer, attempts, told


async def test_an_answer_at_once_is_one_attempt():
    assert await play([]) == ("answer", 1, [])


async def test_success_never_enters_tenacity():
    seen = []

    async def attempt():
        seen.append("tenacity" in {name_of(frame) for frame, _ in walk_stack(None)})
        if len(seen) == 1:
            raise trouble()

    time = Time()
    await with_retries(attempt, RetryPolicy(), print_nothing, time.sleep, time)
    assert seen == [False, True]


@pytest.mark.parametrize("error", [Rejected("no", "rejected", 400), Halt("no key")])
async def test_what_is_not_passing_goes_through_at_once(error):
    assert await play([error]) == (error, 1, [])
    assert (await play([trouble(), error]))[:2] == (error, 2)


@pytest.mark.parametrize("retries", [0, 1, 4, 9])
async def test_so_many_further_attempts_are_made(retries):
    errors = [trouble() for _ in range(20)]
    answer, attempts, told = await play(errors, RetryPolicy(retries=retries))
    assert answer is errors[retries]
    assert (attempts, len(told)) == (retries + 1, retries)


async def test_the_last_of_the_attempts_may_answer():
    assert (await play([trouble()] * 4, RetryPolicy(retries=4)))[:2] == ("answer", 5)


async def test_each_pause_is_told_with_its_error_before_it_begins():
    time, errors = Time(), [trouble(), trouble()]
    _, _, told = await play(errors, time=time)
    assert [wait for wait, _ in told] == time.slept
    assert [error for _, error in told] == errors


def test_the_formula_doubles_to_a_ceiling_with_full_jitter():
    policy = RetryPolicy(first_wait=1.0, longest_wait=60.0)
    for failures in (1, 2, 3, 6, 7, 8, 5_000):
        waits = [policy.wait(failures, trouble()) for _ in range(300)]
        ceiling = min(60.0, 2.0 ** min(failures - 1, 10))
        assert 0 <= min(waits) < ceiling / 4
        assert ceiling * 3 / 4 < max(waits) <= ceiling


async def test_a_calls_waits_are_those_of_the_formula_from_the_first_error_on():
    policy = RetryPolicy(retries=3, first_wait=100.0, longest_wait=350.0)
    calls = [(await play([trouble()] * 3, policy))[2] for _ in range(200)]
    for each, ceiling in zip(zip(*calls, strict=True), [100, 200, 350], strict=True):
        assert ceiling * 0.9 < max(wait for wait, _ in each) <= ceiling


async def test_the_formula_begins_anew_after_an_outage():
    policy = RetryPolicy(retries=5, first_wait=100.0, longest_wait=1e9)
    script = [trouble(), trouble(), trouble(), outage(), trouble()]
    waits = [(await play(script, policy))[2][-1][0] for _ in range(100)]
    assert 90 < max(waits) <= 100


@pytest.mark.parametrize("asked", [0.5, 7.0, 120.0])
def test_what_the_server_asked_for_wins_and_jitter_only_adds_to_it(asked):
    waits = [RetryPolicy().wait(9, trouble(asked)) for _ in range(300)]
    assert all(asked <= wait <= asked + 1 + asked / 10 for wait in waits)
    assert len(set(waits)) > 200


def test_one_job_is_not_kept_waiting_for_a_day():
    assert RetryPolicy().wait(1, trouble(86_400.0)) <= LONGEST_ASKED * 1.1 + 1


def test_a_rate_limit_waits_in_the_lane_and_not_in_the_job():
    assert RetryPolicy().wait(3, limited(30.0)) == RetryPolicy().wait(1, outage()) == 0.0


async def test_a_rate_limit_spends_no_attempt():
    script = [limited(), trouble(), *[limited()] * 50, trouble(), limited()]
    assert (await play(script, RetryPolicy(retries=2)))[:2] == ("answer", len(script) + 1)
    answer, attempts, _ = await play([limited(), trouble(), trouble()], RetryPolicy(retries=1))
    assert (type(answer), attempts) == (Retryable, 3)


async def test_nobody_at_the_address_spends_no_attempt_but_wears_patience_out():
    nobody = Unreachable("nothing answers", "connection")
    script = [nobody, trouble(), *[nobody] * 50, trouble(), nobody]
    assert (await play(script, RetryPolicy(retries=2)))[:2] == ("answer", len(script) + 1)
    answer, _, _ = await play([nobody] * 1000, RetryPolicy(patience=60.0), takes=7.0)
    assert answer is nobody


async def test_an_outage_gives_back_what_was_spent():
    script = [trouble(), trouble(), outage(), trouble(), trouble(), outage(), outage(), trouble()]
    assert (await play(script, RetryPolicy(retries=2)))[:2] == ("answer", 9)
    assert (await play([trouble(), outage(), trouble()], RetryPolicy(retries=0)))[1] == 1
    assert (await play([outage(), trouble()], RetryPolicy(retries=0)))[1] == 2


async def worked(script, at_most, takes=10.0):
    """The answer of a call whose attempts take so many seconds, and the attempts made."""
    time, acts, seconds = Time(), iter(script), [0.0]

    async def attempt():
        seconds[0] += takes
        for error in acts:
            raise error
        return "answer"

    def notice(wait, _):
        seconds[0] += wait

    policy = RetryPolicy(retries=99, job_timeout=at_most)
    try:
        answer = await with_retries(attempt, policy, notice, time.sleep, time, lambda: seconds[0])
    except Retryable as error:
        answer = error
    return answer, round((seconds[0] - sum(time.slept)) / takes)


@pytest.mark.parametrize(("at_most", "attempts"), [(9.0, 1), (25.0, 3), (35.0, 4)])
async def test_a_job_is_not_tried_again_when_its_time_is_up(at_most, attempts):
    errors = [limited() for _ in range(9)]
    assert await worked(errors, at_most) == (errors[attempts - 1], attempts)


async def test_a_wait_that_would_outlast_the_time_of_a_job_is_not_begun():
    asked = trouble(100.0)
    assert await worked([trouble(1.0), asked], 115.0) == (asked, 2)
    assert await worked([trouble(1.0), trouble(50.0)], 115.0) == ("answer", 3)


async def test_an_outage_and_nobody_at_the_address_wear_no_time_of_a_job_out():
    nobody = Unreachable("nothing answers", "connection")
    assert (await worked([outage(), nobody] * 5, 25.0))[0] == "answer"


async def test_a_job_that_answers_late_has_answered():
    assert await worked([], 5.0) == ("answer", 1)


async def test_patience_ends_however_many_attempts_are_left():
    answer, attempts, _ = await play(
        [limited() for _ in range(1000)], RetryPolicy(patience=60.0), takes=7.0
    )
    assert type(answer) is RateLimited
    assert attempts == 10


async def test_an_outage_does_not_wear_patience_out():
    script = [*[outage() for _ in range(100)], trouble()]
    assert (await play(script, RetryPolicy(patience=60.0), takes=7.0))[0] == "answer"


async def test_cancelling_in_an_attempt_passes_through():
    began = asyncio.Event()

    async def attempt():
        if not began.is_set():
            began.set()
            raise trouble()
        await asyncio.Event().wait()

    time = Time()
    task = asyncio.create_task(with_retries(attempt, RetryPolicy(), print_nothing, time.sleep))
    await began.wait()
    for _ in range(9):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_in_a_pause_passes_through():
    async def attempt():
        raise trouble()

    pausing = asyncio.Event()

    async def sleep(_):
        pausing.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(with_retries(attempt, RetryPolicy(), print_nothing, sleep))
    await pausing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def name_of(frame):
    """The package whose code a frame runs."""
    return frame.f_globals["__name__"].partition(".")[0]


def print_nothing(_wait, _error):
    """A notice that tells nobody."""


async def test_an_interrupt_is_no_error_to_retry():
    async def attempt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await with_retries(attempt, RetryPolicy(), print_nothing, Time().sleep)


async def test_what_the_pause_raises_ends_the_call():
    async def sleep(_):
        raise LookupError

    async def attempt():
        raise trouble()

    with pytest.raises(LookupError):
        await with_retries(attempt, RetryPolicy(), print_nothing, sleep)


def fate(number):
    """A script and what has to come of it, different for each neighbour."""
    draw = random.Random(number)
    passing = [draw.choice([limited, outage])() for _ in range(draw.randrange(4))]
    troubles = [trouble() for _ in range(number % 7)]
    ends = {0: [], 1: [Rejected("no", "rejected", 400)], 2: [Halt("key")]}[number % 3]
    return [*passing, *troubles, *ends]


async def test_two_hundred_calls_at_once_do_not_mix_their_state():
    policy = RetryPolicy(retries=4)
    fates = [fate(number) for number in range(200)]
    alone = [await play(script, policy) for script in fates]
    together = await asyncio.gather(*(play(script, policy) for script in fates))
    assert [(each[0], each[1], len(each[2])) for each in together] == [
        (each[0], each[1], len(each[2])) for each in alone
    ]
    for number, (answer, attempts, _) in enumerate(together):
        failed = number % 7 > 4
        if failed:
            assert type(answer) is Retryable
        elif number % 3 == 0:
            assert (answer, attempts) == ("answer", len(fates[number]) + 1)
        else:
            assert answer is fates[number][-1]
