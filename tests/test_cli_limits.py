"""Waits, limits and the fallback as a user meets them: the command against a real server."""

import json

import pytest
from server import Hang, RateLimit, Reply, Server, Status

PAST, FAR = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2090 00:00:00 GMT"
MEANINGLESS = ["-1", "nan", "inf", "-inf", "soon", "", "0", "1e999", PAST, "\x7f", "9" * 5000 + "x"]
BEYOND = ["86400", "1e308", "1" + "0" * 30, FAR]


def openai(server, *more):
    return ("--provider", "openai", "-m", "m", "--base-url", server.url, *more)


def states(shell):
    return json.loads((shell.folder / "jobs.run.json").read_text())


@pytest.mark.parametrize("wait", MEANINGLESS)
def test_a_wait_that_means_nothing_is_half_a_second_and_fails_nobody(shell, wait):
    shell.jobs(3)
    with Server(script=[RateLimit(wait)]) as server:
        done = shell("run", "jobs.jsonl", *openai(server))
    assert (done.code, server.arrived) == (0, 4)
    assert 0.4 < states(shell)["lane"]["pauses"]["rate limit"] < 0.8


@pytest.mark.parametrize("wait", BEYOND)
def test_a_wait_beyond_all_patience_ends_with_3_and_the_time_to_come_back(shell, wait):
    shell.jobs(3)
    with Server(faults=lambda _: RateLimit(wait)) as server:
        done = shell("run", "jobs.jsonl", *openai(server))
    assert (done.code, server.arrived) == (3, 1)
    assert "the provider asks to wait until 20" in done.err
    assert "next: overnight run jobs.jsonl" in done.err
    assert not (shell.folder / "jobs.failed.jsonl").exists()


def test_a_server_that_limits_for_ever_ends_the_run_in_its_time_and_fails_nobody(shell):
    shell.jobs(3)
    with Server(faults=lambda _: RateLimit(None)) as server:
        done = shell("run", "jobs.jsonl", *openai(server, "--max-outage", "1s"))
    assert done.code == 3
    assert server.arrived <= 4
    assert not (shell.folder / "jobs.failed.jsonl").exists()


@pytest.mark.parametrize("concurrency", [1, 8, 128])
def test_a_wrong_key_costs_two_requests_at_any_concurrency(shell, concurrency):
    shell.jobs(300)
    shell.monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-wrong-wrong-wrong")
    with Server(key="sk-right") as server:
        done = shell("run", "jobs.jsonl", *openai(server, "-j", str(concurrency)))
    assert (done.code, server.arrived) == (4, 2)
    assert "check the key file or the environment variable" in done.err
    assert "sk-wrong" not in done.err
    assert not (shell.folder / "jobs.failed.jsonl").exists()


def test_the_fallback_does_what_is_left_and_is_named_in_its_results(shell):
    shell.jobs(40)
    shell.write("overnight.toml", "[provider.dynaspark]", "base_url = 'http://127.0.0.1:9'")
    spent = Status(429, b'{"error": {"code": "insufficient_quota", "message": "no credit"}}')
    with Server(faults=lambda request: spent if request.number > 10 else None) as server:
        toml = shell.folder / "overnight.toml"
        toml.write_text(toml.read_text().replace("http://127.0.0.1:9", server.url))
        with Server() as other:
            toml.write_text(toml.read_text().replace(server.url, other.url))
            words = openai(server, "--fallback", "dynaspark:gemini-2.0-flash")
            done = shell("run", "jobs.jsonl", *words)
            again = shell("run", "jobs.jsonl", *words)
            assert again.code == 0
            assert other.arrived == 30
    assert done.code == 0
    for told in (done.err, again.err, shell("status", "jobs.jsonl").out):
        assert "40 of 40 jobs answered by openai (10), dynaspark (30)" in told
    assert "going on with the fallback dynaspark" in done.err
    assert "fallback: 30 answers by dynaspark" in done.err
    lines = [json.loads(x) for x in (shell.folder / "jobs.results.jsonl").read_text().splitlines()]
    by = [(line["provider"], line["model"]) for line in lines]
    assert by.count(("dynaspark", "gemini-2.0-flash-lite")) == 30
    assert len({line["id"] for line in lines}) == 40


@pytest.mark.parametrize("more", [(), ("--skip-bad-lines",)])
def test_a_limit_that_the_fallback_reached_alone_ends_with_0(shell, more):
    good = [{"id": f"j{n}", "prompt": "x"} for n in range(4)]
    shell.write("jobs.jsonl", *good, *(["{"] if more else []))
    with Server(faults=lambda _: Status(402)) as server, Server() as other:
        shell.write("overnight.toml", "[provider.dynaspark]", f'base_url = "{other.url}"')
        words = openai(server, "--fallback", "dynaspark:m", "--limit", "3", *more)
        done = shell("run", "jobs.jsonl", *words)
    assert (done.code, other.arrived) == (1 if more else 0, 3)
    assert "3 of " in done.err
    assert "answered by dynaspark (3), none by openai in" in done.err
    assert "stopped: --limit 3" in done.err.splitlines()


def test_a_limit_that_the_fallback_did_not_reach_ends_as_its_provider_did(shell):
    schema = {"type": "object"}
    shell.write("jobs.jsonl", *({"id": f"j{n}", "prompt": "x", "schema": schema} for n in range(3)))
    with Server(faults=lambda _: Status(402)) as server, Server() as other:
        shell.write("overnight.toml", "[provider.dynaspark]", f'base_url = "{other.url}"')
        words = openai(server, "--fallback", "dynaspark:m", "--limit", "2")
        done = shell("run", "jobs.jsonl", *words)
    assert (done.code, other.arrived) == (4, 0)
    assert "the fallback cannot do what is left" in done.err


def test_what_the_fallback_cannot_do_is_left_with_the_reason_of_the_first_provider(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x", "schema": {"type": "object"}})
    with Server(faults=lambda _: Status(402)) as server, Server() as other:
        shell.write("overnight.toml", "[provider.dynaspark]", f'base_url = "{other.url}"')
        done = shell("run", "jobs.jsonl", *openai(server, "--fallback", "dynaspark"))
    assert (done.code, other.arrived) == (4, 0)
    assert "the fallback cannot do what is left" in done.err
    assert not (shell.folder / "jobs.failed.jsonl").exists()


@pytest.mark.parametrize(
    ("fallback", "words"),
    [
        ("opnai:m", "did you mean openai"),
        ("offline", "cannot stand in for a model"),
        ("openai", "needs a model"),
        ("dynaspark", "no server of its own"),
    ],
)
def test_a_fallback_that_cannot_work_is_told_before_anything_is_sent(shell, fallback, words):
    shell.jobs(1)
    with Server() as server:
        done = shell("run", "jobs.jsonl", *openai(server, "--fallback", fallback))
    assert (done.code, server.arrived) == (2, 0)
    assert words in done.err


def test_tokens_a_minute_are_kept_and_a_request_larger_than_that_is_rejected(shell):
    small = [{"id": f"{n}", "prompt": "x"} for n in range(3)]
    shell.write("jobs.jsonl", *small, {"id": "large", "prompt": "word " * 20_000})
    with Server() as server:
        done = shell("run", "jobs.jsonl", *openai(server, "--tpm", "20000"))
    assert (done.code, server.arrived) == (1, 3)
    (failed,) = (shell.folder / "jobs.failed.jsonl").read_text().splitlines()
    failure = json.loads(failed)["failure"]
    assert (failure["code"], failure["attempts"]) == ("rejected", 0)
    assert "more than --tpm 20000 lets out in a minute" in failure["message"]


def test_a_job_is_given_up_after_its_own_time(shell):
    shell.jobs(1)
    with Server(faults=lambda _: Hang()) as server:
        words = ("--timeout", "0.2s", "--job-timeout", "0.3s", "--retries", "9")
        done = shell("run", "jobs.jsonl", *openai(server, *words))
    assert done.code == 1
    assert server.arrived <= 3
    assert "failed: timeout 1" in done.err


def test_the_summary_and_run_json_tell_why_the_lane_paused_and_what_it_found(shell):
    shell.jobs(60)
    with Server(latency=0.02, script=[None] * 20 + [RateLimit(1)]) as server:
        done = shell("run", "jobs.jsonl", *openai(server, "-j", "16"))
    lane = states(shell)["lane"]
    assert done.code == 0
    assert list(lane) == ["limit", "pace_per_s", "pauses", "limits"]
    assert 1.0 <= lane["pauses"]["rate limit"] < 1.3
    assert lane["limits"][0][1] >= 1
    assert "paused 1." in done.err
    assert "(rate limit 1." in done.err
    assert "allowed in flight: " in done.err
    told = shell("status", "jobs.jsonl", "--json").json
    assert told["lane"] == lane


def test_what_a_fallback_refuses_is_left_and_the_first_provider_is_asked_next_time(shell):
    """A parameter that only the first one knows must not fail a job for good."""
    shell.jobs(40)
    spent = Status(402, b'{"error": {"message": "no credit"}}')
    with Server(faults=lambda request: spent if request.number > 5 else None) as server:
        with Server(faults=lambda _: Status(400)) as other:
            shell.write("overnight.toml", "[provider.dynaspark]", f'base_url = "{other.url}"')
            words = openai(server, "--fallback", "dynaspark:m")
            done = shell("run", "jobs.jsonl", *words)
        assert done.code == 4
        assert not (shell.folder / "jobs.failed.jsonl").exists()
        server.faults = None
        again = shell("run", "jobs.jsonl", *openai(server))
    assert again.code == 0


def test_ten_equal_refusals_lead_to_the_fallback(shell):
    shell.jobs(40)
    with Server(faults=lambda _: Status(400)) as server, Server() as other:
        shell.write("overnight.toml", "[provider.dynaspark]", f'base_url = "{other.url}"')
        done = shell("run", "jobs.jsonl", *openai(server, "--fallback", "dynaspark:m"))
    assert "every request is refused the same way" in done.err
    assert "going on with the fallback" in done.err
    assert other.arrived >= 30
    assert not (shell.folder / "jobs.failed.jsonl").exists()


@pytest.mark.parametrize("count", [10**15, 10**400])
def test_an_absurd_count_of_tokens_costs_no_answer_and_stops_nothing(shell, count):
    shell.jobs(20)
    usage = b'{"choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": %d}}'
    with Server(script=[Reply(usage % count)] * 5) as server:
        done = shell("run", "jobs.jsonl", *openai(server, "--tpm", "600000"))
    assert done.code == 0
    assert len((shell.folder / "jobs.results.jsonl").read_text().splitlines()) == 20
