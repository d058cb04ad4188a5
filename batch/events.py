"""What the run tells while it goes on. An observer is any callable that takes one event.

Only rare things are events; numbers are read from `Recorder.state()` on a timer, because an
event a request would cost more than it tells.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Waiting(Struct, frozen=True):
    """Another run holds the lock of the output; this one begins when it is free."""

    reason: str


class Narrowed(Struct, frozen=True):
    """Fewer requests at once than were asked for: so few files may this process have open."""

    asked: int
    concurrency: int
    files: int


class Planned(Struct, frozen=True):
    """The source was checked and compared with the results; nothing was sent yet."""

    jobs: int
    done: int
    changed: int
    retried: int
    todo: int
    restored: int = 0
    """Answers that were set aside earlier and are right again: among those that are done."""
    carried: int = 0
    """Answers that go over to a picture's new name: among those that are done."""
    withheld: int = 0
    """Images that are no jobs of this run, because they have a caption already."""
    unfilled: int = 0
    """Jobs to do whose `{{name}}` goes out as it is written, because they give no `vars`."""


class Repaired(Struct, frozen=True):
    """Damage from an earlier crash was found in the results file and set aside."""

    lines: int
    path: str


class Unwritable(Struct, frozen=True):
    """A sidecar could not be written; its answer is in the results file, and the run goes on."""

    reason: str


class Retrying(Struct, frozen=True):
    """An attempt failed in passing; the job will be tried again after `wait` seconds."""

    job_id: str
    attempt: int
    wait: float
    reason: str


class Paused(Struct, frozen=True):
    """The provider asked the whole lane to wait `seconds`."""

    seconds: float
    reason: str


class Woke(Struct, frozen=True):
    """The machine slept, or the process was stopped, for about so many seconds."""

    seconds: float


class FellBack(Struct, frozen=True):
    """The provider cannot be used any more, so the other one does what is left."""

    provider: str
    model: str
    reason: str


class Stopping(Struct, frozen=True):
    """No new job starts; `in_flight` jobs are being finished."""

    reason: str
    in_flight: int


Told = Waiting | Narrowed | Planned | Repaired
"""Before the first request."""
Event = Told | Unwritable | Retrying | Paused | Woke | FellBack | Stopping
Observer = Callable[[Event], None]
