"""`overnight check`: the plan of a run, made without sending or writing anything."""

import base64
import json

import pytest
from PIL import Image
from server import Server, Status
from shell import dynaspark, openai

FAKE = ("--provider", "fake")


def test_the_plan_tells_new_changed_done_and_failed_jobs_and_writes_nothing(shell):
    shell.jobs(4)
    with Server(script=[None, None, Status(422)]) as server:
        shell("run", "jobs.jsonl", "--limit", "3", *dynaspark(server, "-j", "1"))
        jobs = shell.lines("jobs.jsonl")
        jobs[1]["prompt"] = "another"
        shell.write("jobs.jsonl", *jobs)
        before, sent = shell.files(), len(server.requests)
        done = shell("check", "jobs.jsonl", *dynaspark(server, "--json"))
        assert done.code == 0, done.err
        told = shell("check", "jobs.jsonl", *dynaspark(server))
        assert len(server.requests) == sent
    assert shell.files() == before
    assert done.err == told.err == ""
    plan = {key: done.json[key] for key in ("jobs", "new", "changed", "done", "failed", "to_do")}
    assert plan == {"jobs": 4, "new": 1, "changed": 1, "done": 1, "failed": 1, "to_do": 2}
    assert "4 jobs: 1 new, 1 changed, 1 done" in told.out
    assert "failed and kept so: rejected 1 (--retry-failed all tries them)" in told.out
    assert "to do: 2 requests to dynaspark" in told.out


def test_an_edited_meta_and_an_inserted_line_renew_nothing(shell):
    shell.jobs(2)
    shell("run", "jobs.jsonl", *FAKE)
    jobs = [job | {"meta": {"shelf": 3}} for job in shell.lines("jobs.jsonl")]
    shell.write("jobs.jsonl", {"id": "first", "prompt": "x"}, *reversed(jobs))
    plan = shell("check", "jobs.jsonl", "--json", *FAKE).json
    assert (plan["new"], plan["changed"], plan["done"]) == (1, 0, 2)


def test_answers_of_jobs_that_left_are_told_as_orphans(shell):
    shell.jobs(3)
    shell("run", "jobs.jsonl", *FAKE)
    shell.jobs(1)
    done = shell("check", "jobs.jsonl", *FAKE)
    assert done.code == 0
    assert "2 answers belong to no job any more (orphans)" in done.out


def test_a_plan_to_begin_anew_names_the_run_that_does(shell):
    shell.jobs(2)
    shell("run", "jobs.jsonl", *FAKE)
    done = shell("check", "jobs.jsonl", "--fresh", *FAKE)
    assert "2 changed, 0 done" in done.out
    assert done.out.endswith("next: overnight run jobs.jsonl --provider fake --fresh\n")
    assert "--fresh" not in shell("check", "jobs.jsonl", *FAKE).out


def test_a_line_that_cannot_run_ends_with_2(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"}, {"promt": "x"})
    done = shell("check", "jobs.jsonl", *FAKE)
    assert done.code == 2
    assert done.out == ""
    assert "jobs.jsonl:2: unknown field `promt`, did you mean `prompt`?" in done.err
    assert "--skip-bad-lines" in done.err
    skipping = shell("check", "jobs.jsonl", "--skip-bad-lines", *FAKE)
    assert skipping.code == 0
    assert "1 bad line would become failed lines" in skipping.out


def test_a_plan_needs_no_key_but_says_that_a_run_does(shell):
    shell.jobs(2)
    done = shell("check", "jobs.jsonl", "--provider", "openai", "-m", "m")
    assert done.code == 0
    assert "note: openai needs a key: give --key-file FILE or set OPENAI_API_KEY" in done.out


def test_what_no_run_would_take_ends_with_2(shell):
    shell.jobs(1)
    shell.write("key", "sk-1").chmod(0o644)
    words = ("check", "jobs.jsonl", "--provider", "openai", "-m", "m")
    assert shell(*words, "--key-file", "key").code == 2
    assert shell(*words, "--base-url", "nowhere").code == 2
    assert shell(*words, "-o", ".").code == 2
    assert shell("check", "missing.jsonl").code == 2
    assert shell("check", "-").code == 2


def test_tokens_and_cost_are_estimated_and_called_so(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x" * 4_000_000})
    shell.write("overnight.toml", "[provider.openai]\nprice = { input = 0.15, output = 0.6 }")
    words = ("check", "jobs.jsonl", "--provider", "openai", "-m", "m")
    plan = shell(*words, "--json").json
    assert plan["estimated_input_tokens"] == 1_000_000
    assert plan["estimated_cost_usd"] == pytest.approx(0.15)
    assert "$0.1500 (estimate, answers not included)" in shell(*words).out


def test_images_are_counted_and_not_opened(shell):
    shell.write("photos/a.png", "This is no picture.")
    done = shell("check", "photos")
    assert done.code == 0
    assert "1 image" in done.out


def test_the_images_to_do_are_looked_into_when_that_is_asked(shell):
    shell.picture("photos/a.png")
    shell.picture("photos/b.png")
    Image.new("RGB", (1024, 2048)).save("photos/c.png")
    shell.write("photos/d.png", "This is no picture.")
    shell.write("overnight.toml", "[provider.openai]\nprice = { input = 2.5, output = 10 }")
    words = ("check", "photos", "-p", "Why?", "--provider", "openai", "-m", "gpt-4o-2024-08-06")
    before = shell.files()
    done = shell(*words, "--estimate", "--max-side", "1024", "--exclude", "b.png", "--json")
    assert done.code == 0, done.err
    tokens = (85 + 170) + (85 + 170 * 2)
    found = done.json["estimate"]
    assert found["image_bytes"] == sum(len(before[f"photos/{name}.png"]) for name in "ac")
    assert (found["images"], found["unreadable"], found["pixels"]) == (2, 1, 8 * 6 + 512 * 1024)
    assert found["image_tokens_low"] == found["image_tokens_high"] == tokens
    cost = (tokens + done.json["estimated_input_tokens"]) * 2.5 / 1e6
    assert found["cost_low_usd"] == found["cost_high_usd"] == pytest.approx(cost)
    told = shell(*words, "--estimate").out
    assert "images: 3 looked into" in told
    assert "1 unreadable" in told
    assert told.endswith("-m gpt-4o-2024-08-06\n"), "the run that comes next estimates nothing"
    assert "estimate" not in shell(*words, "--json").json
    assert shell.files() == before


def test_how_an_unknown_server_counts_is_told_as_a_range(shell, server):
    shell.picture("photos/a.png")
    words = openai(server, "-p", "Why?")
    done = shell("run", "photos", "-n", "--estimate", *words)
    assert done.code == 0, done.err
    assert "how this server counts them is unknown (m)" in done.out
    found = shell("check", "photos", "--estimate", "--json", *words).json["estimate"]
    assert (found["image_tokens_low"], found["image_tokens_high"]) == (1, 1120)
    assert found["unknown_models"] == ["m"]
    assert found["cost_low_usd"] is None
    refused = shell("run", "photos", "--estimate", *words)
    assert refused.code == 2
    assert "--estimate sends nothing: add -n" in refused.err
    assert not server.requests


def test_what_works_on_this_machine_counts_no_tokens_of_images(shell):
    shell.picture("photos/a.png")
    found = shell("check", "photos", "--estimate", "--json").json["estimate"]
    assert (found["images"], found["image_tokens_low"], found["unknown_models"]) == (1, None, [])
    assert "tokens of the images" not in shell("check", "photos", "--estimate").out


def test_addresses_and_images_in_batch_lines_are_estimated_too(shell):
    data = base64.b64encode(shell.picture("a.png").read_bytes()).decode()
    urls = (f"data:image/png;base64,{data}", "https://example.org/b.png")
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    body = {"model": "o3", "messages": [{"role": "user", "content": parts}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    shell.write("jobs.jsonl", line)
    done = shell("check", "jobs.jsonl", "--provider", "openai", "--estimate", "--json")
    found = done.json["estimate"]
    assert (found["images"], found["addresses"], found["image_tokens_low"]) == (1, 1, 75 + 150)


def test_every_option_of_run_is_taken(shell, server):
    shell.jobs(1)
    words = ["--timeout", "9", "--if-locked", "skip", "--sync", "each", "--grace", "1", "-v"]
    done = shell("check", "jobs.jsonl", *openai(server, *words, "--progress", "none"))
    assert done.code == 0, done.err
    assert (
        f"next: overnight run jobs.jsonl --provider openai -m m --base-url {server.url}" in done.out
    )
    assert shell("check", "jobs.jsonl", "-q", *FAKE).out == ""


def test_the_next_command_can_be_pasted(shell):
    source = shell.jobs(1, "my jobs.jsonl")
    done = shell("check", source.name, "-p", "it's", "-nv", *FAKE)
    assert done.out.splitlines()[-1] == (
        """next: overnight run 'my jobs.jsonl' -p 'it'"'"'s' -v --provider fake"""
    )


def test_a_check_is_the_same_before_and_after_the_fact(shell):
    shell.jobs(2)
    before = shell("check", "jobs.jsonl", "--json", *FAKE).json
    shell("run", "jobs.jsonl", *FAKE)
    after = shell("check", "jobs.jsonl", "--json", *FAKE).json
    assert (before["to_do"], after["to_do"]) == (2, 0)
    assert (after["done"], after["jobs"]) == (2, 2)
    assert json.dumps(list(before)) == json.dumps(list(after))


@pytest.mark.parametrize("command", ["check", "run"])
def test_braces_that_nothing_fills_are_told_before_they_are_paid_for(shell, command):
    shell.write(
        "jobs.jsonl",
        {"id": "a", "prompt": "Greet {{name}}."},
        {"id": "b", "prompt": "Greet {{name}}.", "vars": {"name": "Ada"}},
        {"id": "c", "prompt": "What does {{ 1 + 1 }} mean in a template?"},
    )
    done = shell(command, "jobs.jsonl", *FAKE)
    assert done.code == 0
    assert "note: 1 job with {{name}} and without `vars`: sent as written" in done.out + done.err
