"""Several equal servers as one: who is asked, who is set aside, and what reaches the runner."""

import asyncio
import itertools

import pytest
from clock import in_virtual_time, now, turns
from rehearsal import Night, jobs

from batch.completers.fleet import TROUBLES, EndpointState, Fleet
from batch.errors import Halt, RateLimited, Rejected, Retryable, Unreachable
from batch.events import Paused
from batch.limits.breaker import LONGEST_PROBE
from batch.limits.lane import LONGEST_PAUSE, LONGEST_REFILL
from batch.models import Allowance, Bucket, Message, Reply, Request, Text

ASKED = Request("m", (Message("user", (Text("?"),)),))


class Server:
    """Plays an act a request, then the last one for ever: seconds to take, or an error's maker."""

    def __init__(self, *acts, reply=None):
        self.acts = list(acts) or [0.0]
        self.reply = reply or Reply("yes")
        self.times = []
        self.busy = self.peak = self.dropped = self.closed = 0

    @property
    def asked(self):
        return len(self.times)

    async def complete(self, request):
        assert request is ASKED or request.messages
        self.times.append(now())
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            if callable(act):
                raise act()
            if act:
                await asyncio.sleep(act)
        finally:
            self.busy -= 1
        return self.reply

    async def drop(self):
        self.dropped += 1

    async def close(self):
        self.closed += 1


def broken():
    return Retryable("reset by peer", "connection")


def nobody():
    return Unreachable("nothing answers", "connection")


def late():
    return Retryable("no whole reply", "timeout")


def sick():
    return Retryable("HTTP 500", "server_error", 500)


def babbling():
    return Retryable("HTML", "bad_response", 200)


def slow_down(seconds=None):
    return lambda: RateLimited("HTTP 429", "rate_limited", 429, seconds)


def rejected():
    return Rejected("HTTP 400", "rejected", 400)


def fleet_of(*servers):
    """A fleet of servers a, b, c … on the clock of the running loop."""
    named = dict(zip("abcdefgh", servers, strict=False))
    return Fleet(named, asyncio.get_running_loop().time)


def shares(fleet):
    return [each.answered for each in fleet.endpoints]


def away(fleet):
    return "".join(each.address for each in fleet.endpoints if each.away)


async def ask(fleet, count=1):
    """So many requests, one after the other; the last answer."""
    for _ in range(count):
        reply = await fleet.complete(ASKED)
    return reply


async def fail(fleet, count=1):
    """So many requests, one after the other, which all fail; the last error."""
    for _ in range(count):
        with pytest.raises(Retryable) as caught:
            await fleet.complete(ASKED)
    return caught.value


def begin(fleet):
    return asyncio.create_task(fleet.complete(ASKED))


async def second(server):
    """A fleet whose first server has always one request more, so that the second is preferred."""
    fleet = fleet_of(Server(1e6, 0.0), server)
    hung = begin(fleet)
    await turns()
    return fleet, hung


# Who is asked


@in_virtual_time
async def test_the_server_with_the_fewest_outstanding_requests_is_asked():
    servers = [Server(10.0), Server(10.0), Server(10.0)]
    fleet = fleet_of(*servers)
    tasks = []
    for count in range(1, 10):
        tasks.append(begin(fleet))
        await turns()
        busy = sorted(server.busy for server in servers)
        assert sum(busy) == count
        assert busy[-1] - busy[0] <= 1
    await asyncio.gather(*tasks)
    assert shares(fleet) == [3, 3, 3]


@in_virtual_time
async def test_a_slow_server_holds_its_share_of_places_and_no_more():
    servers = [Server(0.2), Server(2.0), Server(0.2)]
    fleet = fleet_of(*servers)

    async def worker():
        while now() < 20:
            await ask(fleet)

    await asyncio.gather(*(worker() for _ in range(12)))
    assert [server.peak for server in servers] == [4, 4, 4]
    fast, slow, other = shares(fleet)
    assert fast == pytest.approx(other, rel=0.05)
    assert fast == pytest.approx(10 * slow, rel=0.1)


@in_virtual_time
async def test_a_tie_is_for_the_server_used_last_at_first_for_the_first():
    fleet = fleet_of(Server(1.0), Server(1.0), Server(1.0))
    await ask(fleet, 3)
    assert shares(fleet) == [3, 0, 0]
    await asyncio.gather(ask(fleet), ask(fleet))
    assert shares(fleet) == [4, 1, 0]
    await ask(fleet, 5)
    assert shares(fleet) == [4, 6, 0]


@in_virtual_time
async def test_a_request_that_is_given_up_counts_no_longer_and_says_nothing():
    hung, other = Server(1e6), Server(1.0)
    fleet = fleet_of(hung, other)
    for _ in range(2 * TROUBLES):
        task = begin(fleet)
        await turns()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (hung.asked, other.asked) == (2 * TROUBLES, 0)
    assert fleet.endpoints[0] == EndpointState("a")
    assert repr(fleet) == (
        "Fleet([Endpoint(a, outstanding=0, away=False), Endpoint(b, outstanding=0, away=False)])"
    )


# Trouble of one server


@pytest.mark.parametrize("act", [broken, nobody])
@in_virtual_time
async def test_a_connection_that_fails_costs_nothing_but_another_try_at_once(act):
    bad = Server(act)
    fleet, _hung = await second(bad)
    for number in range(TROUBLES):
        assert away(fleet) == ""
        assert (await ask(fleet)).text == "yes"
        assert bad.asked == number + 1
    await ask(fleet)
    assert now() == 0
    assert fleet.endpoints == (
        EndpointState("a", TROUBLES + 1, 0),
        EndpointState("b", 0, TROUBLES, away=True),
    )


@pytest.mark.parametrize("act", [late, sick, babbling])
@in_virtual_time
async def test_what_may_be_the_requests_own_doing_is_raised_and_with_the_third_sets_aside(act):
    bad, good = Server(act), Server()
    fleet = fleet_of(bad, good)
    for _ in range(TROUBLES):
        assert away(fleet) == ""
        error = await fail(fleet)
        assert str(error) == f"a: {act()}"
        assert (error.code, error.http_status) == (act().code, act().http_status)
    assert away(fleet) == "a"
    assert good.asked == 0
    await ask(fleet, 5)
    assert (bad.asked, good.asked) == (TROUBLES, 5)


@in_virtual_time
async def test_an_answer_or_a_refusal_between_says_that_the_server_is_there():
    fleet = fleet_of(Server(sick, sick, 0.0, sick, sick, rejected, sick, sick, 0.0), Server())
    await fail(fleet, 2)
    await ask(fleet)
    await fail(fleet, 2)
    with pytest.raises(Rejected, match="a: HTTP 400"):
        await ask(fleet)
    await fail(fleet, 2)
    await ask(fleet)
    assert away(fleet) == ""
    assert fleet.endpoints[0] == EndpointState("a", 2, 6)


@in_virtual_time
async def test_a_server_that_is_away_is_looked_at_after_five_seconds_doubling_to_two_minutes():
    bad = Server(nobody)
    fleet, _hung = await second(bad)
    while now() < 400:
        await ask(fleet)
        await asyncio.sleep(0.1)
    assert bad.times[:TROUBLES] == pytest.approx([0, 0.1, 0.2])
    gaps = [later - earlier for earlier, later in itertools.pairwise(bad.times[TROUBLES - 1 :])]
    assert gaps == pytest.approx([5, 10, 20, 40, 80, LONGEST_PROBE, LONGEST_PROBE], abs=0.2)
    assert [each.failed for each in fleet.endpoints] == [0, bad.asked]


@in_virtual_time
async def test_one_request_looks_whether_a_server_is_back_while_the_others_keep_away():
    back, other = Server(sick, sick, sick, 3.0, 1.0), Server(1.0)
    fleet = fleet_of(back, other)
    await fail(fleet, TROUBLES)
    await asyncio.sleep(4.9)
    await ask(fleet)  # too early
    assert (back.asked, other.asked) == (TROUBLES, 1)
    tasks = [begin(fleet) for _ in range(6)]
    await turns()
    assert (back.busy, other.busy) == (1, 5)
    await asyncio.sleep(2)
    tasks += [begin(fleet) for _ in range(3)]
    await asyncio.sleep(0)
    assert (back.busy, other.busy) == (1, 3)
    await asyncio.gather(*tasks)
    assert away(fleet) == ""
    tasks = [begin(fleet) for _ in range(6)]
    await turns()
    assert (back.busy, other.busy) == (3, 3)
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_a_server_that_is_back_is_noticed_also_when_nothing_else_needs_it():
    fleet = fleet_of(Server(sick, sick, sick, 0.0), Server())
    await fail(fleet, TROUBLES)
    await ask(fleet)
    await asyncio.sleep(6)
    await ask(fleet)
    assert shares(fleet) == [1, 1]
    assert away(fleet) == ""


@in_virtual_time
async def test_a_look_that_is_given_up_lets_the_next_one_look():
    back = Server(sick, sick, sick, 1e6, 0.0)
    fleet = fleet_of(back, Server())
    await fail(fleet, TROUBLES)
    await asyncio.sleep(6)
    look = begin(fleet)
    await turns()
    assert back.busy == 1
    look.cancel()
    await asyncio.gather(look, return_exceptions=True)
    await ask(fleet)
    assert shares(fleet) == [1, 0]


@in_virtual_time
async def test_errors_of_requests_that_were_on_their_way_prolong_no_absence():
    class Dying(Server):
        async def complete(self, request):
            self.times.append(now())
            await asyncio.sleep(0.1 * self.asked)
            raise sick()

    bad = Dying()
    fleet = fleet_of(bad, Server(10.0))
    tasks = [begin(fleet) for _ in range(24)]
    await asyncio.sleep(5.25)
    assert bad.asked == 12
    assert sum(task.done() for task in tasks) == 12
    assert fleet.endpoints[0].away_s == pytest.approx(5.25 - 0.3)
    tasks.append(begin(fleet))
    await asyncio.sleep(0.1)  # five seconds after the third error
    tasks.append(begin(fleet))
    await turns()
    assert bad.times[12:] == pytest.approx([5.35])
    await asyncio.gather(*tasks, return_exceptions=True)


@in_virtual_time
async def test_an_answer_that_was_on_its_way_ends_an_absence():
    fleet = fleet_of(Server(3.0, sick), Server(9.0))
    first, *others = begin(fleet), begin(fleet), begin(fleet)
    await turns()  # one at a, two at b
    await fail(fleet, TROUBLES)
    assert away(fleet) == "a"
    await first
    assert (now(), away(fleet)) == (3.0, "")
    await fail(fleet)  # asked again at once
    await asyncio.gather(*others)


@in_virtual_time
async def test_an_answer_ends_an_absence_also_while_another_request_looks():
    back = Server(7.0, sick, sick, sick, 100.0, 0.0)
    fleet = fleet_of(back, Server(1e6))
    tasks = [begin(fleet) for _ in range(3)]
    await turns()  # one at a, two at b
    await fail(fleet, TROUBLES)
    await asyncio.sleep(6)
    tasks.append(begin(fleet))
    await turns()
    assert (back.busy, away(fleet)) == (2, "a")
    await tasks[0]
    await ask(fleet)
    assert now() == 7.0
    assert fleet.endpoints[0] == EndpointState("a", 2, TROUBLES)


# Rate limits


@in_virtual_time
async def test_a_server_that_asks_for_patience_pauses_alone():
    busy, other = Server(slow_down(30), 0.0), Server()
    fleet = fleet_of(busy, other)
    await ask(fleet, 5)
    assert (busy.asked, other.asked, now()) == (1, 5, 0)
    await asyncio.sleep(29)
    await ask(fleet, 2)
    assert busy.asked == 1
    await asyncio.sleep(1)
    await asyncio.gather(*(ask(fleet) for _ in range(2)))
    assert shares(fleet) == [0, 9]
    assert away(fleet) == ""
    other.acts = [1.0]
    await asyncio.gather(*(ask(fleet) for _ in range(2)))
    assert shares(fleet) == [1, 10]


@in_virtual_time
async def test_a_rate_limit_says_that_the_server_is_there():
    busy = Server(sick, sick, slow_down(1), sick, sick, 0.0)
    fleet, _hung = await second(busy)
    await fail(fleet, 2)
    await ask(fleet)
    await asyncio.sleep(1)
    await fail(fleet, 2)
    assert away(fleet) == ""


@in_virtual_time
async def test_requests_in_flight_that_meet_one_limit_make_one_pause_and_the_longest_one_counts():
    class Crowded(Server):
        async def complete(self, request):
            self.times.append(now())
            await asyncio.sleep(0.1)
            act = self.acts.pop(0)
            raise act()

    busy = Crowded(*[slow_down()] * 5, slow_down(30), slow_down(1), slow_down(60))
    fleet = fleet_of(busy, Server(1.0))
    await asyncio.gather(*(ask(fleet) for _ in range(10)))
    assert (busy.asked, now()) == (5, 1.1)
    tasks = [begin(fleet) for _ in range(4)]
    await asyncio.gather(*tasks)
    assert busy.times[5:] == [1.1, 1.1]  # the pause was no longer than half a second
    for moment, asked in ((20.0, 7), (31.3, 8)):
        await asyncio.sleep(moment - now())
        await asyncio.gather(ask(fleet), ask(fleet))
        assert busy.asked == asked


@in_virtual_time
async def test_without_a_word_how_long_a_servers_pauses_double_to_a_minute():
    busy = Server(slow_down())
    fleet, _hung = await second(busy)
    while busy.asked < 10:
        await ask(fleet)
        await asyncio.sleep(0.25)
    gaps = [later - earlier for earlier, later in itertools.pairwise(busy.times)]
    assert gaps == [0.5, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]
    busy.acts = [0.0, slow_down(), 0.0]
    await asyncio.sleep(LONGEST_PAUSE)
    await ask(fleet, 2)
    await asyncio.sleep(0.5)
    await ask(fleet)
    assert shares(fleet)[1] == 2


@in_virtual_time
async def test_a_server_whose_advice_is_no_time_at_all_does_not_draw_every_request():
    busy = Server(slow_down(0))
    fleet, _hung = await second(busy)
    await ask(fleet, 100)
    assert busy.asked == 2


@in_virtual_time
async def test_when_all_ask_for_patience_the_shortest_wait_is_told_and_nothing_more_is_sent():
    servers = [Server(slow_down(60)), Server(slow_down(20)), Server(slow_down(40))]
    fleet = fleet_of(*servers)
    error = await fail(fleet)
    assert isinstance(error, RateLimited)
    assert (error.retry_after, error.http_status) == (20, 429)
    assert str(error) == "c: HTTP 429"
    await asyncio.sleep(5)
    error = await fail(fleet)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 15
    assert [server.asked for server in servers] == [1, 1, 1]
    servers[1].acts = [0.0]
    await asyncio.sleep(15)
    await ask(fleet)
    assert shares(fleet) == [0, 1, 0]


@in_virtual_time
async def test_a_rate_limit_lasts_no_longer_than_until_another_server_may_be_asked_again():
    fleet = fleet_of(Server(broken), Server(slow_down(30)))
    await asyncio.sleep(1)
    error = await fail(fleet)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 0


@in_virtual_time
async def test_a_job_waits_for_the_server_that_asked_for_patience_when_the_other_is_away():
    busy, dead = Server(slow_down(30)), Server(broken)
    fleet = fleet_of(busy, dead)
    error = await fail(fleet)  # both are asked; the other one may still be asked again
    assert type(error) is Retryable
    error = await fail(fleet)
    assert type(error) is Retryable
    error = await fail(fleet)
    assert away(fleet) == "b"
    assert isinstance(error, RateLimited)
    assert error.retry_after == 5


@in_virtual_time
async def test_what_one_server_still_allows_is_nothing_that_the_others_go_by():
    def told(left, reset):
        return Reply("yes", allowance=Allowance(requests=Bucket(left, reset)))

    small, large = Server(reply=told(0, 7.0)), Server(reply=told(50, 7.0))
    fleet = fleet_of(small, large)
    assert (await ask(fleet)).allowance is None
    assert (await ask(fleet, 3)).allowance is None
    assert shares(fleet) == [1, 3]
    small.reply = told(0, 86_400.0)
    await asyncio.sleep(7)
    large.acts = [1.0]
    await asyncio.gather(ask(fleet), ask(fleet))
    assert shares(fleet) == [2, 4]
    await asyncio.sleep(LONGEST_REFILL)
    await asyncio.gather(ask(fleet), ask(fleet))
    assert shares(fleet) == [3, 5]


# When no server is left


@in_virtual_time
async def test_each_server_is_asked_once_and_the_last_error_is_raised():
    servers = [Server(nobody), Server(broken), Server(nobody)]
    error = await fail(fleet_of(*servers))
    assert [server.asked for server in servers] == [1, 1, 1]
    assert (type(error), error.code) == (Unreachable, "connection")
    assert str(error).startswith("c: ")


@in_virtual_time
async def test_a_timeout_after_a_broken_connection_is_raised():
    error = await fail(fleet_of(Server(broken), Server(late), Server()))
    assert error.code == "timeout"


@in_virtual_time
async def test_when_all_are_away_the_one_that_is_due_first_is_asked_all_the_same():
    servers = [Server(nobody), Server(nobody)]
    fleet = fleet_of(*servers)
    for _ in range(TROUBLES):
        assert type(await fail(fleet)) is Unreachable
    assert away(fleet) == "ab"
    await asyncio.sleep(4.9)
    assert type(await fail(fleet)) is Unreachable
    assert [server.asked for server in servers] == [TROUBLES + 1, TROUBLES]
    await fail(fleet, 5)  # what is asked before its time is no look, so the looks stay near
    servers[1].acts = [0.0]
    await asyncio.sleep(0.1)
    await ask(fleet)
    assert away(fleet) == "a"
    servers[1].acts = [sick]
    await fail(fleet, TROUBLES)
    asked = [server.asked for server in servers]
    await fail(fleet)  # a is due in ten seconds, b in five
    assert [server.asked for server in servers] == [asked[0], asked[1] + 1]


@in_virtual_time
async def test_a_halt_passes_and_tells_the_address():
    def wrong_key():
        return Halt("the key was refused")

    fleet = fleet_of(Server(wrong_key), Server())
    with pytest.raises(Halt, match="a: the key was refused"):
        await ask(fleet)
    assert fleet.endpoints[0] == EndpointState("a")


# A whole run


@in_virtual_time
async def test_a_night_with_one_server_away_for_a_while_fails_no_job_and_spends_no_attempt():
    class Mortal(Server):
        async def complete(self, request):
            if 10 <= now() < 20:
                self.times.append(now())
                raise nobody()
            return await super().complete(request)

    servers = [Server(0.5), Mortal(0.5), Server(0.5)]
    night = Night(concurrency=12, client=fleet_of(*servers))
    await night.run(jobs(2000))
    assert len(night.answers) == 2000
    assert night.failures == {}
    assert night.tally.retries == 0
    assert {each.attempts for each in night.records.answers} == {1}
    assert not any(isinstance(event, Paused) for event in night.events)
    assert now() == pytest.approx(2000 * 0.5 / 12, rel=0.1)
    assert away(night.client) == ""
    assert len([at for at in servers[1].times if 10 <= at < 20]) <= 12


@in_virtual_time
async def test_a_night_without_any_server_waits_and_fails_no_job():
    class Mortal(Server):
        async def complete(self, request):
            if 10 <= now() < 1000:
                raise nobody()
            return await super().complete(request)

    night = Night(concurrency=6, client=fleet_of(Mortal(0.5), Mortal(0.5)))
    await night.run(jobs(500))
    assert len(night.answers) == 500
    assert night.failures == {}
    assert now() < 1000 + LONGEST_PROBE * 1.2 + 500 * 0.5 / 6


# What is passed on


@in_virtual_time
async def test_drop_and_close_reach_every_server():
    servers = [Server(), Server(), Server()]
    fleet = fleet_of(*servers)
    await fleet.drop()
    assert [server.dropped for server in servers] == [1, 1, 1]
    await ask(fleet)
    await fleet.close()
    assert [server.closed for server in servers] == [1, 1, 1]


@in_virtual_time
async def test_dropped_requests_are_asked_again_elsewhere_and_set_no_server_aside():
    class Droppable(Server):
        cut = None

        async def complete(self, request):
            self.cut = self.cut or asyncio.Event()
            cut, self.times = self.cut, [*self.times, now()]
            try:
                await asyncio.wait_for(cut.wait(), 5.0)
            except TimeoutError:
                return self.reply
            raise broken()

        async def drop(self):
            self.cut, cut = None, self.cut
            cut.set()

    servers = [Droppable(), Droppable(), Droppable()]
    fleet = fleet_of(*servers)
    tasks = [begin(fleet) for _ in range(12)]
    await asyncio.sleep(1)
    await fleet.drop()
    await asyncio.gather(*tasks)
    assert now() == 6.0
    assert sum(server.asked for server in servers) == 24
    assert sum(shares(fleet)) == 12
    assert [(each.failed, each.away) for each in fleet.endpoints] == [(0, False)] * 3


@in_virtual_time
async def test_close_reaches_the_others_when_one_cannot_be_closed():
    class Stuck(Server):
        async def close(self):
            raise OSError("stuck")

    servers = [Server(), Stuck(), Server()]
    with pytest.raises(OSError, match="stuck"):
        await fleet_of(*servers).close()
    assert [server.closed for server in servers] == [1, 0, 1]


@in_virtual_time
async def test_a_server_that_is_away_says_for_how_long():
    fleet = fleet_of(Server(sick), Server())
    await asyncio.sleep(3)
    await fail(fleet, TROUBLES)
    await asyncio.sleep(4)
    assert fleet.endpoints[0] == EndpointState("a", 0, TROUBLES, away=True, away_s=4.0)
    await asyncio.sleep(2)
    await fail(fleet)  # looked at in vain
    assert fleet.endpoints[0].away_s == 6.0
