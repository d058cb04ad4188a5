"""How a run ended, for those who tell it."""

from __future__ import annotations

from msgspec import Struct

from .completers.fleet import EndpointState
from .providers.triage import Finding
from .results.sidecars import SidecarTally
from .results.state import RunState
from .settings import Settings


class Summary(Struct, frozen=True):
    """How a run ended."""

    state: RunState
    exit_code: int
    settings: Settings
    seconds: float
    orphans: int = 0
    """Answers whose job left the source."""
    withheld: int = 0
    """Images that were not asked about, because they have a caption already."""
    sidecars: SidecarTally | None = None
    """What became of the sidecars; None when none are written."""
    answered_by: dict[str, int] = {}
    """Who gave how many of the answers; fewer than there are when some were taken back."""
    passed_over: int = 0
    """Lines that only record a bad line of an earlier run."""
    changed_sources: tuple[str, ...] = ()
    """Sources that changed while the run went on."""
    slowest: tuple[tuple[float, str], ...] = ()
    """Latency in seconds and id of the slowest jobs, slowest first."""
    unknown_usage: int = 0
    """Answers whose token counts the provider did not tell."""
    by_fallback: tuple[tuple[str, int], ...] = ()
    """Other providers and how many answers of this run are theirs."""
    endpoints: tuple[EndpointState, ...] = ()
    """The servers of a fleet; none when there is only one."""
    triage: tuple[Finding, ...] = ()
    """Pictures of this run that somebody should look at."""
    hedged: int = 0
    """Requests that had a duplicate sent, because they took long."""
    hedges_won: int = 0
    """Duplicates that answered first."""
    spared: int = 0
    """Requests that were not sent, because another job asked the same."""
    skipped: bool = False
    """Another run held the lock, and this one was told to leave it at that."""
