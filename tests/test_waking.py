"""Whether this machine slept: clocks are numbers that these tests set."""

import time

import pytest

from batch.limits.waking import GAP, Waking, boot_time

HOUR = 3600.0


class Machine:
    """Two clocks: one stands still while it sleeps, the other goes on."""

    def __init__(self):
        self.worked = 1000.0
        self.passed = 70_000.0
        self.waking = Waking(lambda: self.worked, lambda: self.passed)

    def works(self, seconds):
        self.worked += seconds
        self.passed += seconds

    def sleeps(self, seconds):
        self.passed += seconds

    def ticks(self, count=1, spacing=1.0):
        """What each of so many ticks tells."""
        told = []
        for _ in range(count):
            self.works(spacing)
            told.append(self.waking.tick())
        return told


@pytest.fixture
def machine():
    return Machine()


def test_a_machine_that_works_never_slept(machine):
    assert set(machine.ticks(1000)) == {0.0}


def test_a_sleep_is_told_once_and_in_seconds(machine):
    machine.ticks(5)
    machine.sleeps(8 * HOUR)
    assert machine.ticks(3) == [8 * HOUR, 0, 0]


def test_every_sleep_is_told(machine):
    told = []
    for _ in range(3):
        machine.sleeps(HOUR)
        told += machine.ticks(2)
    assert told == [HOUR, 0] * 3


def test_a_sleep_that_was_noticed_before_the_tick_is_not_told_by_the_tick_again(machine):
    machine.ticks()
    machine.sleeps(HOUR)
    assert machine.waking.slept() == HOUR
    assert machine.waking.slept() == 0
    assert machine.ticks(2) == [0, 0]


@pytest.mark.parametrize(("seconds", "told"), [(GAP - 1, 0), (GAP + 1, GAP + 1)])
def test_less_than_half_a_minute_is_a_busy_machine(machine, seconds, told):
    machine.ticks()
    machine.sleeps(seconds)
    assert machine.ticks(2) == [told, 0]
    assert machine.ticks(2, spacing=seconds) == [told, told]
    assert GAP == 30.0


def test_clocks_that_drift_apart_slowly_tell_of_no_sleep(machine):
    """Also not when the drift adds up to an hour, as naps and corrections of the time do."""
    told = []
    for _ in range(200):
        machine.sleeps(20.0)
        told += machine.ticks()
    assert set(told) == {0.0}


def test_a_clock_that_is_set_back_tells_of_no_sleep_and_hides_none(machine):
    machine.ticks()
    machine.sleeps(-HOUR)
    assert machine.ticks() == [0]
    machine.sleeps(60.0)
    assert machine.ticks() == [60]


def test_a_process_that_was_stopped_has_missed_its_ticks(machine):
    machine.ticks(5)
    machine.works(100.0)
    assert machine.waking.slept() == 100
    assert machine.waking.slept() == 0
    assert machine.ticks(2) == [0, 0]


def test_a_tick_tells_of_the_stop_before_it(machine):
    machine.ticks()
    machine.works(99.0)
    assert machine.ticks(3) == [100, 0, 0]


def test_a_process_that_was_stopped_on_a_machine_that_slept_missed_both(machine):
    machine.ticks()
    machine.works(100.0)
    machine.sleeps(HOUR)
    assert machine.waking.slept() == HOUR + 100


def test_without_ticks_only_the_clocks_count(machine):
    machine.works(8 * HOUR)
    assert machine.waking.slept() == 0
    machine.sleeps(HOUR)
    machine.works(8 * HOUR)
    assert machine.waking.slept() == HOUR


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no boot clock")
def test_a_clock_that_is_set_means_nothing_where_there_is_a_boot_clock(monkeypatch):
    waking = Waking(time.monotonic)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert boot_time() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)
    assert waking.tick() == 0


def test_where_there_is_no_boot_clock_the_wall_clock_tells_of_sleeps(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    wall = [1e9]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    waking = Waking(lambda: 5.0)
    wall[0] += HOUR
    assert waking.tick() == HOUR
