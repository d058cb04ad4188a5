"""The key of a job. The golden values stand for answers that were paid for: a change here would
make every user pay for all of them again.
"""

import hashlib
import json
from copy import deepcopy

import pytest
from msgspec.structs import replace

from batch.keys import job_key
from batch.sources.parse import LineParser

IMAGE = hashlib.sha256(b"an image").hexdigest()
OTHER = hashlib.sha256(b"another image").hexdigest()

PLAIN = {"prompt": "Say hello."}
FULL = {
    "id": "x",
    "system": "Be brief.",
    "prompt": "What is it? Ünïcødé ✓",
    "image": "a.png",
    "model": "m-1",
    "params": {"temperature": 0.2, "stop": ["a", "b"], "seed": 12345678901234567890123},
    "schema": {"type": "object", "properties": {"b": {}, "a": {}}},
    "meta": {"row": 1},
}
PARTS = {
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}},
                {"type": "text", "text": "and this?"},
            ],
        },
    ]
}
BATCH = {
    "custom_id": "r1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": 1},
}


def job(fields, **inherited):
    return LineParser("/photos", inherited, {}).parse(json.dumps(fields).encode())


def key(fields, provider="openai", model="m", digests=(), **inherited):
    return job_key(job(fields, **inherited), provider, model, digests)


@pytest.mark.parametrize(
    ("fields", "digests", "golden"),
    [
        (PLAIN, (), "4e8adad55893d8b23b1720bc2191999c52db9d7b20bc4b9a4d173cc3654af163"),
        (FULL, (IMAGE,), "2f71debecc9fe72a1e3fb32c0275afd671c7dbfa8dd93b5932c91626f8553619"),
        (PARTS, (IMAGE,), "1fd088a8c78de3770c5cc108b913600f4808fb9bff7004d51c783fc5ae341c0e"),
        (BATCH, (), "5e68055c821d8775ac0cd703eb2eb6a7bced044cfa7f04cadb7a527c39b775de"),
        (
            FULL,
            ("!image_unreadable",),
            "3b957d9cbe30c764a5f6c9d349e95314cc04c4e1548c0958e0402c7a2569f0d0",
        ),
    ],
)
def test_a_key_never_changes(fields, digests, golden):
    assert key(fields, digests=digests) == golden


def test_a_key_is_the_hash_of_plain_json_with_sorted_keys():
    deciding = [
        "openai",
        "m",
        [
            ["system", "Be brief."],
            ["user", [["image", IMAGE, ""], FULL["prompt"]]],
        ],
        FULL["params"],
        FULL["schema"],
        "",
        None,
    ]
    text = json.dumps(deciding, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert key(FULL, digests=(IMAGE,)) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "edited",
    [
        {"id": "another"},
        {"meta": {"row": 2}},
        {"image": "sub/moved.png"},
        {"failure": {"code": "timeout"}},
        {"params": {"seed": 12345678901234567890123, "stop": ["a", "b"], "temperature": 0.2}},
        {"schema": {"properties": {"a": {}, "b": {}}, "type": "object"}},
    ],
)
def test_what_decides_nothing_is_not_in_the_key(edited):
    assert key({**FULL, **edited}, digests=(IMAGE,)) == key(FULL, digests=(IMAGE,))


@pytest.mark.parametrize(
    "edited",
    [
        {"prompt": "What is it?"},
        {"system": "Be brief!"},
        {"system": ""},
        {"params": {"temperature": 0.3, "stop": ["a", "b"], "seed": 12345678901234567890123}},
        {"params": {"temperature": 0.2, "stop": ["b", "a"], "seed": 12345678901234567890123}},
        {"params": {}},
        {"schema": None},
        {"schema": {"type": "object", "properties": {"b": {}}}},
    ],
)
def test_what_decides_the_answer_is_in_the_key(edited):
    assert key({**FULL, **edited}, digests=(IMAGE,)) != key(FULL, digests=(IMAGE,))


def test_the_bytes_of_an_image_are_in_the_key():
    assert key(FULL, digests=(IMAGE,)) != key(FULL, digests=(OTHER,))


def test_provider_and_model_are_in_the_key():
    keys = {key(PLAIN, "openai", "m"), key(PLAIN, "offline", "m"), key(PLAIN, "openai", "n")}
    assert len(keys) == 3


def test_the_order_of_images_is_in_the_key():
    two = {"prompt": "Compare.", "images": ["a.png", "b.png"]}
    assert key(two, digests=(IMAGE, OTHER)) != key(two, digests=(OTHER, IMAGE))


def test_the_detail_of_an_image_is_in_the_key():
    high = deepcopy(PARTS)
    high["messages"][2]["content"][0]["image_url"]["detail"] = "high"
    assert key(high, digests=(IMAGE,)) != key(PARTS, digests=(IMAGE,))


def test_a_text_that_looks_like_an_image_has_another_key():
    image = {"prompt": "x", "image": "a.png"}
    text = {"messages": [{"role": "user", "content": f'["image","{IMAGE}",""]x'}]}
    assert key(image, digests=(IMAGE,)) != key(text)


def test_the_body_and_url_of_a_batch_line_are_in_the_key():
    other = {**BATCH, "body": {**BATCH["body"], "n": 2}}
    assert len({key(BATCH), key(other), key({**BATCH, "url": "/v1/responses"})}) == 3
    assert key(BATCH) == key({"id": "another", "body": BATCH["body"]})


def test_values_that_are_inherited_count_like_written_ones():
    assert key(PLAIN, params={"n": 1}, system="s") == key(
        {**PLAIN, "params": {"n": 1}, "system": "s"}
    )


def test_the_place_of_the_root_is_not_in_the_key():
    moved = replace(job(FULL), root="/elsewhere")
    assert job_key(moved, "openai", "m", (IMAGE,)) == key(FULL, digests=(IMAGE,))


def test_a_filled_template_has_the_key_of_its_text():
    template = {"prompt": "Say {{word}}.", "vars": {"word": "hello"}}
    assert key(template) == key(PLAIN)
