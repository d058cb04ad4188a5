"""When and how long a job is tried again. The only file that knows tenacity."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity
from msgspec import Struct

from .errors import Outage, RateLimited, Retryable, Unreachable

Answer = TypeVar("Answer")
Notice = Callable[[float, Retryable], None]
"""Told the wait in seconds and the error before each pause."""

LONGEST_ASKED = 900.0
"""Seconds; a server that asks one job to wait longer than this is asked again sooner."""


class RetryPolicy(Struct, frozen=True):
    """How often and how long one job is tried. Times are seconds."""

    retries: int = 4
    """Further attempts after the first."""
    first_wait: float = 1.0
    longest_wait: float = 60.0
    patience: float = 7200.0
    """Bound of the time since the first error, however often the job was asked to slow down."""
    job_timeout: float = math.inf
    """Bound of the time of its attempts and the waits between them, without the lane's pauses."""

    def wait(self, failures: int, error: Retryable) -> float:
        """Seconds before the next attempt after that many failures.

        The server's Retry-After plus positive jitter wins over the formula, full jitter:
        uniform(0, min(longest, first · 2^(failures − 1))). A rate limit waits in the lane.
        """
        if isinstance(error, RateLimited):
            return 0.0
        if error.retry_after is not None:
            asked = min(error.retry_after, LONGEST_ASKED)
            return asked + random.uniform(0.0, 1.0 + asked / 10)
        wait = self.first_wait * 2.0 ** min(failures - 1, 60)
        return random.uniform(0.0, min(self.longest_wait, wait))


async def with_retries(
    attempt: Callable[[], Awaitable[Answer]],
    policy: RetryPolicy,
    notice: Notice,
    sleep: Callable[[float], Awaitable[None]],
    clock: Callable[[], float] = time.monotonic,
    worked: Callable[[], float] = lambda: 0.0,
) -> Answer:
    """The answer of `attempt`, tried again while it raises `Retryable` and the policy allows.

    A `RateLimited` or `Unreachable` spends no attempt, an `Outage` gives back those that were
    spent; `worked` tells the seconds that the job was worked on. Raises the last error when the
    policy is spent; everything that is no `Retryable`, cancellation too, passes through at once.
    """
    # tenacity costs 40 µs even on success, so it is entered with the first error only. The policy
    # object is made anew for each call: a shared one mixes up the state of concurrent calls.
    try:
        return await attempt()
    except Retryable as error:
        first: list[Retryable] = [error]
    since: float | None = None
    spent = 0

    async def again() -> Answer:
        if first:
            raise first.pop()
        return await attempt()

    def over(state: tenacity.RetryCallState) -> bool:
        nonlocal spent, since
        error = error_of(state)
        if isinstance(error, Outage):
            spent, since = 0, None
            return False
        since = clock() if since is None else since
        if isinstance(error, Unreachable):
            return clock() - since > policy.patience
        spent += not isinstance(error, RateLimited)
        late = (
            clock() - since > policy.patience
            or worked() + state.upcoming_sleep >= policy.job_timeout
        )
        return late or spent > policy.retries

    def wait(state: tenacity.RetryCallState) -> float:
        return policy.wait(spent + 1, error_of(state))  # asked before `over` counts the error

    def before_sleep(state: tenacity.RetryCallState) -> None:
        notice(state.upcoming_sleep, error_of(state))

    retrying = tenacity.AsyncRetrying(
        sleep=sleep,
        retry=tenacity.retry_if_exception_type(Retryable),
        stop=over,
        wait=wait,
        before_sleep=before_sleep,
        reraise=True,
    )
    return await retrying(again)


def error_of(state: tenacity.RetryCallState) -> Retryable:
    """The error of the attempt that just failed."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Retryable)
    return error
