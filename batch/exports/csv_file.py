"""A CSV file of all results (RFC 4180) that a spreadsheet opens without running anything in it.

Source: OWASP, CSV Injection: which first characters make a cell a formula.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable

from .answers import Answers
from .draft import Draft
from .table import COLUMNS, cells
from .terms import Export, LeftOut, Written

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell that is a formula begins with; the wide signs count in East Asian editions."""


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write a line a result under a line of names; `bom` tells Excel that it is UTF-8."""
    rows = files = 0
    with Draft(export.out.parent, export.out.name) as draft:
        draft.file.write(codecs.BOM_UTF8 if export.bom else b"")
        draft.file.write(line(COLUMNS))
        for answer in answers.read(left_out):
            draft.file.write(line(cells(answer.result).values()))
            rows += 1
        if rows:
            files += draft.keep(overwrite=export.overwrite)
    load = f"pandas.read_csv({json.dumps(str(export.out), ensure_ascii=False)})"
    return Written(rows, files, str(export.out), load)


def line(row: Iterable[str | float | None]) -> bytes:
    r"""A row with its `\r\n`; nothing at all between two commas is no value."""
    return (",".join(map(field, row)) + "\r\n").encode()


def field(cell: str | float | None) -> str:
    """A cell; texts stand in quotes, all of them.

    Readers that guess the quoting from the first rows (DuckDB) shall guess right when only the
    last answer holds a comma. A text that looks like a formula gets a `'`.
    """
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return str(cell)
    safe = f"'{cell}" if cell.startswith(FORMULA) else cell
    return '"{}"'.format(safe.replace('"', '""'))
