"""What a limit was over time."""

import itertools

from batch.limits.history import MOST, History


def test_only_changes_are_points():
    history = History()
    for at, limit in enumerate([1, 1, 2, 2, 2, 4]):
        history.add(at + 0.04, limit)
    assert history.points == [(0.0, 1), (2.0, 2), (5.0, 4)]


def test_a_night_is_told_in_as_few_points_as_a_minute():
    history = History()
    for second in range(8 * 3600):
        history.add(float(second), second % 7)
        assert len(history.points) <= MOST
    times = [at for at, _ in history.points]
    assert times[0] == 0
    assert times[-1] > 7.5 * 3600
    assert max(b - a for a, b in itertools.pairwise(times)) < 3 * 8 * 3600 / MOST * 2


def test_every_point_was_true_at_its_moment():
    history = History()
    for second in range(5000):
        history.add(float(second), second // 3)
    assert all(limit == at // 3 for at, limit in history.points)


def test_a_history_tells_how_coarse_it_is():
    history = History()
    history.add(0.0, 1)
    assert repr(history) == "History(1 points, 0 s apart)"
    for second in range(1, 100):
        history.add(float(second), second)
    assert repr(history).endswith("s apart)")
    assert " 0 s apart" not in repr(history)
