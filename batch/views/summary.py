"""The words at the end of a run: what happened, and what to type next."""

from __future__ import annotations

import shlex

from ..results.state import RunState
from ..settings import Settings
from ..summary import Summary
from .text import codes, count, duration, latency

MEASURED = {"offline": " (measured and extracted, no model)"}
WHEN = {
    3: "when the provider is back",
    4: "once that is mended",
    73: "once the output can be written",
    74: "once the output can be written",
}
"""When to run the same command again, by exit code."""

PASSING = frozenset(
    {"empty_output", "bad_response", "rate_limited", "server_error", "timeout", "connection"}
)
"""Failure codes that the same command tries again."""


def summary_lines(summary: Summary) -> list[str]:
    """The summary as lines of text."""
    state, settings = summary.state, summary.settings
    if summary.skipped:
        return ["another run is using this output: skipped (--if-locked skip)"]
    lines = [headline(state, summary.seconds)]
    if state.reason:
        lines.append(f"stopped: {state.reason}")
    if state.failures:
        where = "" if settings.streams else f" (in {settings.paths().failed})"
        lines.append(f"failed: {codes(state.failures)}{where}")
    lines += numbers(summary)
    lines += notes(summary)
    if not settings.streams and state.answered:
        lines.append(f"results: {settings.paths().results}")
    if step := next_step(summary):
        lines.append(f"next: {step}")
    return lines


def headline(state: RunState, seconds: float) -> str:
    """Who answered how many of how many, and how long it took."""
    this_run = state.answered - state.done_before
    who = f"{state.provider}{MEASURED.get(state.provider, '')}"
    line = f"{state.answered:,} of {count(state.jobs, 'job')} answered by {who}"
    if state.done_before:
        line += f", {this_run:,} of them in this run"
    line += f" in {duration(seconds)}"
    if state.failed:
        line += f"; {state.failed:,} failed"
    if state.left:
        line += f"; {state.left:,} left"
    return line


def numbers(summary: Summary) -> list[str]:
    """Retries, pauses, latency, tokens and cost of this run, as far as there are any."""
    state = summary.state
    facts = []
    if state.retries:
        facts.append(count(state.retries, "retry", "retries"))
    if state.paused_s:
        facts.append(f"paused {duration(state.paused_s)}")
    if state.latency_p50_s is not None and state.latency_p95_s is not None:
        middle, most = latency(state.latency_p50_s), latency(state.latency_p95_s)
        facts.append(f"latency p50 {middle}, p95 {most}")
    unknown = f"unknown for {count(summary.unknown_usage, 'answer')}"
    if state.input_tokens or state.output_tokens:
        tokens = f"tokens {state.input_tokens:,} in, {state.output_tokens:,} out"
        facts.append(f"{tokens} ({unknown})" if summary.unknown_usage else tokens)
    if state.cost_usd is not None:
        doubt = f"estimate, {unknown}" if summary.unknown_usage else "estimate"
        facts.append(f"cost ${state.cost_usd:,.4f} ({doubt})")
    lines = ["; ".join(facts)] if facts else []
    slow = [f"{name} {duration(seconds)}" for seconds, name in summary.slowest if seconds >= 1]
    return lines + ([f"slowest: {', '.join(slow)}"] if slow else [])


def notes(summary: Summary) -> list[str]:
    """What else the user should know."""
    lines = []
    if summary.orphans:
        whose = count(summary.orphans, "answer")
        lines.append(f"note: {whose} in the results belong to no job of the source any more (kept)")
    if summary.passed_over:
        lines.append(
            f"note: {count(summary.passed_over, 'line')} only recorded a bad line: passed over"
        )
    lines += [
        f"note: {name} changed during the run: run again for what came"
        for name in summary.changed_sources
    ]
    return lines


def next_step(summary: Summary) -> str:
    """The command to type next, fit to be pasted; empty when no file is left to go on from."""
    state, settings = summary.state, summary.settings
    if settings.streams:
        return ""
    if summary.exit_code in WHEN:
        return f"{again(settings)}  # {WHEN[summary.exit_code]}"
    if state.left:
        return again(settings)
    return step_after_failures(state, settings) if state.failed else verify_command(settings)


def step_after_failures(state: RunState, settings: Settings) -> str:
    """The command that tries failed jobs again: by itself only those that failed in passing."""
    if PASSING & state.failures.keys() and settings.retry_failed != "none":
        return f"{again(settings)}  # tries again what failed in passing"
    more = () if settings.retry_failed == "all" else ("--retry-failed", "all")
    return f"{again(settings, *more)}  # after mending what failed"


def again(settings: Settings, *more: str) -> str:
    """The same command, so that it goes on; what came through stdin is kept in a file."""
    words = [settings.command, *more]
    if "-" in settings.sources:
        words += ["<", shlex.quote(str(settings.paths().spool))]
    return " ".join(words)


def verify_command(settings: Settings) -> str:
    """The command that proves the results."""
    output = ["-o", settings.output] if settings.output else []
    return f"{settings.program} {shlex.join(['verify', *settings.sources, *output])}"
