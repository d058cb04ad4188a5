"""A SQLite database with one table, a row a result."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from ..errors import OutputError
from .answers import Answers
from .draft import Draft
from .table import COLUMNS, cells, is_storable
from .terms import Export, LeftOut, Written

SHAPE = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
CREATE = f"CREATE TABLE results ({SHAPE}, PRIMARY KEY (id))"
INSERT = "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
SELECT = "select id, output from results"


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write the database; raises `OutputError` when SQLite cannot."""
    with Draft(export.out.parent, export.out.name) as draft:
        try:
            # The draft is nobody's database yet, so it needs no journal of its own.
            with closing(sqlite3.connect(draft.path, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode = OFF")
                database.execute("PRAGMA synchronous = OFF")
                database.execute("BEGIN")
                database.execute(CREATE)
                rows = database.executemany(INSERT, storable(answers, left_out)).rowcount
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutputError(f"cannot write {export.out}: {error}") from error
        files = int(rows > 0 and draft.keep(overwrite=export.overwrite))
    load = shlex.join(("sqlite3", str(export.out), SELECT))
    return Written(max(rows, 0), files, str(export.out), load)


def storable(answers: Answers, left_out: LeftOut) -> Iterator[tuple[Any, ...]]:
    """The rows whose numbers fit."""
    for answer in answers.read(left_out):
        row = cells(answer.result)
        if is_storable(row):
            yield tuple(row.values())
        else:
            left_out.add(answer.result.id, "one of its numbers does not fit into 64 bits")
