"""The words at the end of a run: what happened, and what to type next."""

from __future__ import annotations

import shlex

from ..results.state import RunState
from ..settings import Settings
from ..summary import Summary
from .text import codes, count, duration

MEASURED = {"offline": " (measured, no model looked)"}
WHAT_TO_DO = {
    3: "when the provider is back",
    4: "once that is mended",
    74: "once the disk has room",
}


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
        facts.append(count(state.retries, "retry").replace("retrys", "retries"))
    if state.paused_s:
        facts.append(f"paused {duration(state.paused_s)}")
    if state.latency_p50_s is not None and state.latency_p95_s is not None:
        facts.append(f"latency p50 {state.latency_p50_s:g} s, p95 {state.latency_p95_s:g} s")
    if state.input_tokens or state.output_tokens:
        facts.append(f"tokens {state.input_tokens:,} in, {state.output_tokens:,} out")
    if state.cost_usd is not None:
        unknown = f", unknown for {summary.unknown_usage:,}" if summary.unknown_usage else ""
        facts.append(f"cost ${state.cost_usd:,.4f} (estimate{unknown})")
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
    """The command to type next; empty when there is nothing left to do with it."""
    state, settings = summary.state, summary.settings
    command = settings.command
    if settings.streams:
        return ""
    if summary.exit_code in WHAT_TO_DO:
        return f"{command}   ({WHAT_TO_DO[summary.exit_code]})"
    if state.left:
        return command
    if state.failed and settings.retry_failed != "all":
        return f"{command} --retry-failed all   (after mending what failed)"
    return verify_command(settings)


def verify_command(settings: Settings) -> str:
    """The command that proves the results."""
    output = ["-o", settings.output] if settings.output else []
    return shlex.join(["overnight", "verify", *settings.sources, *output])
