"""What the suites of the proof share: their size, their seed, nights to spoil, and their table.

`pytest tests/proof` is the share of CI, `pytest tests/proof --long` the whole (`make proof`).
"""

import random
from collections import Counter
from pathlib import Path

import pytest
from night import Night, answer
from server import Server

LONG_LIMIT = 3600
"""Seconds that one test of the long version may take."""

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    if config.getoption("long"):
        for item in items:
            item.add_marker(pytest.mark.timeout(LONG_LIMIT))


@pytest.fixture
def many(request):
    """Choose how many cases: `many(short, long)`."""
    return lambda short, long: long if request.config.getoption("long") else short


@pytest.fixture
def chance(request):
    """Random numbers; what they begin with is shown when the test fails, and `--seed` sets it."""
    seed = request.config.getoption("seed")
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    print(f"--seed {seed}")
    return random.Random(seed)


@pytest.fixture
def count(record_property):
    """Add to a row of the table that is printed at the end: `count(cases=120, kills=118)`."""

    def add(**numbers):
        for name, number in numbers.items():
            record_property(name, number)

    return add


@pytest.fixture
def night(tmp_path):
    """Make a night of so many jobs against a server that `options` describe."""
    made = []

    def make(jobs=0, **options):
        server = Server(**({"answer": answer} | options)).__enter__()
        made.append(server)
        folder = tmp_path / str(len(made))
        folder.mkdir()
        return Night(folder, server, jobs)

    yield make
    for server in made:
        server.__exit__(None, None, None)


def pytest_terminal_summary(terminalreporter, config):
    """A line a suite: cases, tests that failed, seconds, and whatever its tests counted."""
    rows = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            path = config.rootpath / report.nodeid.partition("::")[0]
            if path.parent == HERE:
                row = rows.setdefault(path.stem.removeprefix("test_"), Counter())
                add_report(row, report)
    if rows:
        terminalreporter.section("proof")
    for name, row in sorted(rows.items()):
        more = ", ".join(f"{key} {value:,}" for key, value in row.items() if key not in COLUMNS)
        numbers = "".join(f"{row[key]:>10,.0f} {key}" for key in COLUMNS)
        terminalreporter.write_line(f"{name:<16}{numbers}  {more}")


COLUMNS = ("cases", "failed", "skipped", "seconds")


def add_report(row, report):
    """Add what one phase of a test reports to the row of its suite."""
    row["seconds"] += report.duration
    row["failed"] += report.failed
    row["skipped"] += report.skipped
    if report.when == "call":
        counted = dict.fromkeys(name for name, _ in report.user_properties)
        row["cases"] += "cases" not in counted
        for name, number in report.user_properties:
            row[name] += number
