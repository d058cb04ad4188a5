"""What a tired person reads: progress while the run goes on, and the words at its end."""

import contextlib
import io
import os
import pty
import re
import sys

import pytest
from msgspec.structs import replace

from batch.errors import FAILURE_CODES, PASSING_CODES
from batch.events import Paused, Planned, Repaired, Retrying, Stopping, Waiting
from batch.results.state import OldestInFlight, RunState
from batch.settings import Settings
from batch.summary import Summary
from batch.views.progress import (
    PLAIN_INTERVAL,
    BarView,
    PlainView,
    QuietView,
    make_view,
    progress_line,
)
from batch.views.summary import summary_lines
from batch.views.text import clean, codes, count, duration, latency

STATE = RunState(
    run_id="r",
    version="1",
    source="/n/night.jsonl",
    provider="openai",
    model="m",
    state="finished",
    reason="",
    exit_code=0,
    pid=1,
    host="h",
    started_at="",
    updated_at="",
    jobs=2000,
    done_before=0,
    answered=2000,
    failed=0,
    left=0,
    retries=0,
    paused_s=0.0,
    input_tokens=0,
    output_tokens=0,
    cost_usd=None,
    rate_per_s=4.0,
    latency_p50_s=None,
    latency_p95_s=None,
    in_flight=0,
    oldest_in_flight=None,
    failures={},
)
SETTINGS = Settings(
    sources=("/n/night.jsonl",),
    provider="openai",
    command="overnight run /n/night.jsonl -p 'a b'",
)
ESCAPES = re.compile(r"[\r\x1b\x07\x08]")


def lines(exit_code=0, *, settings=None, seconds=500.0, facts=None, **state):
    """The summary of a run whose state differs from `STATE` in the given keys."""
    told = Summary(
        replace(STATE, exit_code=exit_code, **state),
        exit_code,
        replace(SETTINGS, **(settings or {})),
        seconds,
        **(facts or {}),
    )
    return summary_lines(told)


class Clock:
    """Time is a number that is set."""

    now = 0.0

    def __call__(self):
        return self.now


# The summary


def test_a_finished_run_is_told_in_three_lines():
    assert lines() == [
        "2,000 of 2,000 jobs answered by openai in 8 min 20 s",
        "results: /n/night.results.jsonl",
        "next: overnight verify /n/night.jsonl",
    ]


def test_the_headline_says_who_answered_what_in_this_run_and_what_is_missing():
    told = lines(1, answered=1500, done_before=600, failed=100, left=400, failures={"refused": 100})
    assert told[0] == (
        "1,500 of 2,000 jobs answered by openai, 900 of them in this run in 8 min 20 s; "
        "100 failed; 400 left"
    )


def test_measured_answers_are_called_measured():
    assert "by offline (measured and extracted, no model)" in lines(provider="offline")[0]


def test_failures_are_told_by_code_with_their_file():
    told = lines(1, answered=1987, failed=13, failures={"timeout": 3, "refused": 10})
    assert "failed: refused 10, timeout 3 (in /n/night.failed.jsonl)" in told


def test_retries_pauses_latencies_tokens_and_cost_are_told_when_there_are_any():
    told = lines(
        retries=1,
        paused_s=90.0,
        latency_p50_s=0.21304,
        latency_p95_s=12.4,
        input_tokens=1_234_567,
        output_tokens=89_000,
        cost_usd=1.23456,
    )
    assert told[1] == (
        "1 retry; paused 1 min 30 s; latency p50 0.213 s, p95 12 s; "
        "tokens 1,234,567 in, 89,000 out; cost $1.2346 (estimate)"
    )
    assert lines(retries=2)[1] == "2 retries"


def test_what_was_sent_twice_is_told():
    told = lines(facts={"hedged": 12, "hedges_won": 9})
    assert told[1] == "hedged 12 requests, 9 duplicates answered first"
    told = lines(facts={"hedged": 1, "hedges_won": 1})
    assert told[1] == "hedged 1 request, 1 duplicate answered first"


def test_what_the_provider_did_not_count_is_told_as_unknown():
    told = lines(input_tokens=10, output_tokens=5, cost_usd=0.5, facts={"unknown_usage": 3})
    assert told[1] == (
        "tokens 10 in, 5 out (unknown for 3 answers); "
        "cost $0.5000 (estimate, unknown for 3 answers)"
    )


def test_the_slowest_jobs_are_named_when_they_were_slow():
    told = lines(facts={"slowest": ((75.2, "huge"), (2.04, "big"), (0.3, "small"))})
    assert told[1] == "slowest: huge 1 min 15 s, big 2.0 s"


def test_orphans_and_passed_over_lines_and_changed_sources_are_told():
    told = lines(
        facts={"orphans": 1, "passed_over": 2, "changed_sources": ("night.jsonl",)},
    )
    assert told[1:4] == [
        "note: 1 answer belongs to no job of the source any more; orphans are kept",
        "note: 2 lines only recorded a bad line: passed over",
        "note: night.jsonl changed during the run: run again for what came",
    ]


def test_a_run_that_was_skipped_is_one_line():
    assert lines(facts={"skipped": True}) == [
        "another run is using this output: skipped (--if-locked skip)"
    ]


INTERRUPTED = "stopping: interrupted by SIGINT"
COMMAND = "overnight run /n/night.jsonl -p 'a b'"


@pytest.mark.parametrize(
    ("exit_code", "state", "step"),
    [
        (0, {}, "overnight verify /n/night.jsonl"),
        (0, {"left": 5, "reason": "--limit 5"}, COMMAND),
        (
            1,
            {"failed": 2, "failures": {"refused": 2}},
            f"{COMMAND} --retry-failed all  # after mending what failed",
        ),
        (
            1,
            {"failed": 2, "failures": {"timeout": 1, "refused": 1}},
            f"{COMMAND}  # tries again what failed in passing",
        ),
        (3, {"left": 5, "reason": "away"}, f"{COMMAND}  # when the provider is back"),
        (4, {"left": 5, "reason": "the key"}, f"{COMMAND}  # once that is mended"),
        (70, {"left": 5, "reason": "a bug"}, COMMAND),
        (74, {"left": 5, "reason": "full"}, f"{COMMAND}  # once the output can be written"),
        (130, {"left": 5, "reason": "interrupted by SIGINT"}, COMMAND),
        (143, {"left": 5, "reason": "interrupted by SIGTERM"}, COMMAND),
    ],
)
def test_the_last_line_is_the_command_to_type_next(exit_code, state, step):
    told = lines(exit_code, **state)
    assert told[-1] == f"next: {step}"
    if "reason" in state:
        assert f"stopped: {state['reason']}" in told


def test_who_tries_every_failure_already_is_not_told_to():
    told = lines(
        1, failed=1, failures={"refused": 1}, settings={"retry_failed": "all", "command": "x"}
    )
    assert told[-1] == "next: x  # after mending what failed"


def test_who_tries_no_failure_again_is_told_how():
    told = lines(
        1, failed=1, failures={"timeout": 1}, settings={"retry_failed": "none", "command": "x"}
    )
    assert told[-1] == "next: x --retry-failed all  # after mending what failed"


def test_what_came_through_stdin_goes_on_from_the_file_that_keeps_it():
    stdin = {"sources": ("-",), "output": "/n/a b.results.jsonl", "command": "overnight run - -o x"}
    assert lines(130, left=3, settings=stdin)[-1] == ("next: overnight run - -o x < '/n/a b.jobs'")


def test_the_output_is_named_where_it_was_named():
    told = lines(settings={"output": "/m/out.results.jsonl"})
    assert told[-2:] == [
        "results: /m/out.results.jsonl",
        "next: overnight verify /n/night.jsonl -o /m/out.results.jsonl",
    ]


def test_where_no_file_is_written_none_is_named():
    told = lines(1, settings={"output": "-"}, failed=1, failures={"refused": 1})
    assert told == [
        "2,000 of 2,000 jobs answered by openai in 8 min 20 s; 1 failed",
        "failed: refused 1",
    ]


def test_codes_that_fail_in_passing_are_codes():
    assert set(FAILURE_CODES) >= PASSING_CODES


# Words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (12.2, "12 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (3599.6, "1 h"),
        (7800, "2 h 10 min"),
        (93_600, "26 h"),
    ],
)
def test_durations_are_told_as_people_say_them(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0005, "0.001 s"), (0.21304, "0.213 s"), (3.214, "3.21 s"), (75.2, "1 min 15 s")],
)
def test_latencies_are_told_to_three_digits(seconds, words):
    assert latency(seconds) == words


def test_counts_and_codes():
    assert (count(1, "job"), count(2000, "job")) == ("1 job", "2,000 jobs")
    assert count(2, "retry", "retries") == "2 retries"
    assert codes({"b": 1, "a": 1, "c": 1200}) == "c 1,200, a 1, b 1"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain ü 猫 🌙", "plain ü 猫 🌙"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\rb\x07\x00", r"a\x0db\x07\x00"),
        ("\u202eright to left", r"\x202eright to left"),
        ("\udc80", r"\xdc80"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_what_could_steer_a_terminal_is_written_out(text, cleaned):
    assert clean(text) == cleaned


# Progress


def test_the_progress_line_tells_done_failed_retried_paused_fast_and_slow():
    state = replace(
        STATE,
        answered=500,
        failed=3,
        retries=1,
        paused_s=65.0,
        left=1497,
        rate_per_s=2.5,
        oldest_in_flight=OldestInFlight("cat.jpg", 42.0),
    )
    assert progress_line(state) == (
        "500/2,000 answered · 3 failed · 1 retry · paused 1 min 5 s in all · 2.5/s · "
        "about 9 min 59 s left · oldest cat.jpg 42 s"
    )


def test_a_run_that_just_began_promises_no_time():
    state = replace(STATE, answered=0, left=2000, rate_per_s=0.0)
    assert progress_line(state) == "0/2,000 answered · 0.0/s"


def test_the_plain_view_writes_one_line_a_minute_and_nothing_that_steers_a_terminal(capsys):
    clock = Clock()
    view = PlainView(clock=clock)
    state = replace(STATE, oldest_in_flight=OldestInFlight("\x1b[31mred\r", 9.0))
    while clock.now < PLAIN_INTERVAL * 5 + 1:
        view.glance(state)
        clock.now += 0.25
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 5
    assert not ESCAPES.search(err)
    assert r"oldest \x1b[31mred\x0d 9.0 s" in err


def test_after_a_long_silence_the_plain_view_does_not_catch_up(capsys):
    clock = Clock()
    view = PlainView(clock=clock)
    clock.now = PLAIN_INTERVAL * 100
    for _ in range(50):
        view.glance(STATE)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_hours_of_pauses_are_one_line_a_minute(capsys):
    clock = Clock()
    view, wordy = PlainView(clock=clock), PlainView(verbose=True, clock=clock)
    for _ in range(600):
        view.event(Paused(1.5, "HTTP 429"))
        clock.now += 1.0
    assert capsys.readouterr().err == "paused 1.5 s: HTTP 429\n" * 10
    for _ in range(600):
        wordy.event(Paused(1.5, "HTTP 429"))
    assert len(capsys.readouterr().err.splitlines()) == 600


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Planned(10, 0, 0, 0, 10), "10 jobs: 10 to do"),
        (Planned(10, 4, 1, 2, 6), "10 jobs: 6 to do, 4 done, 1 changed, 2 tried again"),
        (
            Repaired(1, "/n/night.torn"),
            "repaired: 1 damaged line moved to /n/night.torn; its job runs again",
        ),
        (
            Repaired(1200, "/n/night.torn"),
            "repaired: 1,200 damaged lines moved to /n/night.torn; their jobs run again",
        ),
        (Paused(30.2, "HTTP 429: slow"), "paused 30 s: HTTP 429: slow"),
        (Stopping("the key was refused", 0), "stopping: the key was refused"),
        (
            Stopping("the disk is full", 1),
            "stopping: the disk is full; finishing 1 request in flight",
        ),
        (
            Stopping("interrupted by SIGINT", 8),
            f"{INTERRUPTED}; finishing 8 requests in flight (Ctrl-C or a second signal drops them)",
        ),
    ],
)
def test_events_are_told_in_a_line(event, line, capsys):
    PlainView().event(event)
    assert capsys.readouterr().err == f"{line}\n"


def test_retries_are_told_only_when_asked(capsys):
    event = Retrying("cat\x1b.jpg", 2, 1.25, "HTTP 500")
    PlainView().event(event)
    assert capsys.readouterr().err == ""
    PlainView(verbose=True).event(event)
    assert capsys.readouterr().err == ("retry: cat\\x1b.jpg after attempt 2, in 1.2 s: HTTP 500\n")


def test_who_waits_for_another_run_is_told_so(capsys):
    PlainView().event(Waiting("another run is using this output: pid 7"))
    assert "pid 7" in capsys.readouterr().err


def told(view, exit_code):
    view.event(Planned(1, 0, 0, 0, 1))
    view.glance(STATE)
    view.close()
    view.finish(Summary(replace(STATE, exit_code=exit_code), exit_code, SETTINGS, 1.0))


def test_the_quiet_view_is_silent_on_0(capsys):
    told(QuietView(), 0)
    assert capsys.readouterr() == ("", "")


def test_the_quiet_view_tells_the_summary_of_what_failed(capsys):
    told(QuietView(), 1)
    assert capsys.readouterr().err.startswith("2,000 of 2,000 jobs answered")


def test_a_closed_stderr_stops_no_run(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    broken = io.TextIOWrapper(io.FileIO(write, "w"), write_through=True)
    monkeypatch.setattr(sys, "stderr", broken)
    told(PlainView(), 0)
    with contextlib.suppress(BrokenPipeError):
        broken.close()
    told(PlainView(), 0)
    monkeypatch.setattr(sys, "stderr", None)
    told(make_view("auto", quiet=False, verbose=False), 0)


# Which view


@contextlib.contextmanager
def terminal():
    """stderr is a terminal; what it shows can be read."""
    leader, follower = pty.openpty()
    with pytest.MonkeyPatch.context() as patch, open(follower, "w") as stderr:
        patch.setenv("TERM", "xterm")
        patch.setattr(sys, "stderr", stderr)
        yield leader
    os.close(leader)


def shown_until(screen, words):
    """What the terminal shows up to some words: it comes in pieces."""
    shown = ""
    while words not in shown:
        shown += os.read(screen, 65_536).decode(errors="replace")
    return shown


@pytest.mark.parametrize("mode", ["auto", "bar"])
@pytest.mark.parametrize("force", ["", "1"])
def test_without_a_terminal_there_is_no_live_line(mode, force, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", force)
    monkeypatch.setenv("TTY_COMPATIBLE", force)
    view = make_view(mode, quiet=False, verbose=False)
    assert type(view) is PlainView
    told(view, 0)
    assert not ESCAPES.search(capsys.readouterr().err)


def test_a_terminal_gets_one_live_line_that_goes_away():
    slow = replace(STATE, answered=7, oldest_in_flight=OldestInFlight("\x1b[2Jx\r", 9.0))
    with terminal() as screen:
        view = make_view("auto", quiet=False, verbose=False)
        assert type(view) is BarView
        view.event(Paused(3.0, "HTTP 429 \x1b[2J"))
        view.glance(slow)
        shown = shown_until(screen, "oldest")
        view.close()
        view.close()
        view.finish(Summary(STATE, 0, SETTINGS, 1.0))
        last = shown_until(screen, "night.jsonl\r\n")
    assert "7/2,000 answered" in shown
    assert "next: " not in shown
    assert r"paused 3.0 s: HTTP 429 \x1b[2J" in shown
    assert "\x1b[2J" not in shown + last
    assert "\x1b[2K" in last  # the live line is wiped


@pytest.mark.parametrize(
    ("mode", "quiet", "kind"),
    [
        ("bar", False, BarView),
        ("plain", False, PlainView),
        ("none", False, PlainView),
        ("auto", True, QuietView),
    ],
)
def test_a_terminal_gets_the_view_that_was_asked_for(mode, quiet, kind):
    with terminal():
        view = make_view(mode, quiet=quiet, verbose=False)
        view.close()
    assert type(view) is kind


def test_no_progress_means_no_line_a_minute(capsys):
    clock = Clock()
    view = PlainView(lines=False, clock=clock)
    clock.now = PLAIN_INTERVAL * 3
    view.glance(STATE)
    assert capsys.readouterr().err == ""


def test_a_source_without_jobs_is_told_because_a_missing_disk_looks_like_one():
    assert "note: the source holds no jobs" in lines(jobs=0, answered=0, left=0)[1]
