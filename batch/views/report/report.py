"""All that a page tells, from the files of an output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ... import __version__
from ...errors import FAILURE_CODES
from ...media.load import ImageRules
from ...media.thumbnail import thumbnail
from ...models import Result
from ...results.paths import Paths
from ...results.state import RunState
from ...settings import Settings
from ..next_step import step_after_failures
from ..text import count, duration, latency
from .alike import alike
from .figures import Beginning, Histogram, beginnings, histogram
from .items import (
    MOST_ITEMS,
    Asked,
    Item,
    address,
    answered_item,
    failed_item,
    failures_of,
    results_of,
)

MOST_INLINED = 200
"""Images up to which a page holds small pictures of its own."""

NOT_SHOWN = (".tif", ".tiff", ".heic", ".heif")
"""Names of images that most browsers cannot show, so that the page always holds a small one."""

NOT_THERE = frozenset({"image_unreadable", "not_allowed"})
"""Failures whose image cannot be shown."""

WITHOUT_MODEL = {"measured": "measured", "extracted": "extracted"}
SHOWN_IDS = 5
"""Failed jobs that a group names."""


class Group(Struct, frozen=True):
    """Jobs that failed in one way."""

    code: str
    meaning: str
    number: int
    ids: list[str]
    """The first of them."""
    command: str
    """What to type to try them again."""
    remark: str
    """When to type it."""


class Report(Struct, frozen=True):
    """The content of a page."""

    name: str
    sentence: str
    notes: list[str]
    prompt: str
    """What all jobs were asked; empty when they were not asked the same."""
    facts: list[tuple[str, str]]
    groups: list[Group]
    histograms: list[Histogram]
    beginnings: list[Beginning]
    items: list[Item]
    gallery: bool
    """Whether most items are pictures."""


class Tally:
    """What all lines of a results file come to."""

    def __init__(self) -> None:
        self.answers = 0
        self.providers: Counter[str] = Counter()
        self.kinds: dict[str, set[str]] = {}
        """What the answers of each provider are: measured, extracted, of a model."""
        self.models: Counter[str] = Counter()
        self.runs: dict[str, tuple[str, str]] = {}
        """First start and last end of each run."""
        self.tokens = [0, 0]
        self.unknown_tokens = 0
        self.cost: float | None = None
        self.unknown_cost = 0

    def add(self, result: Result) -> None:
        """Count an answer."""
        self.answers += 1
        self.providers[result.provider] += 1
        self.kinds.setdefault(result.provider, set()).add(result.source)
        self.models[result.model] += 1
        start, end = self.runs.get(result.run_id, (result.started_at, result.finished_at))
        self.runs[result.run_id] = (min(start, result.started_at), max(end, result.finished_at))
        self.tokens[0] += result.input_tokens or 0
        self.tokens[1] += result.output_tokens or 0
        self.unknown_tokens += result.output_tokens is None
        if result.cost_usd is None:
            self.unknown_cost += 1
        else:
            self.cost = (self.cost or 0.0) + result.cost_usd

    @property
    def seconds(self) -> float:
        """How long the runs worked, from each one's first request to its last answer."""
        return sum(map(span, self.runs.values()))


def span(times: tuple[str, str]) -> float:
    """Seconds between two moments as the files write them; 0 when they are none."""
    try:
        start, end = map(datetime.fromisoformat, times)
        return max(0.0, (end - start).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def make_report(
    settings: Settings,
    state: RunState,
    jobs: dict[str, Asked],
    folder: Path,
    *,
    embed: bool,
    notes: Iterable[str],
) -> Report:
    """The report of the output of `settings`; `folder` is where its page will stand; blocks."""
    paths = settings.paths()
    tally, items, left_out = read_items(paths, jobs)
    prompt = shared_prompt(items, jobs)
    for item in items:
        if item.id in jobs and not prompt:
            item.prompt = jobs[item.id].prompt
    gallery = add_pictures(items, jobs, folder, settings.images, embed=embed)
    answered = [item for item in items if not item.code]
    for item, group in zip(answered, alike([each.text for each in answered]), strict=True):
        item.group = group
    notes = list(notes)
    if left_out:
        notes.append(f"{count(left_out, 'line')} more than this page holds: see {paths.results}")
    return Report(
        name=Path(state.source).name or state.source,
        sentence=sentence(state, tally),
        notes=notes,
        prompt=prompt,
        facts=facts(settings, state, tally),
        groups=groups(items, state, settings),
        histograms=histograms(answered),
        beginnings=beginnings(item.text for item in answered),
        items=items,
        gallery=gallery,
    )


def read_items(paths: Paths, jobs: dict[str, Asked]) -> tuple[Tally, list[Item], int]:
    """What the lines come to, the first `MOST_ITEMS` as items, and how many more there are.

    The items stand in the order of the source; those that left it stand last.
    """
    tally = Tally()
    items: dict[str, Item] = {}
    left_out = 0
    for failed in failures_of(paths.failed):
        items[failed.id] = failed_item(failed)
    for result in results_of(paths.results):
        tally.add(result)
        if len(items) < MOST_ITEMS or result.id in items:
            items[result.id] = answered_item(result)
        else:
            left_out += 1
    places = {name: each.place for name, each in jobs.items()}
    ordered = sorted(items.values(), key=lambda item: places.get(item.id, len(places)))
    return tally, ordered, left_out


def shared_prompt(items: Iterable[Item], jobs: dict[str, Asked]) -> str:
    """What all jobs of the page were asked; empty when they were not asked the same."""
    prompts = {jobs[item.id].prompt for item in items if item.id in jobs}
    return prompts.pop() if len(prompts) == 1 else ""


def add_pictures(
    items: list[Item],
    jobs: dict[str, Asked],
    folder: Path,
    rules: ImageRules,
    *,
    embed: bool,
) -> bool:
    """Give the items their images; whether most of them have one."""
    pictures = [item for item in items if item.id in jobs and jobs[item.id].image]
    shown = [item for item in pictures if item.code not in NOT_THERE]
    for item in shown:
        job = jobs[item.id]
        item.src = address(job.root, job.image, folder)
    inline = embed or len(shown) <= MOST_INLINED
    small = [item for item in shown if inline or item.src.lower().endswith(NOT_SHOWN)]
    with ThreadPoolExecutor(4) as pool:  # Pillow lets others work while it decodes
        asked = (jobs[item.id] for item in small)
        made = pool.map(lambda job: thumbnail(job.root, job.image, rules), asked)
        for item, thumb in zip(small, made, strict=True):
            item.thumb = thumb
    return len(pictures) * 2 > len(items)


def sentence(state: RunState, tally: Tally) -> str:
    """What happened: `8 of 9 answered by offline (measured, no model) in 14 s; 1 failed`."""
    line = f"{state.answered:,} of {state.jobs:,} answered"
    if tally.answers:
        line += f" by {' and '.join(who(tally))} in {duration(tally.seconds)}"
    if len(tally.runs) > 1:
        line += f" over {count(len(tally.runs), 'run')}"
    if state.failed:
        line += f"; {state.failed:,} failed"
    if state.left:
        line += f"; {state.left:,} left"
    return line


def who(tally: Tally) -> list[str]:
    """The providers, the one with the most answers first, and whether a model answered."""
    told = []
    for name, number in tally.providers.most_common():
        remarks = [f"{number:,}"] if len(tally.providers) > 1 else []
        kinds = tally.kinds[name]
        if "model" not in kinds and kinds & WITHOUT_MODEL.keys():
            words = [word for kind, word in WITHOUT_MODEL.items() if kind in kinds]
            remarks += [" and ".join(words), "no model"]
        told.append(f"{name} ({', '.join(remarks)})" if remarks else name)
    return told


def facts(settings: Settings, state: RunState, tally: Tally) -> list[tuple[str, str]]:
    """Labels and values for the head of the page."""
    told = []
    if models := [name for name, _ in tally.models.most_common(5) if name]:
        told.append(("model", ", ".join(models)))
    if any(tally.tokens):
        unknown = f" (unknown for {tally.unknown_tokens:,})" if tally.unknown_tokens else ""
        told.append(("tokens", f"{tally.tokens[0]:,} in, {tally.tokens[1]:,} out{unknown}"))
    if tally.cost is not None:
        unknown = f", unknown for {tally.unknown_cost:,}" if tally.unknown_cost else ""
        digits = 4 if tally.cost >= 0.01 else 6
        told.append(("cost", f"${tally.cost:,.{digits}f} (estimate{unknown})"))
    if state.retries:
        told.append(("retries", f"{state.retries:,} in the last run"))
    ends = [end for _, end in tally.runs.values()]
    if ends:
        told.append(("last answer", max(ends).replace("T", " ").partition(".")[0] + " UTC"))
    version = f"overnight {__version__}"
    if state.version != __version__:
        version += f", run by {state.version}"
    return [*told, ("version", version), ("command", settings.command)]


def groups(items: Iterable[Item], state: RunState, settings: Settings) -> list[Group]:
    """The failed jobs by code, the largest group first, each with what tries it again."""
    failed: dict[str, list[str]] = {}
    for item in items:
        if item.code:
            failed.setdefault(item.code, []).append(item.id)
    told = []
    for code, ids in sorted(failed.items(), key=lambda pair: -len(pair[1])):
        alone = replace(state, failures={code: len(ids)})
        command, _, remark = step_after_failures(alone, settings).partition("  # ")
        meaning = FAILURE_CODES.get(code, "")
        told.append(Group(code, meaning, len(ids), ids[:SHOWN_IDS], command, remark))
    return told


def histograms(answered: Iterable[Item]) -> list[Histogram]:
    """The lengths and latencies of the answers, where they differ."""
    items = list(answered)
    lengths = histogram(
        "Length", [item.words for item in items], lambda n: count(round(n), "word"), whole=True
    )
    waits = histogram(
        "Latency",
        [item.latency for item in items if item.latency is not None],
        latency,
        whole=False,
    )
    return [each for each in (lengths, waits) if each is not None]
