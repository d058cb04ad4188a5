"""The task that runs, and blocking work beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def in_thread(function: Callable[..., None], *args: Any) -> None:
    """Call a function in a thread; when cancelled, wait for its end.

    A thread goes on when its task is cancelled, and what it writes must not come after what is
    written next, by this run or by another that got the lock.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def running_task() -> asyncio.Task[None]:
    """The task of the job that is being done."""
    task = asyncio.current_task()
    assert task is not None
    return task
