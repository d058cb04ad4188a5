"""Refusals met before any job was answered: whether the fault is in the jobs."""

from __future__ import annotations

from collections import Counter

from .errors import Halt, RunError
from .models import Failed, Failure

SAME_REFUSALS = 10
"""Refusals of one kind, with no answer yet, after which the run stops."""


class Refusals:
    """Refusals that are kept back while no job is answered.

    Ten of one kind say that the fault is not in the jobs: then they are left, not failed.
    """

    def __init__(self) -> None:
        self._kept: list[Failed] = []

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, failed: Failed) -> RunError | None:
        """Keep one more; the error that ends the run when it is the tenth of its kind."""
        self._kept.append(failed)
        kinds = Counter((each.failure.code, each.failure.http_status) for each in self._kept)
        if max(kinds.values()) < SAME_REFUSALS:
            return None
        self._kept.clear()
        return hopeless(failed.failure)

    def take(self) -> list[Failed]:
        """Those that were kept; none are kept any more."""
        kept, self._kept = self._kept, []
        return kept


def is_suspect(failure: Failure) -> bool:
    """Whether a refusal may be one that every job would meet.

    None that was found before anything was sent, and no empty answer: somebody answers.
    """
    return bool(failure.attempts) and failure.code != "empty_output"


def hopeless(failure: Failure) -> RunError:
    """The end of a run in which every request fails in one way."""
    if failure.code == "internal":
        return RunError(f"every job meets the same bug: {failure.message}")
    return Halt(f"every request is refused the same way: {failure.message}")
