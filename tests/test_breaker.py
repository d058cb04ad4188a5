"""Whether the provider is away."""

from batch.limits.breaker import LONGEST_PROBE, TROUBLES, Breaker


def test_the_breaker_opens_with_the_eighth_error_in_a_row():
    breaker = Breaker()
    for _ in range(TROUBLES - 1):
        breaker.troubled()
    assert not breaker.is_open
    breaker.answered()
    assert repr(breaker) == "Breaker(troubles=0, probes=0)"
    for _ in range(TROUBLES):
        breaker.troubled()
    assert breaker.is_open
    assert repr(breaker) == "Breaker(troubles=8, probes=0)"


def test_fewer_errors_may_be_enough():
    breaker = Breaker(2)
    breaker.troubled()
    assert not breaker.is_open
    breaker.troubled()
    assert breaker.is_open
    assert breaker.openings == 1


def test_an_absence_counts_once_however_long_it_lasts():
    breaker, openings = Breaker(), []
    for _ in range(2):
        for _ in range(TROUBLES - 1):
            breaker.troubled()
        openings.append(breaker.openings)
        for _ in range(50):
            breaker.troubled()
        openings.append(breaker.openings)
        breaker.answered()
    assert openings == [0, 1, 1, 2]


def test_looks_at_a_provider_that_is_away_begin_at_five_seconds_and_double_to_two_minutes():
    breaker = Breaker()
    assert [breaker.next_probe() for _ in range(7)] == [5, 10, 20, 40, 80, 120, 120]
    breaker.answered()
    assert breaker.next_probe() == 5


def test_a_week_of_absence_overflows_nothing():
    breaker = Breaker()
    assert {breaker.next_probe() for _ in range(6000)} >= {LONGEST_PROBE}
