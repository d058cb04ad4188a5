"""`overnight.toml`: defaults for options, what is known of providers, and nothing unknown."""

import json

import pytest
from server import Server
from shell import dynaspark

FAKE = 'provider = "fake"'


def toml(shell, text, name="overnight.toml"):
    return shell.write(name, text)


def refused(done, *words):
    assert done.code == 2, done
    assert done.out == ""
    for word in words:
        assert word in done.err


@pytest.fixture(autouse=True)
def jobs(shell):
    return shell.jobs(2)


def test_the_table_of_a_command_gives_its_defaults(shell):
    toml(shell, '[run]\nprovider = "fake"\noutput = "out.jsonl"\nlimit = 1\nquiet = true')
    done = shell("run", "jobs.jsonl")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert len(shell.lines("out.jsonl")) == 1


@pytest.mark.parametrize("key", ["max-outage", "max_outage"])
def test_names_may_have_dashes_or_underscores(shell, key):
    toml(shell, f'[run]\n{FAKE}\n{key} = "5m"')
    assert shell("run", "jobs.jsonl").code == 0
    toml(shell, f'[run]\n{FAKE}\n{key} = "soon"')
    refused(shell("run", "jobs.jsonl"), "--max-outage", "comes from [run] in overnight.toml")


def test_one_key_given_twice_is_refused(shell):
    toml(shell, "[run]\nmax-outage = 1\nmax_outage = 2")
    refused(shell("run", "jobs.jsonl"), "[run]", "twice")


@pytest.mark.parametrize("value", ["90", '"90"', '"90s"', '"1.5m"', '"0.025h"'])
def test_a_duration_is_a_number_or_a_text(shell, value):
    toml(shell, f"[run]\n{FAKE}\ntimeout = {value}")
    assert shell("run", "jobs.jsonl").code == 0


def test_flag_beats_environment_beats_file(shell, monkeypatch):
    def peak(*words):
        with Server(latency=0.002) as server:
            assert shell("run", "jobs.jsonl", "--fresh", *dynaspark(server), *words).code == 0
        return server.peak

    shell.jobs(60)
    toml(shell, "[run]\nconcurrency = 5")
    assert peak() == 5
    monkeypatch.setenv("OVERNIGHT_RUN_CONCURRENCY", "4")
    assert peak() == 4
    assert peak("-j", "3") == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[run]\nconcurency = 4", "unknown key 'concurency' in [run]: did you mean 'concurrency'?"),
        ("[run]\nkey = 'sk-1'", "unknown key 'key' in [run]"),
        ("[run]\nconfig = 'x'", "unknown key 'config' in [run]"),
        ("[run]\nsources = 'x'", "unknown key 'sources' in [run]"),
        ("[run]\nprompt = ['x']", "prompt in [run] must be a text, a number, true or false"),
        ("[run]\nbase_url = 5", "base_url in [run] must be a text or a list of texts"),
        ("[run]\nbase_url = ['http://x', 5]", "base_url in [run] must be a text or a list"),
        ("[rum]\n", "unknown table or key 'rum': did you mean 'run'?"),
        ("model = 'x'", "unknown table or key 'model': there are caption, check, export, "),
        ("run = 5", "run must be a table: write [run]"),
        ("[provider.opnai]\n", "unknown provider: did you mean 'openai'?"),
        ("[provider]\nopenai = 5", "[provider.openai] must be a table"),
        ("[provider.openai]\nbaseurl = 'x'", "unknown key 'baseurl': did you mean 'base_url'?"),
        ("[provider.openai]\nkey = 'sk-1'", "unknown key 'key'"),
        ("[provider.openai]\nbase_url = 5", "base_url must be a text or a list of texts"),
        ("[provider.openai]\nbase_url = [['http://x']]", "base_url must be a text or a list"),
        ("[provider.openai]\nkey_file = ['key']", "key_file must be a text"),
        ("[run", "overnight.toml"),
        ("[run]\nrpm = " + "9" * 5_000, "overnight.toml"),
        ("[run]\nrpm = " + "[" * 9_000, "overnight.toml"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_unknown_or_wrong_is_told_and_nothing_runs(shell, text, words):
    toml(shell, text)
    refused(shell("run", "jobs.jsonl"), "overnight.toml", words)
    assert not (shell.folder / "jobs.lock").exists()


def test_a_key_of_run_is_checked_by_the_commands_that_share_its_table(shell):
    toml(shell, "[run]\nconcurency = 4")
    for name in ("check", "status", "verify"):
        refused(shell(name, "jobs.jsonl"), "unknown key 'concurency' in [run]")


def test_check_takes_what_is_set_for_run_unless_it_is_set_for_itself(shell, monkeypatch):
    toml(shell, f"[run]\n{FAKE}\nlimit = 1")
    assert shell("check", "jobs.jsonl", "--json").json["to_do"] == 1
    monkeypatch.setenv("OVERNIGHT_RUN_LIMIT", "2")
    assert shell("check", "jobs.jsonl", "--json").json["to_do"] == 2
    toml(shell, f"[run]\n{FAKE}\n[check]\nlimit = 1")
    assert shell("check", "jobs.jsonl", "--json").json["to_do"] == 1
    monkeypatch.setenv("OVERNIGHT_CHECK_LIMIT", "2")
    assert shell("check", "jobs.jsonl", "--json").json["to_do"] == 2
    assert shell("check", "jobs.jsonl", "--json", "--limit", "1").json["to_do"] == 1


@pytest.mark.parametrize("name", ["OVERNIGHT_RUN_JSON", "OVERNIGHT_RUN_DRY_RUN"])
def test_the_environment_variable_of_an_option_has_its_name(shell, monkeypatch, name):
    toml(shell, f"[run]\n{FAKE}")
    monkeypatch.setenv(name, "1")
    done = shell("run", "jobs.jsonl")
    assert done.code == 0
    if name.endswith("JSON"):
        assert json.loads(done.out)["answered"] == 2
    else:
        assert "2 jobs: 2 new" in done.out


def test_a_provider_table_gives_address_key_file_and_price(shell):
    shell.write("key", "sk-table").chmod(0o600)
    with Server(key="sk-table") as server:
        toml(
            shell,
            f'[run]\nprovider = "openai"\nmodel = "m"\n[provider.openai]\nbase-url = "{server.url}"'
            f'\nkey_file = "key"\nprice = {{ input = 1000000, output = 0 }}',
        )
        done = shell("run", "jobs.jsonl", "--json")
    assert done.code == 0, done.err
    assert done.json["cost_usd"] == done.json["input_tokens"]


def test_a_flag_beats_the_provider_table(shell, server):
    toml(shell, '[provider.openai]\nbase_url = "http://127.0.0.1:9"')
    words = ("--provider", "openai", "-m", "m", "--base-url", server.url)
    assert shell("run", "jobs.jsonl", *words).code == 0


def test_the_table_of_another_provider_is_left_alone(shell, server):
    toml(shell, '[provider.openai]\nbase_url = "http://127.0.0.1:9"\nkey_file = "missing"')
    assert shell("run", "jobs.jsonl", *dynaspark(server)).code == 0


@pytest.mark.parametrize("price", ['"cheap"', "5", '{ input = "x" }'])
def test_a_price_that_is_none_is_told_with_an_example(shell, price):
    toml(shell, f"[run]\n{FAKE}\n[provider.fake]\nprice = {price}")
    refused(shell("run", "jobs.jsonl"), "price = {input = 0.15, output = 0.6}")


def test_a_key_file_may_stand_in_the_home_of_the_user(shell):
    shell.write("home/key", "sk-home").chmod(0o600)
    with Server(key="sk-home") as server:
        toml(
            shell,
            f'[provider.openai]\nbase_url = "{server.url}"\nkey_file = "~/key"\n[run]\n{FAKE}',
        )
        assert shell("run", "jobs.jsonl", "--provider", "openai", "-m", "m").code == 0


def test_a_given_file_is_taken_and_must_exist(shell, monkeypatch):
    toml(shell, "[run]\nprovider = 'nonsense'")
    toml(shell, f"[run]\n{FAKE}", "other.toml")
    assert shell("run", "jobs.jsonl", "--config", "other.toml").code == 0
    monkeypatch.setenv("OVERNIGHT_RUN_CONFIG", "other.toml")
    assert shell("run", "jobs.jsonl").code == 0
    refused(shell("run", "jobs.jsonl", "--config", "missing.toml"), "missing.toml", "No such file")
    refused(shell("run", "jobs.jsonl", "--config", "home"), "home", "Is a directory")


def test_the_users_own_file_is_the_last_choice(shell, monkeypatch):
    own = shell.folder / "home" / ".config" / "overnight"
    own.mkdir(parents=True)
    (own / "overnight.toml").write_text(f"[run]\n{FAKE}\nlimit = 1")
    assert shell("check", "jobs.jsonl", "--json").json["to_do"] == 1
    xdg = shell.folder / "xdg" / "overnight"
    xdg.mkdir(parents=True)
    (xdg / "overnight.toml").write_text(f"[run]\n{FAKE}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(xdg.parent))
    assert shell("check", "jobs.jsonl", "--json").json["to_do"] == 2
    toml(shell, f"[run]\n{FAKE}\nlimit = 1")
    assert shell("check", "jobs.jsonl", "--json").json["to_do"] == 1


def test_the_folder_of_the_job_file_is_not_searched(shell):
    shell.write("strangers/jobs.jsonl", {"id": "a", "prompt": "x"})
    shell.write("strangers/overnight.toml", "[run]\nprovider = 'nonsense'")
    assert shell("run", "strangers/jobs.jsonl", "--provider", "fake").code == 0


def test_a_broken_file_does_not_keep_the_help_away(shell):
    toml(shell, "[run")
    assert shell("run", "--help").code == 0
    assert shell("--help").code == 0
