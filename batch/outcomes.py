"""What comes of a job: the lines of the results and the failed file."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from msgspec import UNSET, Struct

from .checks import Checks
from .errors import JobError, Retryable, Unfit
from .media.request import Loaded, LoadRules
from .models import Failed, Failure, Job, Price, Reply, Result
from .plan import BadEntry
from .providers.weight import is_heavy
from .retry import RetryPolicy
from .routes import Route
from .tally import Tally


class RunRules(Struct, frozen=True):
    """What every job of the run has in common."""

    run_id: str
    provider: str
    model_of: Callable[[str], str]
    """A job's model → its name on the wire."""
    load: LoadRules = LoadRules()
    retry: RetryPolicy = RetryPolicy()
    checks: Checks | None = None
    """What is asked of every answer."""
    max_outage: float = 7200.0
    """Seconds that the provider may be away before the run ends."""
    window: int = 24
    """Jobs under way at once, waiting ones too: a few times the concurrency."""
    held_bytes: int = 256 << 20
    in_process: bool = False
    dedupe: bool = False
    """Whether jobs with one key are asked once."""
    failed_folder: str = ""
    """The real folder of the failed file, which paths in its lines are relative to."""


class Records(Protocol):
    """Where outcomes go: a journal, or a stream."""

    def append(self, result: Result) -> None:
        """Save an answer; raises `OutputError`."""

    def append_failed(self, failed: Failed) -> None:
        """Save a failure; raises `OutputError`."""

    async def settled(self) -> None:
        """Wait until what was saved may be counted."""


class Flight:
    """One job under way."""

    __slots__ = (
        "ahead",
        "answered",
        "attempts",
        "denials",
        "job",
        "latency",
        "outages",
        "route",
        "since",
        "spends",
        "started_at",
        "tokens",
        "worked",
    )

    def __init__(self, job: Job, route: Route) -> None:
        self.job = job
        self.route = route
        """The way that the attempt under way takes, or took."""
        self.ahead = 0
        """Requests of the lane in flight when the attempt began, itself among them."""
        self.attempts = 0
        self.answered = False
        """Whether the answer came; until it is saved the job is still in flight."""
        self.denials = 0
        """How often the key was refused for it."""
        self.latency = 0.0
        self.outages = 0
        """Outages of the provider up to the job's last error."""
        self.since = 0.0
        """When the attempt under way began, on the runner's clock."""
        self.spends = False
        """Whether the attempt that is to come is one of the retry budget."""
        self.started_at = now()
        self.tokens = 0.0
        """About what the request takes, where tokens are limited."""
        self.worked = 0.0
        """Seconds of its attempts and of the waits between them, not of the lane's pauses."""

    def begin(self, now: float) -> None:
        """An attempt goes out at a moment of the runner's clock."""
        self.route.sent += 1
        self.ahead = self.route.sent
        if not self.attempts:
            self.route.lane.retries.earn()
        self.attempts += 1
        self.since = now

    def end(self, now: float) -> None:
        """The attempt came to its end."""
        self.route.sent -= 1
        self.latency = now - self.since
        self.worked += self.latency


def result_of(rules: RunRules, flight: Flight, key: str, loaded: Loaded, reply: Reply) -> Result:
    """The line of an answered job."""
    job = flight.job
    usage = reply.usage
    return Result(
        id=job.id,
        status="ok",
        output=reply.text,
        provider=flight.route.provider,
        model=reply.model or flight.route.model or rules.model_of(job.model),
        source=reply.source,
        finish_reason=reply.finish_reason,
        attempts=flight.attempts,
        latency_s=round(flight.latency, 4),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=cost_of(flight.route.price, reply),
        media=loaded.media,
        key=key,
        started_at=flight.started_at,
        finished_at=now(),
        run_id=rules.run_id,
        meta=job.meta,
        json=parsed(reply.text) if job.schema is not None else UNSET,
    )


def cost_of(price: Price | None, reply: Reply) -> float | None:
    """US dollars; None without a price or without token counts."""
    usage = reply.usage
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    return (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1e6


def failed_of(rules: RunRules, flight: Flight, key: str, error: JobError) -> Failed:
    """The line of a job that ended without an answer."""
    failure = Failure(
        code=error.code,
        message=str(error),
        http_status=error.http_status,
        attempts=flight.attempts,
        retryable=error.retryable,
        key=key,
        run_id=rules.run_id,
        finished_at=now(),
    )
    return Failed(flight.job.id, portable_fields(flight.job, rules.failed_folder), failure)


def portable_fields(job: Job, folder: str) -> dict[str, Any]:
    """The job's fields with image paths told from `folder`, so that its failed line can run there.

    Paths that lead out of `folder` stay as written: they need `--root` again.
    """
    if not folder or folder == job.root:
        return job.fields
    fields = dict(job.fields)
    if isinstance(fields.get("image"), str):
        fields["image"] = moved(fields["image"], job.root, folder)
    if isinstance(fields.get("images"), list):
        fields["images"] = [moved(path, job.root, folder) for path in fields["images"]]
    return fields


def moved(path: str, root: str, folder: str) -> str:
    """A path relative to `root` as one relative to `folder`, when it stays inside that."""
    if path.startswith(("/", "~")) or ".." in path.split("/") or "://" in path:
        return path
    there = os.path.relpath(Path(root) / path, folder)
    return path if there.startswith("..") else there


def now() -> str:
    """The present in UTC, ISO 8601 with milliseconds."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{second_text(seconds)}.{milliseconds:03d}Z"


@functools.lru_cache(maxsize=2)
def second_text(seconds: int) -> str:
    """A second of the epoch in UTC; kept, because every job of it asks twice."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parsed(text: str) -> object:
    """The JSON of an answer to a schema; None when it is none, or too much to be built."""
    if is_heavy(text.encode(errors="replace")):
        return None
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def not_empty(reply: Reply) -> Reply:
    """The reply; raises `Retryable` when it holds no text, because that is no answer."""
    if not reply.text.strip():
        raise Retryable("the answer was empty", "empty_output", 200)
    return reply


def bad_line(entry: BadEntry, run_id: str) -> Failed:
    """The failed line of a line that cannot run."""
    failure = Failure(entry.code, entry.problem.message, None, 0, False, "", run_id, now())
    return Failed(entry.problem.id, entry.fields, failure)


def judge(checks: Checks | None, flight: Flight, reply: Reply, tally: Tally) -> None:
    """Raise `Unfit` for an answer that does not pass the checks; it is paid all the same."""
    problem = checks.problem(reply) if checks is not None else None
    if problem is not None:
        tally.count_unfit(reply.usage, cost_of(flight.route.price, reply))
        raise Unfit(problem.check, problem.words, reply.text)
