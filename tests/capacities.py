"""What limits a model server: pure functions of the time, so that a request costs no timer.

`room_in` tells the seconds until a request finds room (0: now); `take` lets one in that is work
for `seconds` and tells when its answer comes; `sustained` and `least` are the seconds in which
`count` requests go through, at the rate of the long run and at best, with all that is saved up.
"""

import heapq
import math
from collections import deque

MOMENT = 1e-9  # seconds: who comes back at the very moment is not sent away for a rounding error


def wait_of(seconds):
    return seconds if seconds > MOMENT else 0.0


class Unlimited:
    rate = math.inf

    def room_in(self, now):
        return 0.0

    def take(self, now, seconds):
        return seconds

    def sustained(self, count):
        return count / self.rate

    def least(self, count):
        return self.sustained(count)


class TokenBucket(Unlimited):
    """`rate` requests a second; what was not used is saved up to `burst`."""

    def __init__(self, rate, burst):
        self.rate, self._burst = rate, burst
        self._tokens, self._since = float(burst), 0.0

    def room_in(self, now):
        self._tokens = min(self._burst, self._tokens + (now - self._since) * self.rate)
        self._since = now
        return wait_of((1.0 - self._tokens) / self.rate)

    def take(self, now, seconds):
        self._tokens -= 1.0
        return seconds

    def least(self, count):
        return max(0.0, (count - self._burst) / self.rate)


class FixedWindow(Unlimited):
    """`count` requests in each window of `seconds` of the server's clock."""

    def __init__(self, count, seconds):
        self.rate = count / seconds
        self._count, self._seconds = count, seconds
        self._window, self._used = 0, 0

    def room_in(self, now):
        window = int((now + MOMENT) // self._seconds)
        if window != self._window:
            self._window, self._used = window, 0
        return (window + 1) * self._seconds - now if self._used >= self._count else 0.0

    def take(self, now, seconds):
        self._used += 1
        return seconds

    def least(self, count):
        return (math.ceil(count / self._count) - 1) * self._seconds


class SlidingWindow(Unlimited):
    """`count` requests in any `seconds`."""

    def __init__(self, count, seconds):
        self.rate = count / seconds
        self._count, self._seconds = count, seconds
        self._taken = deque([-math.inf] * count, count)

    def room_in(self, now):
        return wait_of(self._taken[0] + self._seconds - now)

    def take(self, now, seconds):
        self._taken.append(now)
        return seconds

    def least(self, count):
        return (math.ceil(count / self._count) - 1) * self._seconds


class Places(Unlimited):
    """At most `count` requests at once; `seconds` is the mean work, to know the rate by."""

    def __init__(self, count, seconds):
        self.rate = count / seconds
        self._count, self._ends = count, []

    def room_in(self, now):
        ends = self._ends
        while ends and ends[0] <= now + MOMENT:
            heapq.heappop(ends)
        return ends[0] - now if len(ends) >= self._count else 0.0

    def take(self, now, seconds):
        heapq.heappush(self._ends, now + seconds)
        return seconds


class Queue(Places):
    """`count` requests at once, all others wait their turn: answers come late, none is refused."""

    def room_in(self, now):
        return 0.0

    def take(self, now, seconds):
        free = heapq.heappop(self._ends) if len(self._ends) >= self._count else now
        end = max(now, free) + seconds
        heapq.heappush(self._ends, end)
        return end - now


class Changing(Unlimited):
    """One capacity after the other, as (start, capacity): a quota that neighbours share."""

    def __init__(self, *turns):
        self._turns = turns
        self._now = turns[0][1]

    def room_in(self, now):
        self._now = next(each for start, each in reversed(self._turns) if start <= now)
        return self._now.room_in(now)

    def take(self, now, seconds):
        return self._now.take(now, seconds)

    def sustained(self, count):
        ends = [start for start, _ in self._turns[1:]] + [math.inf]
        for (start, capacity), end in zip(self._turns, ends, strict=True):
            if count <= (end - start) * capacity.rate:
                return start + count / capacity.rate
            count -= (end - start) * capacity.rate
        raise AssertionError("the last capacity lasts for ever")
