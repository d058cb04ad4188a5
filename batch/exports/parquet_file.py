"""A Parquet file with a typed column a key of the results; nested values are JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import UsageError
from .answers import Answers
from .draft import Draft
from .table import COLUMNS, cells, is_storable
from .terms import Export, LeftOut, Written

INSTALL = (
    "--to parquet needs the extra `parquet`: pip install '.[parquet]' in the checkout "
    "(or pip install pyarrow)"
)

GROUP = 1000
"""Rows that are held before they are written: answers may be long."""


def write(export: Export, answers: Answers, left_out: LeftOut) -> Written:
    """Write the file, compressed; raises `UsageError` when pyarrow is not installed."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(INSTALL) from error
    types = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    rows = 0
    with Draft(export.out.parent, export.out.name) as draft:
        with parquet.ParquetWriter(draft.file, schema, compression="zstd") as file:
            for group in groups(answers, left_out):
                file.write_batch(pa.RecordBatch.from_pylist(group, schema))
                rows += len(group)
        files = int(rows > 0 and draft.keep(overwrite=export.overwrite))
    load = f"pandas.read_parquet({json.dumps(str(export.out), ensure_ascii=False)})"
    return Written(rows, files, str(export.out), load)


def groups(answers: Answers, left_out: LeftOut) -> Iterator[list[dict[str, Any]]]:
    """The rows whose numbers fit, some at a time."""
    group: list[dict[str, Any]] = []
    for answer in answers.read(left_out):
        row = cells(answer.result)
        if not is_storable(row):
            left_out.add(answer.result.id, "one of its numbers does not fit into 64 bits")
            continue
        group.append(row)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group
