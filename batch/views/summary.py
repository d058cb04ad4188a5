"""The words at the end of a run: what happened."""

from __future__ import annotations

from collections.abc import Mapping

from ..providers.triage import ALIKE, BEYOND, BLANK, BLURRED, TINY, Finding
from ..results.exiftool import INSTALL
from ..results.state import RunState
from ..summary import Summary
from .next_step import empty_words, is_empty, next_step
from .text import codes, count, duration, latency, spark

MEASURED = {"offline": " (measured and extracted, no model)"}
TRIAGE = {
    TINY: "tiny (under 64 pixels)",
    BLANK: "blank (one colour nearly everywhere)",
    BLURRED: "blurred (no fine detail)",
    ALIKE: "nearly like another one",
    BEYOND: "not looked through (too many for one run)",
}
"""What may be wrong with pictures, as the summary calls it."""


def summary_lines(summary: Summary) -> list[str]:
    """The summary as lines of text."""
    state, settings = summary.state, summary.settings
    if summary.skipped:
        return ["another run is using this output: skipped (--if-locked skip)"]
    lines = [headline(state, summary.answered_by, summary.seconds)]
    lines += [
        f"fallback: {count(answers, 'answer')} by {name}"
        for name, answers in summary.by_fallback
        if answers
    ]
    if state.reason:
        lines.append(f"stopped: {state.reason}")
    if state.failures:
        where = "" if settings.streams else f" (in {settings.paths().failed})"
        lines.append(f"failed: {codes(state.failures)}{where}")
    lines += numbers(summary)
    lines += [triage_line(each) for each in summary.triage]
    lines += notes(summary)
    if not settings.streams and state.answered:
        lines.append(f"results: {settings.paths().results}")
    lines += sidecar_lines(summary)
    if step := next_step(summary):
        lines.append(f"next: {step}")
    return lines


def headline(state: RunState, answered_by: Mapping[str, int], seconds: float) -> str:
    """Who answered how many of how many, and how long it took."""
    this_run = state.answered - state.done_before
    who = who_answered(state, answered_by)
    line = f"{state.answered:,} of {count(state.jobs, 'job')} answered {who}"
    if state.done_before:
        line += f", {this_run:,} of them in this run"
    line += f" in {duration(seconds)}"
    if state.failed:
        line += f"; {state.failed:,} failed"
    if state.left:
        line += f"; {state.left:,} left"
    return line


def who_answered(state: RunState, answered_by: Mapping[str, int]) -> str:
    """By whom the jobs were answered: with numbers where it was not only who was asked."""
    known = {name: answers for name, answers in answered_by.items() if answers}
    if known.keys() <= {state.provider}:
        return f"by {state.provider}{MEASURED.get(state.provider, '')}"
    told = [
        f"{name or 'unknown'}{MEASURED.get(name, '')} ({answers:,})"
        for name, answers in known.items()
    ]
    if rest := state.answered - sum(known.values()):
        told.append(f"earlier runs ({rest:,})")
    elif state.provider not in known:
        told.append(f"none by {state.provider}")
    return f"by {', '.join(told)}"


def numbers(summary: Summary) -> list[str]:
    """Retries, pauses, latency, tokens and cost of this run, as far as there are any."""
    state = summary.state
    facts = []
    if state.retries:
        facts.append(count(state.retries, "retry", "retries"))
    if state.paused_s:
        facts.append(paused(state))
    facts += latencies(state)
    if summary.hedged:
        won = count(summary.hedges_won, "duplicate")
        facts.append(f"hedged {count(summary.hedged, 'request')}, {won} answered first")
    if summary.spared:
        facts.append(f"{count(summary.spared, 'request')} spared: another job asked the same")
    unknown = f"unknown for {count(summary.unknown_usage, 'answer')}"
    if state.input_tokens or state.output_tokens:
        tokens = f"tokens {state.input_tokens:,} in, {state.output_tokens:,} out"
        facts.append(f"{tokens} ({unknown})" if summary.unknown_usage else tokens)
    if state.cost_usd is not None:
        doubt = f"estimate, {unknown}" if summary.unknown_usage else "estimate"
        facts.append(f"cost ${state.cost_usd:,.{4 if state.cost_usd >= 0.01 else 6}f} ({doubt})")
    lines = ["; ".join(facts)] if facts else []
    lines += found(state)
    slow = [f"{name} {duration(seconds)}" for seconds, name in summary.slowest if seconds >= 1]
    lines += [f"slowest: {', '.join(slow)}"] if slow else []
    return lines + ([f"endpoints: {endpoints(summary)}"] if summary.endpoints else [])


def triage_line(found: Finding) -> str:
    """How many pictures have one flaw, and which."""
    line = f"{count(found.count, 'picture')} {TRIAGE[found.kind]}"
    if not found.ids:
        return line
    more = found.count - len(found.ids)
    return f"{line}: {', '.join(found.ids)}" + (f" and {more:,} more" if more else "")


def paused(state: RunState) -> str:
    """How long the lane was paused, and why."""
    reasons = state.lane.pauses.items() if state.lane else ()
    why = ", ".join(f"{reason} {duration(seconds)}" for reason, seconds in reasons if seconds)
    return f"paused {duration(state.paused_s)}" + (f" ({why})" if why else "")


def found(state: RunState) -> list[str]:
    """What the provider was found to take, when that was less than what was allowed."""
    lane = state.lane
    if lane is None or not lane.limits or not (lane.pauses or lane.pace_per_s):
        return []
    limits = [limit for _, limit in lane.limits]
    pace = f"; about {lane.pace_per_s:.3g} requests/s" if lane.pace_per_s else ""
    return [f"allowed in flight: {min(limits)} to {max(limits)} {spark(limits)}{pace}"]


def endpoints(summary: Summary) -> str:
    """What each server of a fleet did."""
    told = []
    for each in summary.endpoints:
        line = f"{each.address} {count(each.answered, 'answer')}"
        if each.failed:
            line += f", {count(each.failed, 'error')}"
        if each.away:
            line += f", away for the last {duration(each.away_s)}"
        told.append(line)
    return "; ".join(told)


def latencies(state: RunState) -> list[str]:
    """The percentiles of the latency, when there are some."""
    if state.latency_p50_s is None or state.latency_p95_s is None:
        return []
    return [f"latency p50 {latency(state.latency_p50_s)}, p95 {latency(state.latency_p95_s)}"]


def notes(summary: Summary) -> list[str]:
    """What else the user should know."""
    lines = []
    if is_empty(summary):
        lines.append(f"note: {empty_words(summary.settings)}")
    if summary.orphans:
        whose = count(summary.orphans, "answer belongs", "answers belong")
        lines.append(f"note: {whose} to no job of the source any more; orphans are kept")
    if summary.passed_over:
        lines.append(
            f"note: {count(summary.passed_over, 'line')} only recorded a bad line: passed over"
        )
    lines += [
        f"note: {name} changed during the run: run again for what came"
        for name in summary.changed_sources
    ]
    return lines


def sidecar_lines(summary: Summary) -> list[str]:
    """What became of the sidecars."""
    tally, rules = summary.sidecars, summary.settings.sidecars
    if tally is None or rules is None:
        return []
    place = f"in {rules.folder}" if rules.folder else "beside the images"
    lines = []
    if tally.written:
        line = f"sidecars: {count(tally.written, 'file')} written ({rules.name_for('*')} {place})"
        if tally.recovered:
            line += f", {tally.recovered:,} of them for answers of earlier runs"
        if tally.backed_up:
            line += f"; {tally.backed_up:,} kept as .bak"
        lines.append(line)
    if tally.kept:
        are, stay = ("sidecar does", "stays") if tally.kept == 1 else ("sidecars do", "stay")
        lines.append(
            f"note: {tally.kept:,} {are} not say what the answer does (edited since, somebody "
            f"else's, or other options) and {stay}; one that is deleted is written anew, "
            "--existing overwrite replaces them"
        )
    if tally.no_packet:
        stay = count(tally.no_packet, "XMP file stays", "XMP files stay")
        lines.append(f"note: {stay}: {tally.first_no_packet}; mend or delete what is no XMP")
    if tally.without_exiftool:
        stay = count(
            tally.without_exiftool,
            "XMP file of another program stays as it is",
            "XMP files of other programs stay as they are",
        )
        lines.append(f"note: {stay}: {INSTALL}; the same command updates what is there then")
    if tally.empty:
        lines.append(f"note: nothing to write was left of {count(tally.empty, 'answer')}")
    if tally.failed:
        lines.append(f"{count(tally.failed, 'sidecar')} not written: {tally.trouble}")
    return lines
