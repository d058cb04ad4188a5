"""docs/guarantees.md says the truth about the tests: each that it names exists, no row is missing."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "guarantees.md").read_text("utf-8")
ROWS = {"A": 21, "B": 15, "C": 23, "D": 14, "E": 18, "F": 17, "G": 14, "H": 17}
"""How many faults of each kind the page answers for."""

TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows():
    """The lines of the tables: a name, and the other cells."""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) > 1 and re.fullmatch(r"[A-Z]\d+", cells[0]):
            yield cells


def tests_of(path):
    """The names of the tests of a file."""
    tree = ast.parse((HERE / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_test_that_the_page_names_exists():
    named = set(TEST.findall(PAGE))
    assert named
    files = {path for path, _ in named}
    known = {(path, name) for path in files for name in tests_of(path)}
    assert named - known == set()


def test_whatever_looks_like_a_test_is_written_as_one():
    assert re.findall(r"test_\w+", TEST.sub("", PAGE)) == []


@pytest.mark.parametrize("kind", ROWS)
def test_every_fault_has_its_row_in_order(kind):
    names = [cells[0] for cells in rows() if cells[0][0] == kind and cells[0][1:].isdigit()]
    wanted = [f"{kind}{number}" for number in range(1, ROWS[kind] + 1)]
    assert [name for name in names if name in wanted] == wanted


def test_every_row_names_a_test_or_says_that_and_why_nothing_is_promised():
    silent = [
        cells[0]
        for cells in rows()
        if not TEST.search(cells[-1]) and not re.search(r"not promised: \w+", cells[-1])
    ]
    assert silent == []


def test_every_guarantee_of_readme_has_its_row():
    readme = (HERE.parent / "README.md").read_text("utf-8")
    chapter = readme.partition("## Guarantees")[2].partition("\n## ")[0]
    told = re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\*", chapter, re.MULTILINE)
    page = re.findall(r"^\| (\d+) \| \*\*(.+?)\.?\*\*", PAGE, re.MULTILINE)
    assert len(told) == 10
    assert page == told
