"""Where a key comes from, where it may go, and that it stands nowhere else."""

import base64
import signal
from urllib.parse import quote

import pytest
from server import Hold, Reply, Server, Status
from shell import OVERNIGHT, openai

from batch.credentials import check_address, check_proxy, find_key, is_loopback
from batch.errors import UsageError

CANARY = "sk-canary/0123456789+abcdef="
PLAIN = "sk-canary-0123456789-abcdef"


def key_file(folder, text, mode=0o600):
    path = folder / "key"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


# Where it comes from


def test_the_file_comes_before_the_credential_and_that_before_the_environment(tmp_path):
    (tmp_path / "openai_api_key").write_text("from systemd\n".replace(" ", "-"))
    environ = {"OPENAI_API_KEY": "from-environment", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    path = key_file(tmp_path, "from-file\n")
    assert find_key("openai", path, environ) == "from-file"
    assert find_key("openai", None, environ) == "from-systemd"
    (tmp_path / "openai_api_key").unlink()
    assert find_key("openai", None, environ) == "from-environment"
    assert find_key("openai", None, {}) == ""


def test_each_provider_has_a_name_of_its_own(tmp_path):
    environ = {"OPENAI_API_KEY": "one", "MY_SERVER_API_KEY": "two"}
    assert find_key("my-server", None, environ) == "two"
    assert find_key("dynaspark", None, environ) == ""


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_trailing_newline_is_dropped(tmp_path, end):
    assert find_key("openai", key_file(tmp_path, f"sk-1{end}"), {}) == "sk-1"
    assert find_key("openai", None, {"OPENAI_API_KEY": f"sk-1{end}"}) == "sk-1"
    (tmp_path / "openai_api_key").write_bytes(f"sk-1{end}".encode())
    assert find_key("openai", None, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "sk-1"


@pytest.mark.parametrize("text", ["sk\n1", "sk\r\nX-Evil: 1", "sk 1", "sk\t1", "sk\0", "schlüssel"])
def test_what_no_header_carries_is_refused_and_not_repeated(tmp_path, text):
    for path, environ in (
        (key_file(tmp_path, text), {}),
        (None, {"OPENAI_API_KEY": text}),
    ):
        with pytest.raises(UsageError, match="holds more than a key") as caught:
            find_key("openai", path, environ)
        assert text not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", " \n"])
def test_an_empty_file_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="is empty"):
        find_key("openai", key_file(tmp_path, text), {})
    (tmp_path / "openai_api_key").write_text(text)
    with pytest.raises(UsageError, match="is empty"):
        find_key("openai", None, {"CREDENTIALS_DIRECTORY": str(tmp_path), "OPENAI_API_KEY": "x"})


def test_an_empty_variable_is_no_key():
    assert find_key("openai", None, {"OPENAI_API_KEY": ""}) == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o601])
def test_a_key_file_that_others_can_open_is_refused(tmp_path, mode):
    with pytest.raises(UsageError, match="chmod 600"):
        find_key("openai", key_file(tmp_path, "sk-1", mode), {})


def test_a_link_to_an_open_file_is_refused_too(tmp_path):
    key_file(tmp_path, "sk-1", 0o644)
    (tmp_path / "link").symlink_to("key")
    with pytest.raises(UsageError, match="chmod 600"):
        find_key("openai", str(tmp_path / "link"), {})


def test_the_mode_of_a_credential_is_the_business_of_systemd(tmp_path):
    (tmp_path / "openai_api_key").write_text("sk-1")
    (tmp_path / "openai_api_key").chmod(0o440)
    assert find_key("openai", None, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "sk-1"


def test_a_key_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        find_key("openai", str(tmp_path / "missing"), {})
    with pytest.raises(UsageError, match="Is a directory"):
        find_key("openai", str(tmp_path), {})
    (tmp_path / "openai_api_key").mkdir()
    with pytest.raises(UsageError, match="Is a directory"):
        find_key("openai", None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_pipe_is_a_key_file(shell):
    shell.jobs(1)
    with Server(key="sk-pipe") as server:
        words = " ".join(openai(server))
        line = f"{OVERNIGHT} run jobs.jsonl {words} --key-file <(echo sk-pipe)"
        done = shell.process("-c", line, program=("bash",))
    assert done.code == 0, done.err


# Where it may go


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.2", "127.255.255.254", "[::1]", "localhost", "LOCALHOST"],
)
def test_a_key_goes_over_plain_http_to_this_machine(host):
    check_address(f"http://{host}:8000/v1", has_key=True)


@pytest.mark.parametrize(
    "host",
    [
        *("192.168.1.5", "10.0.0.1", "0.0.0.0", "example.com", "localhost.example.com"),
        *(
            "127.0.0.1.example.com",
            "a.localhost",
            "127.1",
            "[::2]",
            "[fe80::1]",
            "128.0.0.1",
            "localhostx",
        ),
    ],
)
def test_a_key_goes_to_no_other_machine_over_plain_http(host):
    with pytest.raises(UsageError, match=r"over plain http.*use https"):
        check_address(f"http://{host}:8000", has_key=True)
    check_address(f"http://{host}:8000", has_key=False)
    check_address(f"https://{host}:8000", has_key=True)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "127.0.0.1:8000",
            "localhost:8000",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "http://",
        ),
        *("http://127.0.0.1:x", "http://127.0.0.1:99999", "http://[::1", "http://127.0.0.1/ x"),
        *("http://127.0.0.1/\n", "http://127.0.0.1/?key=1", "http://127.0.0.1/#x"),
    ],
)
def test_what_is_no_address_is_told_with_an_example_or_the_fault(address):
    with pytest.raises(UsageError, match="--base-url"):
        check_address(address, has_key=False)


@pytest.mark.parametrize("user", ["me@", "me:hunter2@", ":hunter2@", "127.0.0.1:80@"])
def test_an_address_holds_no_password_and_none_is_repeated(user):
    with pytest.raises(UsageError, match="--key-file") as caught:
        check_address(f"https://{user}example.com", has_key=False)
    assert "hunter2" not in str(caught.value)


def test_a_key_does_not_go_through_a_strange_proxy_in_plain_text():
    with pytest.raises(UsageError, match=r"through the proxy proxy\.test"):
        check_proxy("http://proxy.test:3128", "http://127.0.0.1:8000", has_key=True)
    check_proxy("http://proxy.test:3128", "https://api.test", has_key=True)
    check_proxy("http://proxy.test:3128", "http://127.0.0.1:8000", has_key=False)
    check_proxy("http://127.0.0.1:3128", "http://127.0.0.1:8000", has_key=True)
    with pytest.raises(UsageError, match="--proxy must look like"):
        check_proxy("proxy.test", "https://api.test", has_key=False)


def test_a_proxy_of_the_environment_does_not_see_what_goes_to_this_machine(shell, monkeypatch):
    shell.jobs(1)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    with Server() as proxy, Server() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert shell("run", "jobs.jsonl", *openai(server)).code == 0
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.9.9.9"])
def test_this_machine_has_many_names(host):
    assert is_loopback(host)


# That it stands nowhere else


def forms(key):
    """A key as it might be written down."""
    plain = base64.b64encode(key.encode()).decode()
    return {key, quote(key), quote(key, safe=""), plain, plain.rstrip("=")}


def leaks(shell, key, *texts):
    """The places that hold the key: files of the folder, and texts."""
    places = {**shell.files(), **{f"text {n}": text.encode() for n, text in enumerate(texts)}}
    places.pop("home/key", None)
    return [name for name, held in places.items() if any(f.encode() in held for f in forms(key))]


def echo(key, code=500):
    """A server that says the key in everything it sends back."""
    said = " ".join(sorted(forms(key)))
    body = f'{{"error": {{"message": "{said}", "code": "{key}"}}}}'.encode()
    return Status(code, body=body, headers={"x-echo": key, "location": f"https://{key}/"})


def answer_with(key):
    said = " ".join(sorted(forms(key)))
    choice = f'{{"message": {{"content": "{said}"}}, "finish_reason": "{key}"}}'
    return Reply(f'{{"model": "{key}", "choices": [{choice}]}}'.encode())


FAULTS = {
    "refused": lambda key: Status(401),
    "failing": lambda key: Status(500),
    "echo 400": lambda key: echo(key, 400),
    "echo 401": lambda key: echo(key, 401),
    "echo 302": lambda key: echo(key, 302),
    "echo 429": lambda key: echo(key, 429),
    "echo 500": lambda key: echo(key, 500),
    "echo page": lambda key: Reply(f"<html>{key}</html>".encode()),
    "echo answer": answer_with,
}


@pytest.mark.parametrize("key", [CANARY, PLAIN])
@pytest.mark.parametrize("place", ["file", "environment"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_key_stands_in_no_file_and_no_message(shell, monkeypatch, key, place, fault):
    shell.jobs(2)
    words = ["-v", "--retries", "0", "--max-outage", "0", "--json"]
    if place == "file":
        words += ["--key-file", key_file(shell.folder / "home", key)]
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with Server(faults=lambda _: FAULTS[fault](key)) as server:
        done = shell("run", "jobs.jsonl", *openai(server, *words))
        assert server.requests[0].headers["authorization"] == f"Bearer {key}"
    told = [shell(name, "jobs.jsonl", *openai(server)) for name in ("check", "status", "verify")]
    texts = [done.out, done.err, *(text for each in told for text in (each.out, each.err))]
    assert leaks(shell, key, *texts) == []


def test_a_key_stands_in_no_command_line_and_survives_no_crash(shell):
    shell.jobs(4)
    path = key_file(shell.folder / "home", CANARY)
    with Server(faults=lambda _: Hold()) as server:
        words = openai(server, "--key-file", path, "-v")
        with shell.start("run", "jobs.jsonl", *words) as process:
            server.wait_for(1)
            with (
                open(f"/proc/{process.pid}/cmdline") as typed,
                open(f"/proc/{process.pid}/environ") as environ,
            ):
                texts = [typed.read(), environ.read()]
            process.send_signal(signal.SIGKILL)
            texts += process.communicate(timeout=20)
    assert leaks(shell, CANARY, *texts) == []


def test_a_short_key_is_no_secret_and_spoils_no_answer(shell, monkeypatch):
    shell.jobs(1)
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    with Server(key="EMPTY", answer=lambda _: "The list is EMPTY.") as server:
        assert shell("run", "jobs.jsonl", *openai(server)).code == 0
    assert shell.outputs() == {"j0": "The list is EMPTY."}


def test_without_a_key_no_header_is_sent(shell, server):
    shell.jobs(1)
    assert shell("run", "jobs.jsonl", *openai(server)).code == 0
    assert "authorization" not in server.requests[0].headers


def test_a_broken_key_is_refused_before_anything_is_sent(shell, server, monkeypatch):
    shell.jobs(1)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1\r\nX-Evil: 1")
    done = shell("run", "jobs.jsonl", *openai(server))
    assert done.code == 2
    assert "$OPENAI_API_KEY holds more than a key" in done.err
    assert "X-Evil" not in done.err
    assert server.requests == []
