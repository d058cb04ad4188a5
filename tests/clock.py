"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import functools
import selectors

THREAD_LIMIT = 20.0  # real seconds that a thread's work may take


class JumpingSelector(selectors.DefaultSelector):
    """Moves `now` on instead of waiting; only the end of a thread's work comes in real time."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.working = 0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.working:
            return super().select(THREAD_LIMIT)
        if timeout is None:
            raise RuntimeError("everything waits and nothing will ever happen")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which begins at 0."""

    def __init__(self):
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self):
        return self.jumping.now

    def run_in_executor(self, executor, func, *args):
        work = super().run_in_executor(executor, func, *args)
        self.jumping.working += 1
        work.add_done_callback(self._worked)
        return work

    async def shutdown_default_executor(self):
        self.jumping.working += 1
        await super().shutdown_default_executor()
        self.jumping.working -= 1

    def _worked(self, _):
        self.jumping.working -= 1


def in_virtual_time(test):
    """Run an async test in virtual time."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(test(*args, **kwargs))

    return run


def now():
    """The virtual time."""
    return asyncio.get_running_loop().time()


async def turns(count=5):
    """Let everything that is ready happen, without any time going by."""
    for _ in range(count):
        await asyncio.sleep(0)
