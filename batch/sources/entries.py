"""What a source gives: entries for the check, jobs for the run."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from ..models import Job
from .ids import Ids


class Problem(NamedTuple):
    """Why a line is no job."""

    id: str
    """What its failed line is called."""
    message: str
    taken: str = ""
    """The id that an earlier line has, when that is the reason."""


class Entry(NamedTuple):
    """One line or file of a source, checked."""

    address: int
    """Where the source finds the job again; only the source can read it."""
    number: int
    """Line number from 1, for messages."""
    job: Job | None
    problem: Problem | None = None


class Source(Protocol):
    """A job file or a folder, opened; read twice: once to check it, once to run it."""

    name: str
    """The path as the user gave it."""
    root: str
    """The folder that images may not leave."""
    passed_over: int
    """Lines that were left out because they only record a bad line of an earlier run."""

    def entries(self, ids: Ids) -> AsyncIterator[list[Entry]]:
        """Every job or problem in order, in groups that bound memory."""

    def jobs(self, addresses: array[int]) -> AsyncIterator[Job]:
        """The jobs at `addresses` (ascending)."""

    def grown(self) -> bool:
        """Whether the source changed since it was opened."""

    async def close(self) -> None:
        """Close what is open."""
