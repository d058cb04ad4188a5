"""Known faults of what we stand on: the floors are above them, and our own guards hold as well."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from server import Fault, Server
from shell import dynaspark, openai

ROOT = Path(__file__).parent.parent.parent

ADVISORIES = {
    "aiohttp": {
        "CVE-2025-69223": "3.13.3",
        "CVE-2026-22815": "3.13.4",
        "CVE-2026-34513": "3.13.4",
        "CVE-2026-34514": "3.13.4",
        "CVE-2026-34516": "3.13.4",
        "CVE-2026-34518": "3.13.4",
        "CVE-2026-47265": "3.14.0",
        "CVE-2026-50269": "3.14.0",
        "CVE-2026-54280": "3.14.1",
        "PYSEC-2026-4392": "3.14.4",
        "CVE-2026-128131": "3.14.4",
    },
    "pillow": {
        "CVE-2026-40192": "13.0",
        "CVE-2026-42309": "13.0",
        "CVE-2026-54058": "13.0",
        "CVE-2026-59200": "13.0",
        "CVE-2026-96639": "13.0",
    },
    "jinja2": {"CVE-2024-56201": "3.1.5", "CVE-2024-56326": "3.1.5", "CVE-2025-27516": "3.1.6"},
}
"""The first version without each fault, by package."""


def numbers(text):
    return tuple(int(part) for part in re.findall(r"\d+", text))


def wanted():
    """What pyproject.toml asks for, a line a package."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    more = [line for lines in told["optional-dependencies"].values() for line in lines]
    return [*told["dependencies"], *more]


def floors():
    """The lowest version of each package that it allows."""
    return {name.lower(): numbers(low) for name, low in (line.split(">=") for line in wanted())}


def pins():
    """The versions that CI installs."""
    lines = (ROOT / "constraints.txt").read_text().split()
    return {name.lower(): numbers(pin) for name, pin in (line.split("==") for line in lines)}


@pytest.mark.parametrize("package", ADVISORIES)
def test_no_version_with_a_known_fault_is_allowed_pinned_or_here(package, count):
    for mended in map(numbers, ADVISORIES[package].values()):
        assert floors()[package] >= mended
        assert pins()[package] >= mended
        assert numbers(version(package)) >= mended
        count(cases=1)


def test_every_direct_dependency_has_a_floor_and_a_pin_and_comes_by_its_name():
    assert all(re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", line) for line in wanted())
    text = (ROOT / "constraints.txt").read_text()
    assert set(floors()) <= set(pins())
    assert "://" not in text
    assert "--" not in text


class Cookies(Fault):
    """The right answer with so many cookies, as no browser would keep them."""

    def steps(self, line):
        body = line.answer()
        cookies = [f"c{n}={'x' * 40}; Domain=127.0.0.1; Path=/" for n in range(90)]
        yield line.head(body, {"set-cookie": cookies}) + body


def test_no_cookie_is_kept_or_sent(shell, count):
    shell.jobs(30)
    with Server(faults=lambda _: Cookies()) as server:
        assert shell("run", "jobs.jsonl", *openai(server)).code == 0
        assert not any("cookie" in request.headers for request in server.requests)
    count(cases=30)


def test_no_answer_is_asked_for_in_a_compressed_form_and_none_in_parts(shell, count):
    shell.jobs(1)
    with Server() as server:
        assert shell("run", "jobs.jsonl", *openai(server)).code == 0
        (request,) = server.requests
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["accept"] == "application/json"
    count(cases=2)


def test_the_name_and_type_of_an_upload_are_ours(shell, count):
    name = 'x"\n\rX-Evil: 1;.png'.replace("\n", "").replace("\r", "")
    shell.picture(f"photos/{name}")
    with Server() as server:
        assert shell("run", "photos", "-p", "look", *dynaspark(server)).code == 0
        (request,) = server.requests
    about = rb'Content-Type: (\S+)\r\nContent-Disposition: form-data; name="file"; filename="(.*)"'
    (described,) = re.findall(about, request.body)
    assert described == (b"image/png", b"image.png")
    count(cases=1)
