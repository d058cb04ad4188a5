"""Results as rows of a table: the same columns in every table, nested values as JSON text."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from ..models import Result

COLUMNS = {
    "id": "TEXT",
    "status": "TEXT",
    "output": "TEXT",
    "provider": "TEXT",
    "model": "TEXT",
    "source": "TEXT",
    "finish_reason": "TEXT",
    "attempts": "INTEGER",
    "latency_s": "REAL",
    "input_tokens": "INTEGER",
    "output_tokens": "INTEGER",
    "cost_usd": "REAL",
    "media": "TEXT",
    "key": "TEXT",
    "started_at": "TEXT",
    "finished_at": "TEXT",
    "run_id": "TEXT",
    "meta": "TEXT",
    "json": "TEXT",
}
"""The keys of a result line in their order, with the type that a column of them has."""

NESTED = ("media", "meta", "json")


def cells(result: Result) -> dict[str, Any]:
    """The values of a row by column; None where the result has none."""
    row = {name: getattr(result, name) for name in COLUMNS}
    for name in NESTED:
        row[name] = None if row[name] is UNSET else msgspec.json.encode(row[name]).decode()
    return row


def is_storable(row: dict[str, Any]) -> bool:
    """Whether the whole numbers of a row fit into the 64 bits that a column has."""
    return all(
        row[name] is None or -(1 << 63) <= row[name] < 1 << 63
        for name, kind in COLUMNS.items()
        if kind == "INTEGER"
    )
