"""Lines of the results file: whatever a model says, each is one line that every reader loads."""

import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import line, result

from batch.lines import Line
from batch.results.records import encode_line, key_bits, row_head

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def head_of(data):
    return row_head(Line(0, 1, data))


@pytest.mark.parametrize(
    "text",
    ["a\u2028b", "a\u2029b", "a\x85b", "a\0b", "a\nb\r\nc", "\x0b\x0c\x1c\x1d\x1e", "\ufeff", "🌙"],
)
def test_a_line_separator_of_any_reader_is_escaped_and_comes_back(text):
    written = encode_line({"id": "a", "output": text})
    assert written.count(b"\n") == 1
    assert len(written.decode().splitlines()) == 1
    assert json.loads(written) == {"id": "a", "output": text}


@pytest.mark.parametrize("text", ["\ud83d", "\udc00 tail", "half \ud83d moon"])
def test_a_lone_surrogate_becomes_a_replacement_character_that_strict_readers_take(text):
    written = line("a", text)
    told = msgspec.json.decode(written)["output"]
    assert told == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert head_of(written[:-1]).id == "a"


def test_an_answer_with_a_lone_surrogate_and_an_infinity_is_json_without_infinity():
    written = encode_line({"id": "a", "output": "\ud83d", "json": {"x": float("inf")}})
    assert json.loads(written, parse_constant=pytest.fail)["json"] == {"x": None}


@given(name=ANY_TEXT.filter(lambda name: name.isprintable() and name), text=ANY_TEXT)
def test_any_answer_is_one_line_of_utf_8_that_we_know_again(name, text):
    written = line(name, text, meta={"note": text})
    assert written.endswith(b"\n")
    assert len(written.decode().splitlines()) == 1
    head = head_of(written[:-1])
    assert (head.id, head.key) == (name, result(name).key)


def test_the_keys_of_a_line_stand_in_the_promised_order():
    told = json.loads(line("a", meta={"x": 1}, json=[1]))
    assert (
        list(told)
        == (
            "id status output provider model source finish_reason attempts latency_s input_tokens "
            "output_tokens cost_usd media key started_at finished_at run_id meta json"
        ).split()
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 40,
        b"null",
        b"[]",
        b'"id"',
        b'{"id":"a"}',
        b'{"id":"","status":"ok","key":"0"}',
        b'{"id":1,"status":"ok","key":"0"}',
        b'{"id":"a","status":"failed","key":"0"}',
        b'{"id":"a","status":"ok","key":"0","output":"\xff"}',
        b'{"id":"a","status":"ok","key":"0","output":"\xe2\x82"}',
        b'{"id":"a","status":"ok","key":"0","output":"\xed\xa0\xbd"}',
        b'{"id":"a","status":"ok","key":"0","output":"a\0b"}',
        b'{"id":"a","status":"ok","key":"0","output":NaN}',
        b'{"id":"a","status":"ok","key":"0"}\0\0\0',
        b'{"id":"a","status":"ok","key":"0"}{"id":"b","status":"ok","key":"0"}',
        b'{"id":"a","status":"ok","key":"0","output":' + b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_whole_record_is_damaged(data):
    assert head_of(data) is None


def test_a_line_over_the_limit_is_damaged():
    assert row_head(Line(0, 1, None)) is None


@pytest.mark.parametrize("key", ["", "no hex", "-1", "-fffffffffffffff", "0x12", "f" * 64])
def test_the_bits_of_any_key_fit_into_64(key):
    assert 0 <= key_bits(key) < 1 << 64


def test_a_plain_loop_over_the_file_finds_a_record_a_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(line(str(n), t) for n, t in enumerate(["\u2028", "\0", "\ud800"])))
    script = "import json,sys; print(len([json.loads(l) for l in open(sys.argv[1], newline='')]))"
    told = subprocess.run(  # `open` splits at \r too when it is not told otherwise
        [sys.executable, "-X", "utf8", "-c", script.replace(", newline=''", ""), path],
        capture_output=True,
        check=True,
    )
    assert told.stdout == b"3\n"
