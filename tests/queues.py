"""What the tests of queues share: tasks that enter, and a log of who entered when."""

import asyncio
import contextlib

from clock import now, turns


async def entered(door, names, log):
    """Start a task for each name that enters and logs when."""

    async def enter(name):
        await door.acquire()
        log.append((name, now()))

    tasks = [asyncio.create_task(enter(name)) for name in names]
    await turns()
    return tasks


async def cancelled(task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def names(log):
    return [name for name, _ in log]
