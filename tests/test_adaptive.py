"""How many requests may be in flight; time is a number that these tests set."""

import pytest

from batch.limits.adaptive import FIRST_HOLD, LATELY, LONGEST_HOLD, Adaptive
from batch.limits.concurrency import Concurrency


class Busy:
    """An adaptive limit that is always used up: as many are in flight as may be."""

    def __init__(self, ceiling=128, limit=1):
        self.now = 1000.0
        self.places = Concurrency(limit)
        self.adaptive = Adaptive(self.places, ceiling, lambda: self.now)

    @property
    def limit(self):
        return self.places.limit

    def answers(self, count=1):
        """So many answers; the limit after them."""
        for _ in range(count):
            self.adaptive.grow(self.limit, self.limit)
        return self.limit

    def round_trips(self, count):
        """The limit after each of so many round trips."""
        return [self.answers(self.limit) for _ in range(count)]

    def cut(self, **how):
        self.adaptive.cut(self.limit, **how)
        return self.limit


def in_trouble(at=8):
    """A limit that was cut because of trouble that it met at a place."""
    busy = Busy(limit=at)
    busy.cut()
    return busy


# Growth


def test_a_limit_grows_by_one_an_answer_which_doubles_it_a_round_trip():
    busy = Busy()
    assert busy.answers() == 2
    assert Busy().round_trips(5) == [2, 4, 8, 16, 32]


def test_a_limit_ends_at_its_ceiling():
    busy = Busy(ceiling=20)
    assert busy.round_trips(6)[-2:] == [20, 20]
    assert repr(busy.adaptive) == "Adaptive(20 of 20, trouble at inf)"


@pytest.mark.parametrize(("flying", "ahead"), [(4, 0), (0, 4), (3, 4)])
def test_a_limit_grows_to_twice_of_what_is_used_and_no_further(flying, ahead):
    """Whether that many are in flight now or were so when the answered request was sent."""
    busy = Busy(limit=5)
    for _ in range(100):
        busy.adaptive.grow(flying, ahead)
    assert busy.limit == 8


# Cuts


@pytest.mark.parametrize(("flying", "left"), [(8, 4), (5, 2), (1, 1)])
def test_a_cut_goes_on_with_half_of_what_was_in_flight(flying, left):
    busy = Busy(limit=100)
    busy.adaptive.cut(flying)
    assert busy.limit == left


def test_a_cut_never_widens():
    busy = Busy(limit=2)
    busy.adaptive.cut(50)
    assert busy.limit == 2


def test_after_a_cut_a_limit_grows_fast_up_to_just_below_the_trouble_and_stays_there():
    busy = in_trouble(at=16)
    assert busy.answers(7) == 15
    assert busy.answers(1000) == 15
    busy.now += FIRST_HOLD - 0.1
    assert busy.answers(1000) == 15


def test_after_a_while_it_tries_for_more_by_one_a_round_trip():
    busy = in_trouble(at=16)
    busy.answers(7)
    busy.now += FIRST_HOLD
    assert busy.answers(14) == 15
    assert busy.answers(1) == 16
    assert busy.round_trips(3) == [17, 18, 19]


def test_it_tries_for_more_only_while_all_that_may_be_are_in_flight():
    busy = in_trouble(at=16)
    busy.answers(7)
    busy.now += FIRST_HOLD
    for _ in range(1000):
        busy.adaptive.grow(14, 14)
    assert busy.limit == 15


def test_trouble_that_is_not_known_to_come_of_the_limit_is_not_kept_away_from():
    busy = Busy(limit=16)
    assert busy.cut(remember=False) == 8
    assert busy.answers(24) == 32


def test_trouble_that_is_met_at_about_the_same_place_is_kept_away_from_for_longer():
    busy, holds = in_trouble(at=16), []
    for _ in range(5):
        began = busy.now
        while busy.answers(busy.limit) <= 15:
            busy.now += 1
        holds.append(busy.now - began)
        busy.cut()
    assert holds == pytest.approx([10, 20, 40, 60, 60], abs=2)
    assert (FIRST_HOLD, LONGEST_HOLD) == (10, 60)


@pytest.mark.parametrize(
    ("first", "second", "is_near"),
    [(16, 18, True), (16, 15, True), (16, 19, False), (16, 14, False), (2, 3, True), (5, 3, False)],
)
def test_about_the_same_place_is_an_eighth_more_or_less_or_one(first, second, is_near):
    busy = Busy()
    busy.adaptive.cut(first)
    busy.adaptive.cut(second)
    busy.places.limit = second - 1
    busy.now += FIRST_HOLD
    assert (busy.answers(second) == second - 1) == is_near


def test_trouble_that_is_met_elsewhere_is_kept_away_from_for_a_short_while_again():
    busy = in_trouble(at=16)
    for _ in range(3):
        busy.adaptive.cut(16)
    busy.adaptive.cut(32)
    busy.answers(100)
    assert busy.limit == 31
    busy.now += FIRST_HOLD
    assert busy.answers(31) == 32


# Refusals


def test_a_refusal_where_more_were_in_flight_than_ever_went_well_keeps_below():
    busy = Busy(limit=6)
    for ahead in (1, 2, 3, 4):
        busy.adaptive.grow(6, ahead)
    assert busy.adaptive.refused(5)
    assert busy.limit == 4
    assert busy.answers(100) == 4
    busy.now += FIRST_HOLD
    assert busy.answers(4) == 5


def test_a_refusal_where_as_many_went_well_before_is_explained_by_something_else():
    busy = Busy(ceiling=6, limit=6)
    busy.adaptive.grow(0, 5)
    assert not busy.adaptive.refused(5)
    assert not busy.adaptive.refused(3)
    assert busy.limit == 6


def test_a_refusal_never_widens():
    busy = Busy(limit=2)
    assert busy.adaptive.refused(9)
    assert busy.limit == 2


def test_what_went_well_is_remembered_for_a_while():
    busy = Busy(limit=6)
    busy.adaptive.grow(0, 5)
    for _ in range(int(LATELY) - 1):
        busy.now += 1
        busy.adaptive.grow(0, 1)
    assert not busy.adaptive.refused(5)


def test_what_went_well_is_remembered_for_as_long_in_the_middle_of_a_run():
    busy = Busy(limit=6)
    for ahead in [1] * 50 + [5] + [1] * (int(LATELY) - 1):
        busy.now += 1
        busy.adaptive.grow(0, ahead)
    assert not busy.adaptive.refused(5)


def test_what_went_well_long_ago_says_nothing_any_more():
    busy = Busy(limit=6)
    busy.adaptive.grow(0, 5)
    for _ in range(2 * int(LATELY) + 1):
        busy.now += 1
        busy.adaptive.grow(0, 2)
    assert busy.adaptive.refused(3)
    assert busy.limit == 2


# Looking, and beginning again


def test_a_look_is_one_request_and_its_answer_brings_back_what_was():
    busy = Busy(limit=12)
    busy.adaptive.look()
    assert busy.limit == 1
    assert busy.answers() == 12
    assert busy.answers() == 13


def test_several_looks_are_answered_by_one():
    busy = Busy(limit=12)
    for _ in range(3):
        busy.adaptive.look()
    assert busy.answers() == 12


def test_a_cut_meanwhile_is_not_undone_by_the_answer_to_a_look():
    busy = Busy(limit=12)
    busy.adaptive.look()
    busy.adaptive.cut(1, remember=False)
    assert busy.answers() == 2
    busy = Busy(limit=12)
    busy.adaptive.look()
    assert busy.adaptive.refused(9)
    assert busy.answers() == 2


def test_who_begins_again_has_forgotten_the_trouble():
    busy = in_trouble(at=8)
    busy.adaptive.restart()
    assert busy.limit == 1
    assert busy.round_trips(4) == [2, 4, 8, 16]


def test_who_begins_again_goes_back_to_no_look():
    busy = Busy(limit=12)
    busy.adaptive.look()
    busy.adaptive.restart()
    assert busy.answers() == 2
