"""How many requests a second a server takes; time is a number that these tests set."""

import itertools
import math

import pytest

from batch.limits.pace import (
    BELOW,
    FIRST_HOLD,
    LONGEST_HOLD,
    NEARLY,
    SLOWEST,
    SURE,
    UNSURE,
    WELL_BELOW,
    Meter,
    Pace,
    Share,
)

MANY = 100  # refusals of one episode: whatever was sent, they are too large a share


class Traffic:
    """Requests that keep to a pace or not; each is answered after `latency` seconds, if ever."""

    def __init__(self, latency=math.inf):
        self.now = 1000.0
        self.pace = Pace(lambda: self.now)
        self.latency = latency
        self.sent = []
        self.ends = []

    def _until(self, end):
        """Let time go by, and answers come."""
        while self.ends and self.ends[0] <= end:
            self.now = self.ends.pop(0)
            self.pace.answered()
        self.now = end

    def send(self):
        self.pace.sent()
        self.sent.append(self.now)
        if self.latency < math.inf:
            self.ends.append(self.now + self.latency)
        self._until(self.now)

    def runs(self, rate, seconds):
        """So many requests a second, whatever the pace is."""
        began = self.now
        for count in range(round(rate * seconds)):
            self._until(began + count / rate)
            self.send()
        self._until(began + seconds)

    def follows(self, seconds):
        """As many requests as the pace allows."""
        end = self.now + seconds
        while (moment := self.now + max(0.0, self.pace.moments.wait(self.now))) <= end:
            self._until(moment)
            self.send()
        self._until(end)

    def keeps(self, rate, seconds=4.0, answers=math.inf):
        """Requests at a pace of so many a second, so that it is felt; `answers` came since."""
        self.pace.rate, self.pace.moments.interval = rate, 1 / rate
        self.follows(seconds)
        self.pace.answers = answers

    def refused(self, since=None, count=MANY):
        """An episode of refusals; the rate after it."""
        before = self.pace.rate
        self.pace.share.refused += count
        changed = self.pace.refused(self.now if since is None else since)
        assert changed or self.pace.rate == before
        return self.pace.rate


# The first guess


def test_a_pace_is_free_until_the_first_refusal():
    traffic = Traffic()
    traffic.runs(500, 3)
    assert traffic.pace.rate is None
    assert traffic.pace.moments.wait(traffic.now) <= 0
    assert repr(traffic.pace) == "Pace(free)"


def test_the_first_guess_is_just_below_the_rate_that_was_refused():
    traffic = Traffic()
    traffic.runs(20, 5)
    assert traffic.refused() == pytest.approx(BELOW * 20, rel=0.03)
    assert repr(traffic.pace).startswith("Pace(19")
    assert BELOW == 0.96


def test_a_pace_tells_whether_a_refusal_changed_it():
    traffic = Traffic()
    traffic.runs(100, 10)
    assert not traffic.pace.refused(traffic.now)
    traffic.pace.share.refused = MANY
    assert not traffic.pace.refused(0.0)
    assert traffic.pace.refused(traffic.now)


def test_a_refusal_of_nobody_knows_when_is_one_of_now():
    traffic = Traffic()
    traffic.runs(20, 5)
    assert traffic.refused(math.inf) == pytest.approx(BELOW * 20, rel=0.03)


def test_what_was_sent_after_the_refused_request_does_not_count():
    traffic = Traffic()
    traffic.runs(20, 5)
    since = traffic.now
    traffic.runs(200, 1)
    assert traffic.refused(since) == pytest.approx(BELOW * 20, rel=0.15)


def test_only_the_last_ten_seconds_count():
    traffic = Traffic()
    traffic.runs(2, 60)
    traffic.runs(20, 11)
    assert traffic.refused() == pytest.approx(BELOW * 20, rel=0.03)


def test_a_refusal_within_the_first_second_is_of_a_second():
    """Ten requests in one instant are no endless rate."""
    traffic = Traffic()
    for _ in range(10):
        traffic.send()
    assert traffic.refused() == pytest.approx(BELOW * 10)


def test_a_refusal_of_what_was_sent_before_the_pause_teaches_nothing():
    traffic = Traffic()
    traffic.runs(20, 5)
    sent = traffic.now
    traffic.pace.resume(traffic.now + 10)
    traffic.now += 30
    assert traffic.refused(sent) is None
    assert traffic.refused() is not None


def test_requests_keep_to_the_pace_evenly():
    traffic = Traffic()
    traffic.keeps(20.0)
    gaps = [b - a for a, b in itertools.pairwise(traffic.sent)]
    assert gaps == pytest.approx([1 / 20] * len(gaps))


# Cuts


def test_a_pace_that_was_kept_for_long_is_cut_to_96_percent():
    traffic = Traffic()
    traffic.keeps(20.0)
    assert traffic.refused() == pytest.approx(BELOW * 20)
    traffic.keeps(20.0, seconds=100, answers=1900)
    assert traffic.refused() == pytest.approx(BELOW * 20)


def test_a_pace_that_is_refused_soon_again_is_cut_further_by_what_was_answered_meanwhile():
    """Twelve a second were answered at a pace of twenty: the truth lies between."""
    traffic = Traffic()
    traffic.keeps(20.0)
    traffic.refused()
    traffic.keeps(20.0, seconds=2.5, answers=30)
    assert traffic.refused() == pytest.approx((20 * 12) ** 0.5)


def test_answers_are_counted_from_one_refusal_to_the_next():
    traffic = Traffic(latency=0.0)
    traffic.runs(50, 10)
    traffic.refused()
    traffic.runs(2, 20)
    traffic.latency = math.inf
    traffic.runs(20, 1)
    traffic.pace.is_felt(traffic.now)
    traffic.pace.rate = 21.0
    recent, steady = (9 * 2 + 20) / 10, 40 / 21
    assert traffic.refused() == pytest.approx(max(BELOW * (recent * steady) ** 0.5, 0.7 * 21))
    assert traffic.pace.answers == 0


def test_a_pace_is_never_cut_to_less_than_70_percent_at_once():
    traffic = Traffic()
    traffic.keeps(20.0)
    traffic.refused()
    traffic.keeps(20.0, seconds=2.5, answers=0)
    assert traffic.refused() == pytest.approx(WELL_BELOW * 20)
    traffic.keeps(20.0, seconds=10)
    traffic.runs(1, 10)
    assert traffic.refused() == pytest.approx(WELL_BELOW * 20)
    assert WELL_BELOW == 0.7


@pytest.mark.parametrize(("answers", "truth"), [(80, (9.4 * 8) ** 0.5), (140, 9.4)])
def test_a_refusal_where_the_pace_is_not_felt_lies_between_the_recent_rate_and_the_steady_one(
    answers, truth
):
    """Within ten seconds 94 requests went out; 80 or 140 were answered since the last refusal."""
    traffic = Traffic()
    traffic.keeps(10.0)
    traffic.refused()
    traffic.keeps(10.0, seconds=8)
    traffic.runs(7, 2)
    traffic.pace.answers = answers
    assert traffic.refused() == pytest.approx(BELOW * truth, rel=0.02)


def test_no_pace_is_slower_than_one_request_a_minute():
    traffic = Traffic()
    traffic.keeps(20.0)
    for _ in range(100):
        traffic.now += 1
        traffic.pace.answers = 0
        traffic.refused()
    assert traffic.pace.rate == SLOWEST == 1 / 60
    assert traffic.pace.moments.interval == 60
    assert repr(traffic.pace) == "Pace(0.0167/s)"


# Refusals that say nothing


def test_a_share_of_one_percent_of_refusals_changes_nothing_in_the_long_run():
    """Some servers refuse one request of a hundred at any rate."""
    traffic = Traffic()
    for _ in range(300):
        traffic.runs(50, 2)
        traffic.refused(count=1)
    assert traffic.pace.rate is None


def test_a_share_of_three_percent_makes_a_pace():
    traffic = Traffic()
    for _ in range(100):
        traffic.runs(50, 2)
        traffic.refused(count=3)
    assert traffic.pace.rate is not None


@pytest.mark.parametrize(("sent", "limit"), [(1000, 15), (1999, 29)])
def test_one_refusal_in_sixty_six_is_one_too_many(sent, limit):
    for refused in (limit, limit + 1):
        share = Share()
        for _ in range(sent):
            share.sent()
        share.refused = refused
        assert share.is_too_large() == (refused > limit)


@pytest.mark.parametrize(("among", "is_too_large"), [(80, False), (55, True)])
def test_the_share_stays_the_same_however_long_it_is_counted(among, is_too_large):
    share, told = Share(), []
    for _ in range(300):
        for _ in range(among):
            share.sent()
        share.refused += 1
        told.append(share.is_too_large())
    assert told[5:] == [is_too_large] * 295


def test_three_episodes_among_fifty_requests_make_a_pace_however_many_were_sent_before():
    traffic = Traffic()
    traffic.runs(100, 100)
    rates = []
    for _ in range(4):
        traffic.runs(10, 2)
        rates.append(traffic.refused(count=1))
    assert rates[:2] == [None, None]
    assert rates[3] is not None


def test_the_share_of_refusals_is_that_of_the_last_requests():
    share = Share()
    share.refused = 1000.0  # of long ago
    told = []
    for _ in range(30):
        for _ in range(1000):
            share.sent()
        told.append(share.is_too_large())
    assert told[0]
    assert not told[-1]


# Growth


def answered(latency=0.0):
    """Traffic whose pace was just cut to 19.2 a second, and whose requests are answered now."""
    traffic = Traffic()
    traffic.keeps(20.0)
    traffic.refused()
    traffic.latency = latency
    return traffic


def growth(traffic, seconds):
    """By which share a pace grows in so many seconds."""
    before = traffic.pace.rate
    traffic.follows(seconds)
    return traffic.pace.rate / before - 1


def test_after_a_refusal_a_pace_is_kept_for_five_seconds_and_then_grows_one_percent_a_second():
    traffic = answered()
    assert growth(traffic, FIRST_HOLD - 0.1) == 0
    assert growth(traffic, 1.1) == pytest.approx(SURE, rel=0.3)
    assert (FIRST_HOLD, SURE) == (5, 0.01)


def test_growth_doubles_every_ten_seconds():
    traffic = answered()
    traffic.follows(FIRST_HOLD)
    first, second = (math.log1p(growth(traffic, 10)) for _ in range(2))
    assert first == pytest.approx(10 * SURE / math.log(2), rel=0.1)
    assert second / first == pytest.approx(2, rel=0.1)


def test_growth_is_never_more_than_half_a_second_and_makes_up_for_no_second_without_answers():
    traffic = answered()
    traffic.latency = math.inf
    traffic.now += 3600
    traffic.keeps(20.0)
    traffic.pace.answered()
    assert traffic.pace.rate == pytest.approx(30)
    traffic.pace.answered()
    assert traffic.pace.rate == pytest.approx(30)


@pytest.mark.parametrize(("rate", "a_second"), [(2.0, UNSURE), (30.0, SURE)])
def test_a_first_guess_is_left_at_once_and_faster_when_it_is_a_guess_of_few_requests(
    rate, a_second
):
    traffic = Traffic()
    traffic.runs(rate, 10)
    traffic.refused()
    traffic.latency = 0.0
    traffic.follows(2.0)
    assert growth(traffic, 1) == pytest.approx(a_second, rel=0.5)


def test_a_refusal_at_about_the_same_rate_is_kept_away_from_for_twice_as_long():
    """Up to ten minutes."""
    traffic, holds = Traffic(), []
    for _ in range(10):
        traffic.latency = math.inf
        traffic.keeps(1.0)
        began, rate = traffic.now, traffic.refused()
        traffic.latency = 0.0
        while traffic.pace.rate == rate:
            traffic.follows(1.1)
        holds.append(traffic.now - began)
    assert holds == pytest.approx([5, 10, 20, 40, 80, 160, 320, 600, 600, 600], abs=3)
    assert LONGEST_HOLD == 600


@pytest.mark.parametrize(("share", "is_near"), [(1.08, True), (0.93, True), (1.2, False)])
def test_about_the_same_rate_is_a_tenth_more_or_less(share, is_near):
    traffic = Traffic()
    for rate in (20.0, 20.0 * share):
        traffic.keeps(rate)
        traffic.refused()
    traffic.latency = 0.0
    traffic.follows(FIRST_HOLD)
    assert (growth(traffic, 2) == 0) == is_near


def test_a_first_guess_does_not_grow_in_the_instant_in_which_it_is_made():
    traffic = Traffic()
    traffic.runs(2.0, 10)
    rate = traffic.refused()
    traffic.pace.answered()
    assert traffic.pace.rate == rate


def test_a_refusal_at_another_rate_is_kept_away_from_for_five_seconds_again():
    traffic = Traffic()
    for _ in range(5):
        traffic.keeps(20.0)
        traffic.refused()
    traffic.keeps(40.0)
    traffic.refused()
    traffic.latency = 0.0
    assert growth(traffic, FIRST_HOLD - 0.1) == 0
    assert growth(traffic, 2) > 0


def test_a_pace_that_holds_nobody_back_does_not_grow():
    traffic = answered()
    rate = traffic.pace.rate
    traffic.runs(rate * NEARLY * 0.9, 60)
    assert traffic.pace.rate == rate


@pytest.mark.parametrize("latency", [0.1, 5.0, 30.0])
def test_a_slow_pace_grows_too_however_late_its_answers_come(latency):
    """One request in ten seconds: hardly ever is one of them among those of the last two."""
    traffic = Traffic()
    traffic.keeps(0.1)
    traffic.refused()
    traffic.latency = latency
    while traffic.pace.rate < 1.0:
        traffic.follows(10)
        assert traffic.now < 1600


def test_a_slow_pace_that_holds_nobody_back_does_not_grow():
    """It would allow a request in ten seconds, there is one in twenty."""
    traffic = Traffic()
    traffic.keeps(0.1)
    for _ in range(50):
        traffic.now += 7
        traffic.send()
        traffic.now += 13
        traffic.pace.answered()
    assert traffic.pace.rate == 0.1


def test_a_pace_is_not_felt_before_there_is_one():
    traffic = Traffic()
    traffic.runs(100, 5)
    assert not traffic.pace.is_felt(traffic.now)


def test_right_after_a_pause_a_pace_is_felt_as_it_was_before():
    traffic = Traffic()
    traffic.keeps(20.0)
    assert traffic.pace.is_felt(traffic.now)
    traffic.pace.resume(traffic.now + 10)
    traffic.now += 10.2
    assert traffic.pace.is_felt(traffic.now)
    traffic.now += 1
    assert not traffic.pace.is_felt(traffic.now)


# Counting


def test_a_meter_counts_between_two_moments():
    meter = Meter()
    for n in range(100):
        meter.add(n / 20)
    assert meter.rate(0, 5) == pytest.approx(20)
    assert meter.rate(2, 4) == pytest.approx(20, rel=0.1)
    assert meter.rate(50, 60) == 0


def test_a_meter_looks_back_ten_seconds_at_most():
    meter = Meter()
    for n in range(20_000):
        meter.add(n / 1000)
    assert meter.rate(0, 20) == pytest.approx(1000, rel=0.02)
    assert meter.rate(0, 25) == pytest.approx(500, rel=0.02)
