"""`STEM.run.json`: the live state of a run and, at its end, its summary."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ..files import anew, part_of, read_private

MOST_STATE = 1 << 20
"""Bytes of a state that are read; a true one has some 5,000."""


class OldestInFlight(Struct, frozen=True):
    """The request that has been under way longest."""

    id: str
    age_s: float


class LaneState(Struct, frozen=True):
    """How the run fared with its provider's limits."""

    limit: int
    """Requests that may be in flight now."""
    pace_per_s: float | None
    """Requests a second that the provider was found to take; null while it refused none."""
    pauses: dict[str, float]
    """Seconds paused by reason."""
    limits: list[tuple[float, int]]
    """Pairs of a moment (seconds since the start) and the limit from then on, at most 60."""


class RunState(Struct, frozen=True):
    """The keys of `STEM.run.json`, in order (README, *Files*)."""

    run_id: str
    version: str
    source: str
    provider: str
    model: str
    state: Literal["running", "finished", "stopped", "died", "new"]
    reason: str
    exit_code: int | None
    pid: int
    host: str
    started_at: str
    updated_at: str
    jobs: int
    done_before: int
    answered: int
    failed: int
    left: int
    retries: int
    paused_s: float
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    rate_per_s: float
    latency_p50_s: float | None
    latency_p95_s: float | None
    in_flight: int
    oldest_in_flight: OldestInFlight | None
    failures: dict[str, int]
    lane: LaneState | None = None


def write_state(path: Path, state: RunState) -> None:
    """Replace the state file atomically; raises `OSError`."""
    part = part_of(path)
    with open(part, "wb", opener=anew) as file:
        file.write(msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")
    part.replace(path)


def read_state(path: Path) -> RunState | None:
    """The state that a run left; None when there is none that can be read."""
    try:
        return msgspec.json.decode(read_private(path, MOST_STATE), type=RunState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
