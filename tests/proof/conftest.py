"""What the suites of the proof share: their size, their seed, nights to spoil, and their table.

`pytest tests/proof` is the share of CI, `pytest tests/proof --long` the whole (`make proof`).
"""

import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from nursery import Nursery
from server import Server
from trials import Trial, tell

pytest.register_assert_rewrite("killing")

LONG_LIMIT = 3600
"""Seconds that one test of the long version may take."""

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    if config.getoption("long"):
        for item in items:
            item.add_marker(pytest.mark.timeout(LONG_LIMIT), append=False)


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


@pytest.fixture(scope="module")
def nursery():
    """A process that makes runs of the command by forking."""
    with Nursery() as one:
        yield one


@pytest.fixture
def memory():
    """A folder in memory, where there is one: thousands of syncs cost nothing there."""
    shared = Path("/dev/shm")
    place = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


@pytest.fixture
def trial(memory, nursery):
    """A folder of pictures with a past, and a server."""
    with Server(answer=tell) as server:
        yield Trial(memory, server, nursery)


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
    for line in worst_of(terminalreporter.getreports("passed")):
        terminalreporter.write_line(line)


COLUMNS = ("cases", "failed", "skipped", "seconds")
MOST = ("most_paid_twice_in_a_kill",)
"""Numbers of which the largest tells; the others are added."""


WORST = {"mib": "MiB more than an idle run"}
"""What is not added but told case by case, the worst of all."""
SHOWN = 5


@pytest.fixture
def worst(record_property):
    """Tell what one case took: `worst("a bomb", mib=12.5)`."""

    def tell(case, **numbers):
        for name, number in numbers.items():
            record_property(name, (number, case))

    return tell


def worst_of(reports):
    """The lines of the worst cases of each suite."""
    found = {}
    for report in reports:
        if report.when == "call":
            suite = report.nodeid.partition("::")[0].rpartition("/")[2]
            for name, told in report.user_properties:
                if name in WORST:
                    found.setdefault((suite, name), []).append(told)
    for (suite, name), cases in sorted(found.items()):
        for number, case in sorted(cases, reverse=True)[:SHOWN]:
            yield f"  {number:8.1f} {WORST[name]}: {suite}, {case}"


def add_report(row, report):
    """Add what one phase of a test reports to the row of its suite."""
    row["seconds"] += report.duration
    row["failed"] += report.failed
    row["skipped"] += report.skipped
    if report.when == "call":
        counted = dict.fromkeys(name for name, _ in report.user_properties)
        row["cases"] += "cases" not in counted
        for name, number in report.user_properties:
            if name in WORST:
                continue
            row[name] = max(row[name], number) if name in MOST else row[name] + number
