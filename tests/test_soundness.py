"""What `verify` says of a results file."""

import pytest
from samples import line, output

from batch.results.soundness import flaws


def wrong_with(tmp_path, *lines):
    return [flaw.words for flaw in flaws(output(tmp_path, *lines).results)]


def test_a_file_of_our_lines_is_sound(tmp_path):
    assert wrong_with(tmp_path, line("a"), line("b", "\ud800\0\u2028", meta={"x": 1}, json=2)) == []
    assert list(flaws(tmp_path / "none")) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"\n",
        b"damage\n",
        b"{}\n",
        line("b").replace(b'"attempts":1,', b""),
        line("b").replace(b'"attempts":1', b'"attempts":null'),
        line("b").replace(b'"meta"', b'"mata"').replace(b"}\n", b',"more":1}\n'),
        line("b").replace(b"an answer", b"an \xff answer"),
        line("b").replace(b"an answer", b"an \0 answer"),
        line("b").replace(b'"source":"model"', b'"source":"dream"'),
        line(""),
    ],
)
def test_a_line_that_is_no_sound_record_is_told_by_its_number(tmp_path, bad):
    (told,) = wrong_with(tmp_path, line("a"), bad, line("c"))
    assert "night.results.jsonl:2: no sound record" in told


def test_an_id_that_stands_twice_is_told(tmp_path):
    (told,) = wrong_with(tmp_path, line("a"), line("b"), line("a"))
    assert told.endswith(":3: the id 'a' stands on line 1 too")


def test_a_last_line_without_its_newline_is_told_even_when_it_is_whole(tmp_path):
    (told,) = wrong_with(tmp_path, line("a"), line("b")[:-1])
    assert "no newline" in told
    told = wrong_with(tmp_path, line("a"), line("b")[:-9])
    assert len(told) == 2


def test_only_a_line_whose_answer_can_be_read_stays(tmp_path):
    lost = line("b").replace(b'"output"', b'"outpt"')
    odd = line("c").replace(b'"attempts":1,', b"")
    found = flaws(output(tmp_path, line("a"), lost, odd, line("a"), line("d")[:-1]).results)
    assert [flaw.stays for flaw in found] == [False, True, False, False]
