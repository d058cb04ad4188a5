"""A stranger's job file: whatever it names, nothing outside is opened and nobody else is called."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from night import KEPT, OVERNIGHT
from PIL import Image
from secrets_held import holders
from server import Redirect, Server
from thieves import ADDRESSES, PATHS, as_jobs, filled

SECRET = "stolen-4fVb9QmZ7tXk2Lw8"

HONEST = {"id": "honest", "prompt": "look", "image": "in.png"}
REFUSED = {"not_allowed", "image_unreadable", "image_invalid", "bad_job"}


def picture(path, secret=""):
    """A true picture; the secret stands in its text, so that no check of its kind saves it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (len(secret) * 7, 9, 9)).save(path, "PNG")
    if secret:
        path.write_bytes(path.read_bytes() + secret.encode())
    return path


class Trap:
    """A root with every kind of way out, and what is to be stolen beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.outside = folder / "outside"
        self.root = folder / "root"
        self.home = folder / "home"
        picture(self.outside / "s.png", SECRET)
        picture(self.home / "s.png", SECRET)
        picture(self.root / "in.png")
        (self.root / "a" / "b").mkdir(parents=True)
        (self.root / "text.png").write_text(SECRET)
        (self.root / "key.jpg").write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}")
        links = {"out": self.outside, "stolen.png": "../outside/s.png", "up": "..", "root": "/"}
        links |= {"a/deep.png": self.outside / "s.png", "a/b/deeper": "../../../outside"}
        links |= {"chain.png": "a/chain2", "a/chain2": "../stolen.png", "loop.png": "loop.png"}
        links |= {"a/rel.png": "../../outside/./s.png", "self": ".", "cwd": "/proc/self/cwd"}
        links |= {"fd.png": "/proc/self/fd/0", "zero.png": "/dev/zero"}
        for name, target in links.items():
            (self.root / name).symlink_to(target)
        os.mkfifo(self.root / "pipe.png")
        with socket.socket(socket.AF_UNIX) as made:
            here = Path.cwd()
            os.chdir(self.root)  # the name of a socket is at most 108 bytes
            made.bind("socket.png")
            os.chdir(here)
        self.jobs = self.root / "jobs.jsonl"

    def write(self, jobs):
        lines = [HONEST, *({"id": f"t{n}", **job} for n, job in enumerate(jobs))]
        self.jobs.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return len(lines)

    def run(self, server, *more, trace=True, stdin=subprocess.DEVNULL):
        calls = self.folder / "calls"
        strace = ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", calls]
        strace += ["-e", "trace=open,openat,openat2,connect,sendto,execve"]
        words = [OVERNIGHT, "run", self.jobs, "--provider", "openai", "-m", "m"]
        words += ["--base-url", server.url, "--skip-bad-lines", "--retries", "0", *more]
        return subprocess.run(
            [*(strace if trace else ()), *words],
            cwd=self.folder,
            env={"HOME": str(self.home), **KEPT},
            stdin=stdin,
            capture_output=True,
            timeout=50,
            check=False,
        )

    def lines(self, name):
        return [json.loads(line) for line in (self.root / name).read_bytes().splitlines()]

    def opened(self):
        """The paths that calls opened, as the kernel names them."""
        calls = (self.folder / "calls").read_text("utf-8", "backslashreplace")
        found = re.findall(r"open(?:at2?)?(?:\(| resumed>).*= \d+<([^>]*)>", calls)
        assert str(self.root / "in.png") in found
        return found

    def called(self):
        """The addresses that were called."""
        calls = (self.folder / "calls").read_text("utf-8", "backslashreplace")
        return set(re.findall(r"connect\(\d+[^,]*, \{(.*?)\}, \d+", calls))


@pytest.fixture
def trap(tmp_path):
    return Trap(tmp_path)


needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not here")


@needs_strace
@pytest.mark.parametrize("corpus", ["paths", "addresses"])
def test_no_reference_of_a_job_opens_or_calls_anything_else(trap, corpus, count):
    with Server() as server:
        texts = filled(PATHS if corpus == "paths" else ADDRESSES, server.port, trap.outside)
        jobs = [job for text in texts for job in as_jobs(text)]
        lines = trap.write(jobs)
        done = trap.run(server, "-j", "4")
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr.decode()
        failures = trap.lines("jobs.failed.jsonl")
        assert {line["id"] for line in trap.lines("jobs.results.jsonl")} == {"honest"}
        assert len(failures) == lines - 1
        assert {line["failure"]["code"] for line in failures} <= REFUSED
        assert [request.path for request in server.requests] == ["/v1/chat/completions"]
        (sent,) = server.requests
        here = f'sa_family=AF_INET, sin_port=htons({server.port}), sin_addr=inet_addr("127.0.0.1")'
        assert trap.called() == {here}
    foreign = [path for path in trap.opened() if path.startswith((str(trap.outside), "/dev/zero"))]
    assert foreign == []
    assert not {"/etc/passwd", "/etc/shadow", str(trap.home / "s.png")} & set(trap.opened())
    assert holders({"the request": sent.body}, SECRET) == []
    count(cases=lines - 1)


FIELDS = (
    "endpoint base_url url api_base host headers header authorization api_key key key_file proxy "
    "output out -o results root provider command exec timeout retries concurrency config env file "
    "files path attachments sidecar plugin __class__ extra_headers image_url tools_file"
).split()


def test_no_field_of_a_job_sets_what_the_user_sets(trap, count):
    value = "http://169.254.169.254/"
    jobs = [{"prompt": "look", field: value} for field in FIELDS]
    jobs += [{"defaults": {field: value}} for field in FIELDS[:4]]
    jobs += [
        {"method": "POST", "url": url, "body": {"model": "m", "messages": []}}
        for url in (
            *("http://169.254.169.254/v1/chat/completions", "//evil/v1/chat/completions"),
            *("/v1/chat/completions@evil", "/v1/../admin", "/v1/chat/completions?key=1", "/x"),
            *("v1/chat/completions", "/v1/chat/completions\r\nX: y", "", "\\\\evil", "https:evil"),
        )
    ]
    jobs.append({"body": {"messages": []}, "headers": {"authorization": "Bearer x"}})
    with Server() as server:
        lines = trap.write(jobs)
        done = trap.run(server, trace=False)
        assert done.returncode == 1, done.stderr
        codes = [line["failure"]["code"] for line in trap.lines("jobs.failed.jsonl")]
        assert len(codes) == lines - 1
        assert set(codes) == {"bad_job", "unsupported"}
        assert server.arrived == 1
        assert set(server.requests[0].headers) == {
            *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
        }
    count(cases=lines - 1)


@pytest.mark.parametrize("location", [*(f"http://{host}/" for host in ("169.254.169.254", "evil"))])
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_to_no_one(trap, location, code, count):
    trap.write([])
    with (
        Server() as other,
        Server(script=[Redirect(f"{other.url}/{location}", code)] * 9) as server,
    ):
        assert trap.run(server, trace=False).returncode == 4
        assert server.arrived == 1
        assert other.arrived == 0
    count(cases=1)


def test_a_stranger_s_folder_gives_away_no_text_beside_its_pictures(trap, count):
    # `{{caption}}` is the text beside a picture: a link there would send any file of the user's.
    photos = trap.folder / "photos"
    secret = trap.outside / "secret.txt"
    secret.write_text(SECRET)
    (photos / "sub").mkdir(parents=True)
    for name, target in (("a", secret), ("b", "../outside/secret.txt"), ("sub/c", "/dev/zero")):
        picture(photos / f"{name}.png")
        (photos / f"{name}.txt").symlink_to(target)
    picture(photos / "d.png")
    os.mkfifo(photos / "d.txt")
    picture(photos / "e.png")
    (photos / "e.txt").write_text("an honest caption")
    trap.jobs = photos
    with Server() as server:
        done = trap.run(server, "-p", "Mend: {{caption}} {{tags}}", trace=False)
        assert done.returncode == 0, done.stderr
        bodies = {str(n): request.body for n, request in enumerate(server.requests)}
    assert len(bodies) == 5
    assert sum(b"an honest caption" in body for body in bodies.values()) == 1
    assert holders(bodies, SECRET) == []
    count(cases=4)


@pytest.mark.parametrize("kind", ["fifo", "zero", "link", "large", "folder"])
def test_an_ignore_file_of_a_stranger_is_read_as_what_it_is_or_not_at_all(trap, kind, count):
    photos = trap.folder / "photos"
    picture(photos / "a.png")
    place = photos / ".overnightignore"
    (trap.outside / "secret").write_text(f"[{SECRET}\n")
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "large":
        with place.open("wb") as file:
            file.truncate(8 << 30)
    else:
        place.symlink_to("/dev/zero" if kind == "zero" else trap.outside / "secret")
    trap.jobs = photos
    with Server() as server:
        done = trap.run(server, "-p", "look", trace=False)
        assert done.returncode == 2
        assert server.arrived == 0
    assert b"overnightignore" in done.stderr
    assert holders({"stderr": done.stderr}, SECRET) == []
    count(cases=1)


def test_a_configuration_that_lies_in_a_stranger_s_folder_starts_no_program(trap, many, count):
    trap.write([])
    commands = many(("run", "caption"), ("run", "check", "status", "report", "caption"))
    stolen = trap.folder / "started"
    for table in ("run", "caption"):
        for option in ("provider", "fallback"):
            text = f"[{table}]\n{option} = 'exec:touch {stolen}'\n"
            (trap.folder / "overnight.toml").write_text(text)
            for command in commands:
                done = subprocess.run(
                    [OVERNIGHT, command, trap.root],
                    cwd=trap.folder,
                    env={"HOME": str(trap.home), **KEPT},
                    capture_output=True,
                    timeout=30,
                    check=False,
                )
                assert done.returncode == 2, done.stdout
                assert b"--config overnight.toml" in done.stderr
                assert not stolen.exists()
                count(cases=1)


RACE = """
import os, sys
root, outside = sys.argv[1:]
while True:
    os.rename(f"{root}/swap", f"{root}/honest")
    os.symlink(outside, f"{root}/swap")
    os.unlink(f"{root}/swap")
    os.rename(f"{root}/honest", f"{root}/swap")
"""


def test_a_folder_that_is_swapped_for_a_link_all_the_time_leads_nowhere(trap, many, count):
    runs, jobs = many((2, 40), (20, 200))
    picture(trap.root / "swap" / "s.png")
    caught = 0
    for _ in range(runs):
        trap.write([{"prompt": f"{n}", "image": "swap/s.png"} for n in range(jobs)])
        with Server() as server:
            words = [sys.executable, "-c", RACE, trap.root, trap.outside]
            with subprocess.Popen(words) as swapping:
                done = trap.run(server, "--fresh", trace=False)
                swapping.kill()
            assert done.returncode in (0, 1), done.stderr
            bodies = {str(n): request.body for n, request in enumerate(server.requests)}
            caught += done.returncode
        stolen = (trap.outside / "s.png").read_bytes().removesuffix(SECRET.encode())
        assert holders(bodies, SECRET) == []
        assert not any(stolen in body for body in bodies.values())
        for end in ("swap", "honest"):
            if (trap.root / end).is_symlink():
                (trap.root / end).unlink()
        if (trap.root / "honest").exists():
            (trap.root / "honest").rename(trap.root / "swap")
    count(cases=runs * jobs, races=caught)
