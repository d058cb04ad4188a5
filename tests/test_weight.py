"""Replies of many values: what is read of them is built, what would take too much memory is not."""

import json
import tracemalloc
from typing import Any

import pytest
from msgspec import Struct, field

from batch.errors import Rejected
from batch.outcomes import parsed
from batch.providers.dynaspark import Dynaspark, DynasparkReply
from batch.providers.openai import ChatReply, OpenAI
from batch.providers.weight import LIGHT, MOST_VALUES, is_heavy, is_too_heavy

MIB = 1 << 20
MANY = [[0, [], {}]] * (MOST_VALUES // 2)


class Renamed(Struct):
    """A shape of somebody's own."""

    used: list[Any] = field(name="usage", default_factory=list)
    response: str | None = None
    required: dict[str, int] = field(name="must-be", default_factory=dict)


def chat(content="hi", **more):
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice | more.pop("choice", {})], **more}).encode()


def peak_of(work):
    """The MiB that a piece of work takes at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def test_a_comma_or_a_bracket_is_a_value():
    assert not is_heavy(b"[" * LIGHT)
    assert is_heavy(b"[" * LIGHT + b"]")
    assert not is_heavy(b" " * LIGHT + b"," * MOST_VALUES)
    assert is_heavy(b" " * LIGHT + b"," * (MOST_VALUES + 1))


def test_the_probabilities_of_every_token_cost_no_answer():
    token = {"token": " the", "logprob": -0.1, "bytes": [32, 116, 104, 101], "top_logprobs": []}
    body = chat(choice={"logprobs": {"content": [token] * 40_000}})
    assert is_heavy(body)
    assert OpenAI().decode(body).text == "hi"
    assert peak_of(lambda: OpenAI().decode(body)) < 16


def test_a_long_text_is_one_value_however_many_commas_it_holds():
    text = "a, [b], {c}, " * 200_000
    assert OpenAI().decode(chat(text)).text == text
    assert Dynaspark().decode(json.dumps({"response": text}).encode()).text == text


def test_of_millions_of_choices_the_first_is_built():
    first = chat().removesuffix(b"]}")
    body = first + b',{"message":{"content":"x"}}' * 200_000 + b"]}"
    assert OpenAI().decode(body).text == "hi"
    assert peak_of(lambda: OpenAI().decode(body)) < 16


@pytest.mark.parametrize(
    "body",
    [
        chat(MANY),
        chat(usage=MANY),
        chat(model=MANY),
        chat(error=MANY),
        chat(choice={"error": MANY}),
        chat(choice={"message": {"content": "hi", "refusal": MANY}}),
        chat("\ud800", more=MANY),
    ],
    ids=["content", "usage", "model", "error", "error of the choice", "refusal", "half"],
)
def test_too_many_values_in_what_is_read_are_refused_before_they_are_built(body):
    def decode():
        with pytest.raises(Rejected, match="too many values") as caught:
            OpenAI().decode(body)
        assert caught.value.code == "response_too_large"

    assert peak_of(decode) < 16


def test_other_shapes_are_weighed_by_what_they_read():
    body = json.dumps({"response": "hi", "usage": MANY}).encode()
    assert not is_too_heavy(body, DynasparkReply)
    assert is_too_heavy(body, ChatReply)
    assert is_too_heavy(body, dict)
    assert is_too_heavy(body, Renamed)
    assert not is_too_heavy(body.replace(b"usage", b"other"), Renamed)


def test_an_answer_to_a_schema_that_is_too_much_to_be_built_keeps_its_text_alone():
    text = json.dumps(MANY)
    assert parsed("[1]") == [1]
    assert peak_of(lambda: parsed(text)) < 16
    assert parsed(text) is None
