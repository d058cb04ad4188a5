"""`--base-url` given several times: equal servers that share the work, one of which may die."""

import contextlib
import socket

import pytest
from server import RateLimit, Server, Status, expected_answer


def openai(*servers):
    """The words for a fleet; servers may be addresses."""
    addresses = (getattr(server, "url", server) for server in servers)
    words = [word for address in addresses for word in ("--base-url", address)]
    return ("--provider", "openai", "-m", "m", *words)


def refused(done, *words):
    assert done.code == 2, done.err
    assert done.out == ""
    for word in words:
        assert word in done.err


def all_answered(shell, count):
    """Every job is answered once, rightly, and none has failed."""
    ids = [line["id"] for line in shell.lines()]
    assert len(ids) == count
    assert shell.outputs() == {f"j{n}": expected_answer(f"prompt {n}") for n in range(count)}
    assert not (shell.folder / "jobs.failed.jsonl").exists()


@pytest.fixture
def nobody():
    """An address at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


# The work


def test_equal_servers_share_the_work_over_connections_that_are_kept(shell):
    shell.jobs(300)
    with Server(latency=0.005) as a, Server(latency=0.005) as b, Server(latency=0.005) as c:
        done = shell("run", "jobs.jsonl", *openai(a, b, c), "-j", "12")
    assert done.code == 0, done.err
    all_answered(shell, 300)
    for server in (a, b, c):
        assert server.answers >= 75
        assert server.connections <= 8
    assert a.answers + b.answers + c.answers == 300
    told = "; ".join(f"{server.url} {server.answers} answers" for server in (a, b, c))
    assert f"endpoints: {told}\n" in done.err


def test_one_server_dies_and_one_is_slow_and_no_job_fails(shell):
    shell.jobs(300)
    with Server(latency=0.01) as good, Server(latency=0.1) as slow, contextlib.ExitStack() as life:
        dying = life.enter_context(Server(latency=0.01))
        with shell.start("run", "jobs.jsonl", *openai(dying, slow, good), "-j", "12") as process:
            dying.wait_for(60)
            life.close()
            _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    all_answered(shell, 300)
    assert {line["attempts"] for line in shell.lines()} == {1}
    assert slow.answers < good.answers
    # What was in flight is asked again elsewhere, and nothing else is asked twice.
    assert dying.arrived + slow.arrived + good.arrived <= 300 + 12
    assert f"{dying.url} {dying.answers} answers, " in err
    assert "away for the last" in err


def test_a_dead_first_address_costs_no_job_and_no_attempt(shell, nobody):
    shell.jobs(40)
    with Server(latency=0.002) as a, Server(latency=0.002) as b:
        done = shell("run", "jobs.jsonl", *openai(nobody, a, b))
    assert done.code == 0, done.err
    all_answered(shell, 40)
    assert {line["attempts"] for line in shell.lines()} == {1}
    assert f"endpoints: {nobody} 0 answers, " in done.err


def test_a_server_that_limits_its_rate_does_not_hold_the_others_up(shell):
    shell.jobs(40)
    with Server(faults=lambda _: RateLimit(600)) as limited, Server(latency=0.002) as free:
        done = shell("run", "jobs.jsonl", *openai(limited, free), "--max-outage", "5")
    assert done.code == 0, done.err
    all_answered(shell, 40)
    assert limited.arrived == 1


def test_nobody_at_any_address_ends_with_3_and_fails_no_job(shell, nobody):
    shell.jobs(3)
    other = nobody.replace("127.0.0.1", "127.0.0.2")
    done = shell("run", "jobs.jsonl", *openai(nobody, other), "--max-outage", "0")
    assert done.code == 3, done.err
    assert not (shell.folder / "jobs.failed.jsonl").exists()
    assert f"next: overnight run jobs.jsonl --provider openai -m m --base-url {nobody} " in done.err


def test_a_wrong_key_of_one_server_ends_with_4_and_tells_which(shell):
    shell.jobs(20)
    with Server(faults=lambda _: Status(401)) as wrong, Server() as right:
        done = shell("run", "jobs.jsonl", *openai(wrong, right))
    assert done.code == 4
    assert f"stopped: {wrong.url}: " in done.err


def test_one_server_is_no_fleet(shell, server):
    shell.jobs(3)
    done = shell("run", "jobs.jsonl", *openai(server))
    assert done.code == 0
    assert "endpoints:" not in done.err


def test_the_answers_belong_to_the_jobs_wherever_they_were_asked(shell):
    shell.jobs(3)
    with Server() as a, Server() as b, Server() as c:
        assert shell("run", "jobs.jsonl", *openai(a)).code == 0
        done = shell("run", "jobs.jsonl", *openai(b, c))
    assert "3 jobs: 0 to do, 3 done" in done.err
    assert (b.arrived, c.arrived) == (0, 0)


# How it is given


@pytest.fixture
def pair():
    with Server(latency=0.002) as one, Server(latency=0.002) as two:
        yield one, two


def test_the_environment_gives_addresses_with_spaces_between(shell, pair, monkeypatch):
    shell.jobs(40)
    monkeypatch.setenv("OVERNIGHT_RUN_BASE_URL", f"{pair[0].url} {pair[1].url}")
    assert shell("run", "jobs.jsonl", "--provider", "openai", "-m", "m").code == 0
    assert all(server.answers for server in pair)
    assert shell("check", "jobs.jsonl", "--provider", "openai", "-m", "m").code == 0
    assert shell("status", "jobs.jsonl").code == 0
    monkeypatch.setenv("OVERNIGHT_RUN_BASE_URL", f"{pair[0].url} here")
    for command in ("run", "check"):
        refused(shell(command, "jobs.jsonl", "--provider", "openai", "-m", "m"), "'here'")


@pytest.mark.parametrize("table", ["[run]", "[provider.openai]"])
def test_the_configuration_gives_a_list_or_a_text(shell, pair, table):
    shell.jobs(40)
    words = ("jobs.jsonl", "--provider", "openai", "-m", "m")
    shell.write("overnight.toml", table, f'base_url = "{pair[0].url}"')
    assert shell("run", *words).code == 0
    assert (pair[0].answers, pair[1].answers) == (40, 0)
    shell.write("overnight.toml", table, f'base_url = ["{pair[0].url}", "{pair[1].url}"]')
    assert shell("check", *words, "--fresh").code == 0
    assert shell("run", *words, "--fresh").code == 0
    assert pair[1].answers > 0
    assert shell("status", "jobs.jsonl").code == 0
    assert shell("verify", "jobs.jsonl").code == 0


def test_flags_displace_all_addresses_of_the_configuration(shell, pair):
    shell.jobs(20)
    shell.write(
        "overnight.toml", "[run]", 'base_url = ["http://127.0.0.1:9", "http://127.0.0.1:8"]'
    )
    done = shell("run", "jobs.jsonl", *openai(*pair))
    assert done.code == 0
    assert "127.0.0.1:9 " not in done.err


@pytest.mark.parametrize("again", ["{}", "{}/", "{}/v1", "HTTP://127.0.0.1:{port}"])
def test_a_server_that_is_named_twice_is_refused(shell, server, again):
    shell.jobs(1)
    again = again.format(server.url, port=server.port)
    done = shell("run", "jobs.jsonl", *openai(server, again))
    refused(done, f"--base-url {again} is given twice")
    assert server.arrived == 0


def test_every_address_is_checked_before_anything_is_sent(shell, server):
    shell.jobs(1)
    refused(shell("run", "jobs.jsonl", *openai(server, "")), "'' must look like")
    refused(shell("run", "jobs.jsonl", *openai(server, "ftp://x")), "'ftp://x' must look like")
    shell.write("key", "sk-1").chmod(0o600)
    words = (*openai(server, "http://192.0.2.1"), "--key-file", "key")
    refused(shell("run", "jobs.jsonl", *words), "192.0.2.1 over plain http")
    proxied = (*openai("https://192.0.2.1", server), "--key-file", "key")
    refused(shell("run", "jobs.jsonl", *proxied, "--proxy", "http://192.0.2.9:1"), "192.0.2.9")
    assert server.arrived == 0
