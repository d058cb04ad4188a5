"""Words of strangers: they steer no terminal, run in no page, compute in no spreadsheet."""

import contextlib
import csv
import html.parser
import json
import os
import pty
import re
import resource
import subprocess

import pytest
from night import KEPT, OVERNIGHT
from PIL import Image
from server import Redirect, Reply, Server, Status

STEERS = "\x1b[31mred\x1b]0;title\x07\x9b2J\x7f\x08\r\u202egnp.txt\u2066\ufeff\x1b[2K"
"""Colours, a title, CSI as one character, delete, backspace, return, text from right to left."""

INJECTS = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onload=alert(1) </title></style>"
    "<!--<script>--></script>{{7*7}}${7*7}javascript:alert(1)"
)
FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""What no terminal is sent: but for newlines, and what the live line itself is drawn with."""

DRAWN = re.compile(r"\x1b\[(\?25[hl]|\d*[AKG]|2K|1A|0?m)|\r")


class Desk:
    """A folder, and the command on a terminal of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {"HOME": str(folder), "TERM": "xterm-256color", **KEPT}

    def write(self, name, *lines):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / name).write_text(text)

    def on_terminal(self, *words):
        """What a terminal is sent, less what draws the live line; and the exit code."""
        ours, theirs = pty.openpty()
        words = [OVERNIGHT, *map(str, words)]
        how = {"stdin": subprocess.DEVNULL, "stdout": theirs, "stderr": theirs}
        with subprocess.Popen(words, cwd=self.folder, env=self.env, **how) as process:
            os.close(theirs)
            told = b""
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                while piece := os.read(ours, 1 << 16):
                    told += piece
        os.close(ours)
        assert b"Traceback" not in told
        return DRAWN.sub("", told.decode()), process.returncode


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def reply_of(words, **headers):
    choice = {"message": {"content": words}, "finish_reason": words}
    return Reply(json.dumps({"model": words, "choices": [choice]}).encode(), headers)


REPLIES = {
    "answer": reply_of(STEERS),
    "400": Status(400, json.dumps({"error": {"message": STEERS, "code": STEERS}}).encode()),
    "401": Status(401, STEERS.encode()),
    "429": Status(429, STEERS.encode(), {"retry-after": "\x9b2J soon", "x-request-id": "\x9b2J"}),
    "500": Status(500, f"<html>{STEERS}</html>".encode()),
    "Location": Redirect("http://\x9b2J\x85evil/\x9b"),
    "Location of words": Redirect("//[\x9b2J"),
    "header": Reply(b"{}", {"x-\x9b2J": "\x9b2J"}),
    "another shape": Reply(json.dumps({STEERS: STEERS}).encode()),
}


@pytest.mark.parametrize("reply", REPLIES)
def test_no_reply_steers_the_terminal(desk, reply, count):
    desk.write("j.jsonl", *({"id": f"j{n}", "prompt": STEERS} for n in range(3)))
    with Server(faults=lambda _: REPLIES[reply]) as server:
        told, _ = desk.on_terminal(
            *("run", "j.jsonl", "--provider", "openai", "-m", "m", "--base-url", server.url),
            *("-v", "--retries", "0", "--max-outage", "0"),
        )
    assert not FORBIDDEN.search(told), ascii(told)
    assert "j.jsonl" in told
    count(cases=1)


BAD_JOBS = [
    {"id": STEERS, "prompt": "x"},
    {"id": "a", "prompt": "x", STEERS: 1},
    {"id": "a", "prompt": "x", "image": STEERS},
    {"id": "a", "prompt": "x", "image": f"http://{STEERS}"},
    {"id": "a", "messages": [{"role": STEERS, "content": [{"type": STEERS}]}]},
    {"id": "a", "prompt": "{{x}} {{" + STEERS + "}}", "vars": {STEERS: 1}},
    {"id": "a", "prompt": "x", "model": STEERS, "params": {STEERS: STEERS}},
    {"id": "a", "method": STEERS, "url": STEERS, "body": {STEERS: STEERS}},
]


@pytest.mark.parametrize("at", range(len(BAD_JOBS)))
def test_no_line_of_a_job_file_steers_the_terminal(desk, at, many, count):
    desk.write("j.jsonl", BAD_JOBS[at])
    with Server() as server:
        words = ("j.jsonl", "--provider", "openai", "-m", "m", "--base-url", server.url)
        for command in many(("run",), ("check", "run")):
            told, _ = desk.on_terminal(command, *words)
            assert not FORBIDDEN.search(told), ascii(told)
            count(cases=1)


@pytest.mark.parametrize(
    "text",
    [
        f'"{STEERS}" = 1',
        f'[run]\n"{STEERS}" = 1',
        f'[run]\nprovider = "{STEERS}"',
        f'[run]\nconcurrency = "{STEERS}"',
        f'[run]\nbase_url = "{STEERS}"\nprovider = "openai"\nmodel = "m"',
        f'[provider."{STEERS}"]\nprice = 1',
        f'[provider.openai]\nprice = "{STEERS}"\n[run]\nprovider = "openai"',
        f'[provider.openai]\nkey_file = "{STEERS}"\n[run]\nprovider = "openai"\nmodel = "m"',
        f'[run]\nroot = "{STEERS}"',
        f'[run]\noutput = "{STEERS}/x"',
        f'[run]\nproxy = "{STEERS}"',
        f'[run]\nfallback = "{STEERS}"',
    ],
)
def test_no_configuration_steers_the_terminal(desk, text, count):
    desk.write("j.jsonl", {"id": "a", "prompt": "x"})
    escaped = "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)
    (desk.folder / "overnight.toml").write_text(escaped)
    told, code = desk.on_terminal("run", "j.jsonl")
    assert not FORBIDDEN.search(told), ascii(told)
    assert code in (1, 2, 4, 73)
    count(cases=1)


def result(name, **more):
    made = {"id": name, "status": "ok", "output": "o", "provider": "openai", "model": "m"}
    made |= {"source": "model", "finish_reason": "stop", "attempts": 1, "latency_s": 0.5}
    made |= {"input_tokens": 1, "output_tokens": 1, "cost_usd": None, "media": [], "key": "0" * 64}
    made |= {"started_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T00:00:01.000Z"}
    return made | {"run_id": "r"} | more


def failure(name, **more):
    made = {"code": "rejected", "message": "no", "http_status": 400, "attempts": 1}
    made |= {"retryable": False, "key": "0" * 64, "run_id": "r", "finished_at": "2026"}
    return {"id": name, "prompt": "x", "failure": made | more}


def facts(words):
    return {
        "pid": words,
        "host": words,
        "started_at": words,
        "provider": "openai",
        "root": None,
        "flags": {"prompt": words, "model": words},
        "ambient": {},
        "command": f"overnight run j.jsonl; touch evil; {words}\nnext: touch evil",
    }


def state(words, **more):
    made = dict.fromkeys("run_id version source provider model reason host".split(), words)
    made |= dict.fromkeys("started_at updated_at".split(), words)
    made |= dict.fromkeys("pid jobs done_before answered failed left retries".split(), 3)
    made |= dict.fromkeys("input_tokens output_tokens in_flight".split(), 3)
    made |= dict.fromkeys("latency_p50_s latency_p95_s cost_usd exit_code".split(), None)
    made |= {"state": "running", "paused_s": 0.0, "rate_per_s": 1.0, "failures": {words: 1}}
    return made | {"oldest_in_flight": {"id": words, "age_s": 2.0}} | more


def strangers_files(desk, words):
    """A folder as it may be downloaded: source, results, state and lock say what they please."""
    desk.write("j.jsonl", {"id": "a", "prompt": words}, {"id": "b", "prompt": "x"})
    answered = dict.fromkeys("output provider model finish_reason run_id".split(), words)
    desk.write(
        "j.results.jsonl",
        result("a", **answered, meta={words: words}),
        result(f"gone {words}", **answered),
        result("twice"),
        result("twice"),
    )
    desk.write(
        "j.failed.jsonl",
        failure("b", code=words, message=words),
        failure(words, message=words),
    )
    desk.write("j.run.json", state(words))
    desk.write("j.lock", facts(words))


LOOKS = [
    *(("status", "j.jsonl"), ("status", "j.jsonl", "--json"), ("check", "j.jsonl")),
    *(("verify", "j.jsonl"), ("verify", "j.jsonl", "--json"), ("report", "j.jsonl")),
    *(("export", "j.jsonl", "--to", "txt"), ("export", "j.jsonl", "--to", "csv")),
    *(("export", "j.jsonl", "--to", "kohya", "--json"), ("run", "j.jsonl", "-o", "-")),
]


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_no_file_of_a_stranger_steers_the_terminal(desk, words, count):
    strangers_files(desk, STEERS)
    told, _ = desk.on_terminal(*words)
    assert not FORBIDDEN.search(told), ascii(told)
    assert not re.search(r"^next: touch|; touch evil", told, re.MULTILINE)
    assert "'j.jsonl;' touch" in told or words != ("status", "j.jsonl")
    count(cases=1)


HOSTILE = {
    "deep": "[" * 100_000,
    "wide": json.dumps({"id": "a", "status": "ok", "output": "x" * 1_000_000, "key": []}),
    "types": json.dumps({"id": 1, "status": [], "output": {}, "key": 7, "media": "x"}),
    "numbers": json.dumps(result("a", latency_s=1e308, attempts=-(10**18), input_tokens=10**400)),
    "infinite": json.dumps(result("a")).replace("0.5", "1e999"),
    "media": json.dumps(result("a", media=[{"path": "/etc/passwd", "bytes": -1, "mtime_ns": 0}])),
    "not UTF-8": '{"id":"a\udcff"}',
    "times": json.dumps(result("a", started_at="9999-99-99", finished_at="-1")),
    "lone": json.dumps(result("\ud800")),
    "null": "null",
    "NUL": "\0" * 5000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["results.jsonl", "failed.jsonl", "superseded.jsonl"])
def test_a_hostile_line_is_damage_and_no_crash(shell, name, place, count):
    check_hostile_file(shell, place, HOSTILE[name], count)


STATES = {
    "deep": "[" * 100_000,
    "types": json.dumps({"provider": ["x"], "flags": 7, "root": {}, "command": 5, "ext": 3}),
    "root": json.dumps({"provider": "openai", "root": "\0", "flags": {}, "ambient": {}}),
    "no provider": json.dumps({"provider": "x:y", "flags": {}, "ambient": {}}),
    "bad flags": json.dumps({"provider": "fake", "flags": {"prompt": 5}, "ambient": {"x": 1}}),
    "infinite": json.dumps(state("x")).replace('"rate_per_s": 1.0', '"rate_per_s": 1e999'),
    "huge": json.dumps(state("x", rate_per_s=1e-308, paused_s=1e308, latency_p50_s=1e308)),
    "negative": json.dumps(state("x", rate_per_s=-1.0, pid=-(10**30), latency_p50_s=-1.0)),
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("place", ["run.json", "lock"])
def test_a_hostile_state_is_no_crash(shell, name, place, count):
    check_hostile_file(shell, place, STATES[name], count)


def check_hostile_file(shell, place, text, count):
    """Every command ends in order, whoever wrote the file."""
    for command in ("status", "verify", "report", "check", "export", "run"):
        shell.write("j.jsonl", {"id": "a", "prompt": "x"})
        data = text.encode("utf-8", "surrogateescape" if "\udcff" in text else "surrogatepass")
        (shell.folder / f"j.{place}").write_bytes(data + b"\n")
        more = ["--to", "csv"] if command == "export" else []
        more += ["--provider", "fake"] if command == "run" else []
        done = shell(command, "j.jsonl", *more)
        assert done.code in (0, 1, 2), done.err
        assert "Traceback" not in done.err
        count(cases=1)


def test_a_line_of_a_gigabyte_is_passed_over_in_bounded_memory(desk, many, count):
    desk.write("j.jsonl", {"id": "a", "prompt": "x"})
    desk.write("j.results.jsonl", result("z"))
    with (desk.folder / "j.results.jsonl").open("r+b") as file:
        file.truncate(many(300 << 20, 1 << 30))
    most = (1500 << 20,) * 2
    done = subprocess.run(
        [OVERNIGHT, "status", "j.jsonl"],
        cwd=desk.folder,
        env=desk.env,
        capture_output=True,
        timeout=50,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, most),
    )
    assert done.returncode == 0, done.stderr
    count(cases=1)


class Seen(html.parser.HTMLParser):
    """The elements of a page, their attributes, and the text of each script."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.attributes, self.policy = [], set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        given = dict(attrs)
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]


def test_nothing_that_a_stranger_wrote_becomes_a_part_of_the_page(desk, count):
    """The page has the elements that it has for words of the same lengths."""
    pages = []
    for words in (re.sub(r"[^\w ]", "x", INJECTS), INJECTS):
        strangers_files(desk, words)
        Image.new("RGB", (60, 50)).save(desk.folder / "p.png")
        assert desk.on_terminal("report", "j.jsonl")[1] == 0
        pages.append(Seen((desk.folder / "j.report.html").read_text()))
    plain, injected = pages
    assert injected.elements == plain.elements
    assert injected.attributes == plain.attributes
    assert not any(name.startswith("on") for name in injected.attributes)
    assert injected.elements.count("script") == 2
    assert injected.policy == plain.policy
    assert injected.policy.startswith("default-src 'none'")
    assert not re.search(r"unsafe|https?:|\*", injected.policy)
    count(cases=len(injected.elements))


def test_no_cell_of_an_exported_table_computes(desk, count):
    starts = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "－1",
        '"=1',
        "=cmd|' /C'!A0",
    ]
    desk.write("j.jsonl", {"id": "a", "prompt": "x"})
    rows = [
        result(f"{n}", output=text, model=text, meta={text: text}) for n, text in enumerate(starts)
    ]
    desk.write("j.results.jsonl", *rows, result("=HYPERLINK(1)"))
    desk.on_terminal("export", "j.jsonl", "--to", "csv", "--overwrite")
    with (desk.folder / "j.results.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert len(cells) > 19 * len(starts)
    bad = [cell for cell in cells if cell[:1] in tuple("=+@\t\r\n＝＋－＠") and cell]
    bad += [cell for cell in cells if cell.startswith("-") and not cell[1:].isdigit()]
    assert bad == []
    count(cases=len(cells))
