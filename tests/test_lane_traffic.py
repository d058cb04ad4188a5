"""What shares one quota: whatever comes and goes, in any order."""

import asyncio
import itertools

from clock import VirtualLoop, turns
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batch.limits.lane import Lane


class Traffic(RuleBasedStateMachine):
    """Whatever comes and goes, nobody waits for nothing, no place is lost and the count is right.

    Time stands still between the rules and moves in `later`, as far as it takes.
    """

    def __init__(self):
        super().__init__()
        self.loop = VirtualLoop()
        self.road = Lane(4, None, self.loop.time, asyncio.sleep)
        self.tasks = {}
        self.flying = {}
        self.log = []
        self.numbers = itertools.count()

    def do(self, action=lambda: None, seconds=0.0):
        """Do something in the loop, and let happen what comes of it."""

        async def done():
            action()
            await asyncio.sleep(seconds)
            await turns(10)

        self.loop.run_until_complete(done())

    async def send(self, number):
        await self.road.acquire()
        del self.tasks[number]
        self.flying[number] = self.loop.time()
        self.log.append(number)

    def end(self, data, come=lambda since: None):
        """One that is in flight comes to its end: `come` is told when it was sent."""
        since = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        self.do(lambda: (come(since), self.road.release()))

    @rule()
    def arrive(self):
        number = next(self.numbers)
        self.tasks[number] = self.loop.create_task(self.send(number))
        self.do()

    @rule()
    def arrive_if_at_once(self):
        def attempt():
            if self.road.concurrency.try_acquire():
                assert not self.tasks
                self.flying[next(self.numbers)] = self.loop.time()

        self.do(attempt)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def give_up(self, data):
        self.tasks.pop(data.draw(st.sampled_from(sorted(self.tasks)))).cancel()
        self.do()

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def be_answered(self, data):
        self.end(data, lambda since: self.road.succeeded(since, self.road.flying))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), wait=st.sampled_from([None, 0.0, 1.0, 30.0]))
    def be_limited(self, data, wait):
        self.end(data, lambda since: self.road.limited(wait, since, self.road.flying))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), overload=st.booleans())
    def be_troubled(self, data, overload):
        self.end(data, lambda since: self.road.troubled(600.0, since, overload=overload))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def be_denied(self, data):
        self.end(data, self.road.denied)

    @precondition(lambda self: self.flying and self.tasks)
    @rule(data=st.data())
    def end_and_give_up_in_one_turn(self, data):
        given_up = self.tasks.pop(data.draw(st.sampled_from(sorted(self.tasks))))
        self.flying.popitem()
        self.do(lambda: (self.road.release(), given_up.cancel()))

    @rule(seconds=st.sampled_from([0.1, 1.0, 200.0]))
    def later(self, seconds):
        self.do(seconds=seconds)

    @invariant()
    def those_in_flight_and_those_that_wait_are_counted(self):
        limit, held, waiting = self.road.concurrency.limit, len(self.flying), len(self.tasks)
        told = f"Gate(limit={limit}, held={held}, waiting={waiting})"
        assert (self.road.flying, repr(self.road.concurrency)) == (held, told)

    @invariant()
    def a_limit_is_at_least_one_and_at_most_the_ceiling(self):
        assert 1 <= self.road.concurrency.limit <= 4

    @invariant()
    def nobody_overtakes(self):
        assert self.log == sorted(self.log)

    def teardown(self):
        """Whoever still waits goes out in the end."""
        for _ in range(50):
            while self.flying:
                self.flying.popitem()
                self.do(self.road.release)
            self.later(200.0)
        assert not self.tasks
        assert not self.flying
        self.loop.close()


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
