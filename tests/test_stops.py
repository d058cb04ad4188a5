"""What vendors send when a run has to stop, and what only looks like it: golden bodies.

Each file of `golden/stops` holds a response, the error it stands for and the words a user reads.
"""

import json
import re
from pathlib import Path

import pytest
from asking import connected, question
from server import Server, Status

from batch.errors import Denied, Halt, RunError
from batch.providers.classify import classify
from batch.providers.openai import OpenAI

FOLDER = Path(__file__).parent / "golden" / "stops"
STOPS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d"


def body_of(stop):
    body = stop["body"]
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def sort(stop):
    headers = {name.lower(): value for name, value in stop["headers"].items()}
    return classify(stop["status"], headers, body_of(stop))


def is_told(told, words):
    return re.fullmatch(re.escape(words).replace(r"\{time\}", MOMENT), str(told))


@pytest.mark.parametrize("name", STOPS)
def test_a_body_is_sorted_as_its_vendor_means_it(name):
    stop = STOPS[name]
    told = sort(stop)
    assert type(told).__name__ == stop["error"]
    assert is_told(told, stop["told"]), str(told)
    if not isinstance(told, RunError):
        assert told.code == stop["code"]
    if stop["error"] == "RateLimited":
        assert told.retry_after == stop["retry_after"]


@pytest.mark.parametrize("name", [name for name in STOPS if STOPS[name]["error"] == "Denied"])
def test_what_is_denied_tells_its_status(name):
    assert sort(STOPS[name]).http_status == STOPS[name]["status"]


def test_there_are_bodies_of_every_vendor_and_of_every_end():
    vendors = {name.partition("-")[0] for name in STOPS}
    assert vendors >= {"openai", "anthropic", "gemini", "openrouter", "vllm", "ollama", "llamacpp"}
    assert {stop["error"] for stop in STOPS.values()} == {
        "Halt",
        "Denied",
        "RateLimited",
        "Rejected",
    }


def test_a_stop_says_when_the_run_can_go_on():
    for name, words in (
        ("gemini-requests-per-day", "midnight Pacific time"),
        ("anthropic-enforced-spend-limit", "first of the next month"),
        ("openai-spend-limit-with-a-day-to-wait", "the server asks to wait until 2"),
    ):
        assert words in str(sort(STOPS[name]))


@pytest.mark.parametrize("seconds", ["5", "59", "-1", "soon"])
def test_a_short_wait_beside_a_stop_code_is_not_told(seconds):
    stop = STOPS["openai-project-spend-limit"] | {"headers": {"retry-after": seconds}}
    assert is_told(sort(stop), stop["told"])


@pytest.mark.parametrize("name", STOPS)
async def test_a_body_means_the_same_over_the_wire(name):
    stop = STOPS[name]
    with Server(script=[Status(stop["status"], body_of(stop), stop["headers"])]) as server:
        async with connected(OpenAI, server.url, key="a key") as client:
            with pytest.raises(Exception, match=r"HTTP \d") as caught:
                await client.complete(question())
    assert type(caught.value).__name__ == stop["error"]
    assert is_told(caught.value, stop["told"][:500])


async def test_a_401_to_a_request_without_a_key_needs_no_second_look():
    with Server(script=[Status(401)]) as server:
        async with connected(OpenAI, server.url) as client:
            with pytest.raises(Halt) as caught:
                await client.complete(question())
    assert not isinstance(caught.value, Denied)
