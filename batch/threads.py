"""The task that runs, and blocking work beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

Work = TypeVar("Work")


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


class Threads:
    """A few threads for work that may never come back, as from a disk that is gone.

    `busy` are the threads of this process that are at such work now: Python would wait for them at
    its end, and nobody wants what they would bring.
    """

    busy: ClassVar[set[int]] = set()

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._pool = ThreadPoolExecutor(size, name)

    async def run(self, work: Callable[[], Work], seconds: float) -> Work:
        """What some work brings; raises `TimeoutError` when it has not come back in time.

        Its thread is given up then, and others take the place of all of them.
        """
        doing = asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)
        try:
            await asyncio.wait([doing], timeout=seconds)
        except asyncio.CancelledError:
            doing.cancel()
            raise
        if doing.done():
            return doing.result()
        doing.cancel()
        self.close()
        self._pool = ThreadPoolExecutor(self._size, self._name)
        raise TimeoutError

    @classmethod
    def _do(cls, work: Callable[[], Work]) -> Work:
        """Do some work (in a thread)."""
        me = threading.get_ident()
        cls.busy.add(me)
        try:
            return work()
        finally:
            cls.busy.discard(me)

    def close(self) -> None:
        """End the threads without waiting for them."""
        self._pool.shutdown(wait=False)


def running_task() -> asyncio.Task[None]:
    """The task of the job that is being done."""
    task = asyncio.current_task()
    assert task is not None
    return task
