"""What the documents say of tests is true: each that is named exists, no fault lacks its row."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PAGE = (DOCS / "guarantees.md").read_text("utf-8")
ROWS = {"A": 21, "B": 15, "C": 23, "D": 14, "E": 18, "F": 17, "G": 14, "H": 17}
"""How many faults of each kind the page answers for."""

TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows():
    """The lines of the tables: a name, and the other cells."""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) > 1 and re.fullmatch(r"[A-Z]\d+", cells[0]):
            yield cells


def names_in(path):
    """The names of the tests of a file."""
    tree = ast.parse((HERE / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("page", ["guarantees.md", "security.md"])
def test_every_test_that_a_page_names_exists(page):
    named = set(TEST.findall((DOCS / page).read_text("utf-8")))
    assert named
    files = {path for path, _ in named}
    known = {(path, name) for path in files for name in names_in(path)}
    assert named - known == set()


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_whatever_looks_like_a_test_is_written_so_that_it_is_checked(page):
    assert re.findall(r"::\s*test_\w+", TEST.sub("", page.read_text("utf-8"))) == []


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
