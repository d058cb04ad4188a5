"""A key that is known by sight: every byte that runs write, print or pass on is searched for it."""

import contextlib
import json
import os
import pty
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from night import KEPT, OVERNIGHT, Run
from secrets_held import holders, spelt
from server import Hold, Redirect, Reply, Server, Status

CANARIES = (
    'sk-odd+/=&%"\\<>~9Zq4Tt7Lm2Xv8Rb3Kc6Wd1',
    "sk-Proj_9Zq4Tt7Lm2Xv8Rb3Kc6Wd1Yf5Hg0Js",
)
"""One that every kind of escape changes, and one as vendors make them."""

IN_ENVIRONMENT = "sk-inEnv-5Nn8Pp2Qq7Ss4Uu9Vv3Ww6Xx1Zz"
PASSWORD = "proxyPw-7Hh3Jj9Kk5Ll1Mm8Nn"


class House:
    """A folder with jobs and a key, and everything that runs in it leave or say."""

    def __init__(self, folder, key):
        self.folder, self.key = folder, key
        self.said = {}
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        self.key_file = folder / "home" / "key"
        self.key_file.write_text(f"{key}\n")
        self.key_file.chmod(0o600)
        self.jobs = folder / "jobs.jsonl"
        lines = ({"id": f"j{n}", "prompt": f"prompt {n}"} for n in range(4))
        self.jobs.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.environment = {**KEPT, "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}

    def start(self, *words, **how):
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        env = self.environment | how.pop("env", {})
        words = [str(word) for word in words]
        return Run([OVERNIGHT, *words], stdin=subprocess.DEVNULL, cwd=self.folder, env=env, **how)

    def call(self, *words, **how):
        with self.start(*words, **how) as process:
            out, err = process.communicate(timeout=50)
        self.keep(f"stdout of {words[0]}", out)
        self.keep(f"stderr of {words[0]}", err)
        return process.returncode

    def keep(self, name, data):
        self.said[f"{name} {len(self.said)}"] = data or b""

    def asked(self, server, *more):
        server_words = ("--provider", "openai", "-m", "m", "--base-url", server.url)
        return ("run", self.jobs, *server_words, "--key-file", self.key_file, *more)

    def holders(self, *secrets):
        files = (
            path for path in self.folder.rglob("*") if path.is_file() and path != self.key_file
        )
        places = {str(path): path.read_bytes() for path in files}
        places |= {f"the name of {path}": str(path).encode() for path in self.folder.rglob("*")}
        return holders(self.said | places, self.key, *secrets)


def pytest_generate_tests(metafunc):
    if "house" in metafunc.fixturenames:
        keys = CANARIES if metafunc.config.getoption("long") else CANARIES[:1]
        metafunc.parametrize("house", keys, indirect=True, ids=["odd", "plain"][: len(keys)])


@pytest.fixture
def house(tmp_path, request):
    return House(tmp_path, request.param)


def every_form(key):
    """A key in all its forms, as ASCII that may stand in a header."""
    return " ".join(sorted(spelt(key))) + f" {key} Bearer {key}"


def error_that_says(key, status, *, headers=()):
    words = every_form(key)
    body = json.dumps({"error": {"message": words, "code": key, "type": key}}).encode()
    return Status(status, body, {"x-echo": key, **dict(headers)})


def cut_in_the_middle(key):
    """Words so long that a limit falls into the last of many keys, wherever it is."""
    return Status(400, json.dumps({"error": {"message": f"{key} " * 400}}).encode())


def answer_that_says(key):
    words = every_form(key)
    choice = {"message": {"content": words}, "finish_reason": key}
    spelt = json.dumps({"model": key, "choices": [choice]}).encode()
    return Reply(spelt.replace(b"sk-", b"\\u0073k-"))


REPLIES = {
    "200": lambda key: None,
    "200 echoes": answer_that_says,
    "200 of another shape": lambda key: Reply(json.dumps({key: [key], "choices": key}).encode()),
    "200 page": lambda key: Reply(f"<html>{every_form(key)}</html>".encode()),
    "200 cut JSON": lambda key: Reply(f'{{"choices": "{key}'.encode()),
    "400 echoes": lambda key: error_that_says(key, 400),
    "400 long": cut_in_the_middle,
    "401 echoes": lambda key: error_that_says(key, 401),
    "402 echoes": lambda key: error_that_says(key, 402),
    "429 echoes": lambda key: error_that_says(key, 429, headers={"retry-after": key}),
    "500 echoes its headers": lambda key: Status(
        500, f"POST / HTTP/1.1\r\nauthorization: Bearer {key}\r\n\r\n{every_form(key)}".encode()
    ),
    "redirect to a host": lambda key: Redirect(f"https://{key}.example.org/"),
    "redirect to a path": lambda key: Redirect(f"/login?key={key}"),
    "no HTTP": lambda key: Reply(b"", {"x-echo": f"{key}\x01"}),
}


@pytest.mark.parametrize("reply", REPLIES)
def test_no_reply_brings_the_key_back(house, reply, many, count):
    looks = many((), ("check", "status", "verify", "report"))
    with Server(faults=lambda _: REPLIES[reply](house.key)) as server:
        quick = ("-v", "--retries", "0", "--max-outage", "0", "--timeout", "9")
        house.call(*house.asked(server, *quick, "--json"), env={"PYTHONASYNCIODEBUG": "1"})
        assert f"Bearer {house.key}" == server.requests[0].headers["authorization"]
        for name in looks:
            house.call(name, *house.asked(server)[1:])
        if looks:
            house.call("export", house.jobs, "--to", "csv")
    assert house.holders() == []
    count(cases=1 + len(looks))


def allow_cores():
    with contextlib.suppress(ValueError):  # who is not root may not go over the limit
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))


def test_neither_does_a_run_that_is_killed_stopped_or_looked_at(house, count):
    with Server(faults=lambda _: Hold()) as server:
        for number, progress in ((signal.SIGKILL, "plain"), (signal.SIGTERM, "bar")):
            words = house.asked(server, "-v", "--progress", progress)
            with house.start(*words, preexec_fn=allow_cores) as process:
                server.wait_for(server.arrived + 1)
                for name in ("cmdline", "environ", "limits"):
                    house.keep(name, Path(f"/proc/{process.pid}/{name}").read_bytes())
                house.call("status", house.jobs, "--json")
                process.send_signal(number)
                server.release()
                house.keep("stderr", process.communicate(timeout=20)[1])
    assert house.holders() == []
    limits = next(held for name, held in house.said.items() if name.startswith("limits"))
    assert limits.split(b"Max core file size")[1].split()[0] == b"0"
    count(cases=2)


def test_neither_does_a_terminal_show_it(house, count):
    with Server(faults=lambda _: error_that_says(house.key, 401)) as server:
        ours, theirs = pty.openpty()
        words = house.asked(server, "-v", "--progress", "bar")
        with house.start(*words, stdout=theirs, stderr=theirs) as process:
            process.wait(timeout=30)
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(ours, 1 << 16):
                told += piece
        os.close(ours)
    assert b"refus" in told
    house.keep("terminal", told)
    assert house.holders() == []
    count(cases=1)


CRASH = """
import sys
import batch.providers.openai as wire
def decode(self, body):
    raise KeyError(body.decode("latin-1"))
wire.OpenAI.decode = decode
from batch.__main__ import main
sys.exit(main())
"""

BUG = """
import sys
import batch.runner
def call(self, flight, request):
    raise SystemError(repr(vars(flight.route.completer)))
def record(self, *_):
    raise MemoryError(repr(self.__dict__), repr(self.routes[0].completer._connection))
batch.runner.Runner.run = record
from batch.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(("program", "code"), [(CRASH, 1), (BUG, 70)], ids=["job", "run"])
def test_neither_does_the_traceback_of_a_bug(house, program, code, count):
    said = json.dumps({"choices": every_form(house.key)}).encode()
    with Server(faults=lambda _: Reply(said)) as server:
        words = map(str, house.asked(server, "-v"))
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            cwd=house.folder,
            env=house.environment,
            capture_output=True,
            timeout=30,
            check=False,
        )
    house.keep("stdout", done.stdout)
    house.keep("stderr", done.stderr)
    assert done.returncode == code, done.stderr
    assert b"Traceback" in done.stderr
    assert house.holders() == []
    count(cases=1)


def test_no_command_is_told_a_key(house, count):
    given = {"OPENAI_API_KEY": IN_ENVIRONMENT, "Dynaspark_Api_Key": IN_ENVIRONMENT}
    given |= {"CREDENTIALS_DIRECTORY": str(house.folder / IN_ENVIRONMENT)}
    code = house.call("run", house.jobs, "--provider", "exec:env", env=given)
    assert code == 0
    lines = list(map(json.loads, (house.folder / "jobs.results.jsonl").read_bytes().splitlines()))
    assert all("HOME=" in line["output"] for line in lines)
    house.call("run", house.jobs, "--provider", "exec:cat /proc/self/cmdline", env=given)
    house.call("run", house.jobs, "--provider", "exec:sh -c 'env >&2; exit 1'", env=given)
    assert house.holders(IN_ENVIRONMENT) == []
    count(cases=3)


def test_neither_a_credential_nor_a_variable_nor_a_proxy_s_password_is_told(house, count):
    folder = house.folder / "home" / "credentials"
    folder.mkdir()
    with Server(faults=lambda _: error_that_says(house.key, 401)) as server:
        words = [word for word in house.asked(server, "-v") if word != "--key-file"]
        words.remove(house.key_file)
        proxy = f"http://me:{PASSWORD}@127.0.0.1:1"
        ways = {
            "variable": {"OPENAI_API_KEY": house.key},
            "credential": {"CREDENTIALS_DIRECTORY": str(folder)},
            "proxy": {"HTTP_PROXY": proxy, "NO_PROXY": "", "OPENAI_API_KEY": house.key},
        }
        for name, env in ways.items():
            (folder / "openai_api_key").write_text(house.key)
            assert house.call(*words, "--max-outage", "0", env=env) in (3, 4), name
            (folder / "openai_api_key").unlink()
        typed = ("--proxy", proxy, "--max-outage", "0")
        house.call(*words, *typed)
        house.call("status", house.jobs)
        house.call("report", house.jobs)
    assert house.holders(PASSWORD) == []
    count(cases=4)


def test_what_a_job_says_of_keys_is_not_obeyed_and_an_open_key_file_is_not_repeated(house, count):
    house.key_file.chmod(0o644)
    with Server() as server:
        assert house.call(*house.asked(server)) == 2
        house.key_file.chmod(0o600)
        house.key_file.write_text(f"{house.key}\r\nX-Evil: {house.key}")
        assert house.call(*house.asked(server)) == 2
        assert server.arrived == 0
    assert house.holders() == []
    count(cases=2)
