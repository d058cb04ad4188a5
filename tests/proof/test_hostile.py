"""A server that means harm: each of its replies ends in its own code, in its time and in little
memory, and nobody else's answer suffers.
"""

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from pathlib import Path

import pytest
from asking import connected, question
from faults import Cut, Raw, Sliced, Then
from hostile import (
    BODIES,
    BROKEN,
    FLOODS,
    NODE_BODIES,
    PROMPT,
    STEERING,
    TIMES,
    answered_as,
    whole,
)
from night import KEPT, Night, Run, answer
from oracle import answer_to, parsed
from server import Reply, Server, Status

from batch.errors import JobError, RateLimited
from batch.providers.dynaspark import Dynaspark

PEAK = Path(__file__).with_name("peak.py")
MORE = 64
"""MiB that a hostile reply may cost above a run of right answers."""

EXITS = {"stop": 4, "away": 3}
ENDING = [case for case in BODIES if case.comes in EXITS]
LASTING = [case for case in [*BROKEN, *BODIES, *NODE_BODIES] if case.comes not in EXITS]
HEAVY = [*FLOODS, *NODE_BODIES]


def hostile_night(night, cases):
    """A night of as many jobs that meet malice as of others, which do not."""
    made = night()
    victims = {f"to be met with: {case.name}": case for case in cases}
    for number, prompt in enumerate(victims):
        made.prompts |= {f"before {number}": f"harmless prompt {number}", prompt: prompt}
    made.prompts["after"] = "the last prompt"
    made.write()
    made.server.answer = lambda request: answer_to(
        PROMPT if request.prompt in victims else request.prompt
    )
    made.server.faults = lambda request: (
        victims[request.prompt].fault if request.prompt in victims else None
    )
    made.victims = victims
    return made


def run_measured(made, *options):
    """Exit code, messages and the peak of the memory in MiB."""
    told = made.folder / "peak"
    with made.start(
        *("--retries", "0", "--timeout", "20", "-j", "4", *options),
        under=(sys.executable, "-S", PEAK, told),
        process_group=0,
    ) as process:
        try:
            _, messages = process.communicate(timeout=50)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, messages, int(told.read_text()) / 1024


def outcomes(made):
    """What came of each job: its code, or "answer"."""
    answered = {row["id"]: "answer" for row in parsed(made.results)[0]}
    return answered | {row["id"]: row["failure"]["code"] for row in parsed(made.failed)[0]}


def right_answer(made):
    return lambda prompt: made.victims[prompt].text if prompt in made.victims else answer_to(prompt)


def expect(made, code, messages):
    """Each job has what its case says, every other one its answer, and no message steers."""
    came = {prompt: case.comes for prompt, case in made.victims.items()}
    ends = {EXITS[each] for each in came.values() if each in EXITS}
    assert code == (ends.pop() if ends else int(set(came.values()) != {"answer"})), messages
    if code in EXITS.values():
        assert not made.failed.exists()
        for case in made.victims.values():
            assert not case.name.startswith("redirect by") or "redirects to 127.0.0.1" in messages
    else:
        found = outcomes(made)
        assert {prompt: found[prompt] for prompt in came} == came
    verdict = made.judge(answer=right_answer(made), finished=code < 2)
    assert verdict, verdict
    assert all(each.isprintable() or each == "\n" for each in messages)
    for row in parsed(made.failed)[0]:
        told = row["failure"]
        assert told["attempts"] == 1
        assert len(told["message"]) <= 500
        assert told["message"].isprintable()
        passing = ("timeout", "connection", "bad_response", "server_error", "empty_output")
        assert told["retryable"] is (told["code"] in passing)


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """The peak of a run that gets right answers, in MiB."""
    with Server(answer=answer) as server:
        made = Night(tmp_path_factory.mktemp("idle"), server, 3)
        code, messages, peak = run_measured(made)
    assert code == 0, messages
    return peak


@pytest.mark.parametrize("case", [*FLOODS, *ENDING], ids=str)
def test_a_hostile_server_gets_its_code_and_no_memory(case, night, idle, count, worst):
    made = hostile_night(night, [case])
    code, messages, peak = run_measured(made, *case.options)
    expect(made, code, messages)
    assert peak - idle <= MORE
    worst(case.name, mib=peak - idle)
    count(cases=1)


@pytest.mark.parametrize("number", range(5))
def test_many_kinds_of_malice_in_one_run_end_each_in_its_own_code(
    number, night, idle, count, worst
):
    cases = LASTING[number::5]
    made = hostile_night(night, cases)
    code, messages, peak = run_measured(made, "-j", "2")
    expect(made, code, messages)
    assert peak - idle <= MORE
    worst(f"{len(cases)} kinds in one run", mib=peak - idle)
    count(cases=len(cases))


async def test_malice_in_a_later_segment_ends_as_soon_and_in_the_same_code(count):
    cases = [case for case in BROKEN if isinstance(case.fault, Raw) and case.comes != "answer"]
    for case in cases:
        data, then = case.fault.data, case.fault.then
        for at in {max(1, data.find(b"\r\n\r\n") + 4), len(data) - 3}:
            with Server(script=[Then(data[:at], 0.02, data[at:], then)]) as server:
                async with connected(Dynaspark, server.url, timeout=60.0) as client:
                    async with asyncio.timeout(20):
                        with pytest.raises(JobError) as caught:
                            await client.complete(question(PROMPT))
            assert caught.value.code == case.comes, (case.name, at)
    count(cases=2 * len(cases))


@pytest.mark.parametrize("number", range(2))
def test_what_takes_too_long_ends_in_its_time(number, night, idle, count):
    cases = TIMES[number::2]
    made = hostile_night(night, cases)
    code, messages, peak = run_measured(made, "--timeout", "2", "-j", "8")
    expect(made, code, messages)
    assert peak - idle <= MORE
    state = json.loads((made.folder / "night.run.json").read_text())
    assert state["state"] == "finished"
    count(cases=len(cases))


def test_each_kind_of_malice_in_a_run_of_its_own(night, idle, many, count, worst):
    cases = many([], [*LASTING, *TIMES])
    for case in cases:
        made = hostile_night(night, [case])
        code, messages, peak = run_measured(made, *case.options)
        expect(made, code, messages)
        assert peak - idle <= MORE, case.name
        worst(case.name, mib=peak - idle)
    count(cases=len(cases))


def test_a_reply_cut_into_segments_anywhere_is_the_same_reply(night, many, count):
    size = len(whole()) + 60
    cuts = range(1, size, many(9, 1))
    made = night(len(cuts))
    order = dict(zip(made.prompts.values(), cuts, strict=True))
    made.server.faults = lambda request: Sliced(order[request.prompt])
    code, messages, requests = made.run("--retries", "0", "-j", "16")
    assert (code, requests) == (0, len(cuts)), messages
    assert made.judge()
    count(cases=len(cuts))


def test_a_reply_of_one_byte_a_segment_is_the_same_reply(night, many, count):
    made = night(many(8, 100))
    made.server.faults = lambda request: Raw(
        whole(answered_as(answer_to(request.prompt))), "keep", 1
    )
    assert made.run("--retries", "0")[0] == 0
    assert made.judge()
    count(cases=len(made.prompts))


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_reply_that_ends_early_anywhere_is_asked_for_again_and_stored_whole(
    then, night, many, count
):
    parts = many(12, 400)
    made = night(parts * 2)
    shares = dict(zip(list(made.prompts.values())[::2], range(parts), strict=True))
    asked = set()

    def cut(request):
        if request.prompt not in shares or request.prompt in asked:
            return None
        asked.add(request.prompt)
        return Cut(shares[request.prompt] / parts, then)

    made.server.faults = cut
    code, messages, _ = made.run()
    assert code == 0, messages
    assert made.judge()
    assert len(asked) == parts
    count(cases=parts)


JUNK = (None, True, -1, 1.5, 10**30, "x", [], {}, ["x"], {"x": 1}, [[[]]], "\ud800", STEERING)
COUNTED = ("prompt_tokens", "completion_tokens", "total_tokens")
PLACES = (
    *(("usage", name) for name in COUNTED),
    *((name,) for name in ("id", "object", "created", "model", "usage", "system_fingerprint")),
    *(("choices", 0, name) for name in ("index", "logprobs", "finish_reason", "message")),
    *(("choices", 0, "message", name) for name in ("role", "content", "refusal", "tool_calls")),
    ("choices", 0),
    ("choices",),
    ("error",),
)


def spoilt(place, junk):
    """A chat completion with something else in one place."""
    message = {"role": "assistant", "content": answer_to(PROMPT), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    made = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
    made |= {"choices": [choice], "usage": dict.fromkeys(COUNTED, 7)}
    inner = made
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = junk
    return json.dumps(made).encode()


def test_anything_in_any_place_of_a_chat_completion_is_an_answer_or_a_typed_failure(night, count):
    bodies = {
        f"{place} {n}": spoilt(place, junk) for place in PLACES for n, junk in enumerate(JUNK)
    }
    made = night()
    for name in bodies:
        made.prompts |= {f"before {name}": f"harmless before {name}", name: f"spoilt {name}"}
    made.write()
    spoilt_by = {f"spoilt {name}": Reply(body) for name, body in bodies.items()}
    made.server.faults = lambda request: spoilt_by.get(request.prompt)
    code, messages, _ = run_measured(made, "--provider", "openai", "-m", "m")
    assert code == 1, messages
    rows = {row["id"]: row for row in parsed(made.results)[0]}
    codes = {row["id"]: row["failure"]["code"] for row in parsed(made.failed)[0]}
    assert rows.keys() | codes.keys() == made.prompts.keys()
    assert not codes.keys() & {name for name in made.prompts if name.startswith("before")}
    assert set(codes.values()) <= {"bad_response", "empty_output", "refused"}
    for name in bodies:
        if name in rows and "content" not in name and "message" not in name:
            assert rows[name]["output"] == answer_to(PROMPT)
            for tokens in ("input_tokens", "output_tokens"):
                assert rows[name][tokens] in (7, None)
    for place in PLACES[:9]:  # what is no answer is no reason to lose one
        assert not [name for name in codes if name.startswith(f"{place} ")]
    count(cases=len(bodies))


WAITS = {
    "1": 1, "0.25": 0.25, " 2 ": 2, "+1": 1, "007": 7, "1e1": 10, "86400": 86400,
    "1e308": 366 * 86400, "1" + "0" * 30: 366 * 86400, "Wed, 04 Nov 2026 12:00:30 GMT": 30,
    "Wed, 04 Nov 2090 12:00:00 GMT": 366 * 86400, "2026-11-04T12:00:45Z": 45,
    "": None, "0": None, "-1": None, "-0.0": None, "NaN": None, "inf": None, "-inf": None,
    "1e999": None, "soon": None, "1, 2": None, "0x10": None, "5 minutes": None,
    "Thu, 01 Jan 1970 00:00:00 GMT": None, "Wed, 99 Nov 2026 99:00:00 GMT": None,
    "\xb2": None, "9" * 5000 + "x": None,
}  # fmt: skip
NOON = "Wed, 04 Nov 2026 12:00:00 GMT"


async def test_every_form_of_a_wait_is_read_from_the_wire_and_nonsense_is_none(count):
    for value, seconds in WAITS.items():
        fault = Status(429, headers={"retry-after": value, "date": NOON})
        with Server(script=[fault]) as server:
            async with connected(Dynaspark, server.url) as client:
                with pytest.raises(RateLimited) as caught:
                    await client.complete(question())
        assert caught.value.retry_after == seconds, value
    count(cases=len(WAITS))


STEERS = (b"\x1b]0;", b"owned\x07", b"\x1b[2J", b"\xc2\x9b31m", b"\xe2\x80\xae", b"\x1b[5;7m")


def test_nothing_of_what_a_server_says_steers_the_terminal(night):
    blink = STEERING + "\x1b[5;7m"
    header = blink.replace("\u202e", "").replace("\r", "")
    faults = [
        Reply(answered_as(blink)),
        Status(500, blink.encode()),
        Status(400, json.dumps({"error": blink}).encode()),
        Status(429, blink.encode(), {"retry-after": "0.2"}),
        Reply(f"<html>{blink}".encode()),
        Reply(json.dumps({"error": {"message": blink, "code": blink}}).encode()),
        Raw(f"HTTP/1.1 500 {blink}\r\nContent-Length: 0\r\n\r\n".encode(), "keep"),
        Raw(f"HTTP/1.1 {blink}\r\n\r\n".encode()),
        Raw(whole(blink.encode(), f"X-{header}: {header}", status=f"500 {header}")),
        Status(302, b"", {"location": f"http://{header}/{header}"}),
    ]
    made = night(len(faults) * 2)
    told = dict(zip(list(made.prompts.values())[1::2], faults, strict=True))
    made.server.faults = lambda request: told.get(request.prompt)
    shown, code = on_a_terminal(
        made.command("-v", "--progress", "bar", "--retries", "1", "-j", "1"), made.folder
    )
    assert code == 4
    assert b"\\x1b]0;owned" in shown or b"\xef\xbf\xbd" in shown
    assert not [each for each in STEERS if each in shown]


def on_a_terminal(command, folder):
    """All that a command shows on a terminal, and its exit code."""
    ours, theirs = pty.openpty()
    shown = bytearray()
    environment = {"HOME": str(folder), "TERM": "xterm-256color", **KEPT}
    with Run(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # EIO: nobody holds the other side any more
            while data := os.read(ours, 65_536):
                shown += data
        os.close(ours)
        return bytes(shown), process.wait(timeout=30)
