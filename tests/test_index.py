"""What the results and failed files hold, and whose they are."""

import msgspec
import pytest
from samples import failed_line, key_of, line, output, result

from batch.errors import UsageError
from batch.models import Media
from batch.results.index import FailedIndex, Index, file_lines
from batch.results.records import key_bits


def scan(tmp_path, *lines):
    return Index.scan(output(tmp_path, *lines).results)


def test_a_file_that_does_not_exist_holds_nothing(tmp_path):
    assert len(Index.scan(tmp_path / "none")) == 0
    assert len(FailedIndex.scan(tmp_path / "none")) == 0


def test_every_result_is_found_with_its_key_and_place(tmp_path):
    first, second = line("a"), line("ü" * 30)
    index = scan(tmp_path, first, second)
    assert len(index) == 2
    assert index.key_bits("a") == key_bits(key_of("a"))
    assert index.offset("ü" * 30) == len(first)
    assert index.key_bits("b") is None
    assert index.answered({hash("a"), hash("b")}) == {hash("a")}


def test_a_record_longer_than_a_slab_is_found(tmp_path):
    index = scan(tmp_path, line("a"), line("long", "x" * (3 << 20)), line("b"))
    assert (len(index), index.damaged) == (3, [])
    assert index.row("b").key == key_of("b")


def test_the_images_of_a_result_are_read_again_from_the_file(tmp_path):
    media = (Media("a.png", 10, 20, "30"),)
    index = scan(tmp_path, line("a"), line("b", media=media))
    assert index.row("b").media == media


def test_a_result_whose_images_are_nonsense_counts_as_one_without(tmp_path):
    odd = msgspec.json.encode({**msgspec.to_builtins(result("a")), "media": "none"}) + b"\n"
    assert scan(tmp_path, odd).row("a").media == ()


def test_of_two_lines_with_one_id_the_first_is_doubled(tmp_path):
    index = scan(tmp_path, line("a"), line("b"), line("a", key=key_of("new")))
    assert index.doubled == [0]
    assert index.key_bits("a") == key_bits(key_of("new"))


def test_damaged_lines_among_results_are_told_by_their_place(tmp_path):
    index = scan(tmp_path, line("a"), b"\xff\xfe damage\n", line("b"), line("c")[:-20])
    assert len(index) == 2
    assert index.damaged == [len(line("a")), len(line("a") + line("b")) + 10]


def test_a_line_without_its_answer_is_damaged_and_still_ours(tmp_path):
    lost = line("a").replace(b'"output"', b'"outpt"')
    number = line("b").replace(b'"an answer"', b"5")
    index = scan(tmp_path, lost)
    assert (len(index), index.damaged) == (0, [0])
    index = scan(tmp_path, line("c"), lost, number)
    assert (len(index), index.damaged) == (1, [len(line("c")), len(line("c") + lost)])


def test_who_answered_is_known_of_every_result(tmp_path):
    names = ["openai", "exec:sh -c 'x: y'", "", "openai"]
    lines = [line(f"j{n}", provider=name, key=key_of("f")) for n, name in enumerate(names)]
    index = scan(tmp_path, *lines)
    assert [index.provider(f"j{n}") for n in range(4)] == names
    assert index.offset("j3") == len(b"".join(lines[:3]))
    assert index.key_bits("j3") == key_bits(key_of("f"))


def test_a_file_that_names_more_providers_than_anybody_has_is_read(tmp_path):
    index = scan(tmp_path, *(line(f"j{n}", provider=f"p{n}") for n in range(70_000)))
    told = [index.provider(f"j{n}") for n in (0, 65_534, 65_535, 69_999)]
    assert told == ["p0", "p65534", "", ""]
    assert index.offset("j69999") > index.offset("j69998") > 0


def test_a_blank_line_is_damage_but_no_sign_of_another_program(tmp_path):
    assert scan(tmp_path, line("a"), b"\n", line("b")).damaged == [len(line("a"))]
    assert scan(tmp_path, b"\n").damaged == [0]


def test_rows_after_an_offset_are_read_from_there(tmp_path):
    paths = output(tmp_path, line("a"), line("b"))
    assert [each.data + b"\n" for each in file_lines(paths.results, start=len(line("a")))] == [
        line("b")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"hello",
        b'{"id":"a","prompt":"a job"}\n',
        b'{"id":"a","prompt":"a job"}\n{"id":"b","prompt":"a job"}\n',
        b'{"id":"a","prompt":"a job"}',
        b'{"id":"a","prompt":"a job"}\n{"id":"b","pro',
        b'{"id":"a","key":"a/path","size":7}\n',
        b'{"custom_id":"a","response":{}}\n',
        b"id,prompt\na,hello\n",
        b"[1,2]\n",
        b"\xff\xfe",
        b"{}\n",
        failed_line("a"),
        line("a")[:-30] + b"\n",
    ],
)
def test_a_file_without_any_result_is_somebody_elses(tmp_path, content):
    paths = output(tmp_path, content)
    with pytest.raises(UsageError, match="no results file of ours"):
        Index.scan(paths.results)
    assert paths.results.read_bytes() == content


@pytest.mark.parametrize("padding", [b"", b"\0" * 9], ids=["cut", "nul"])
def test_the_first_record_of_a_run_is_ours_wherever_it_was_torn(tmp_path, padding):
    whole = line("a", "\u00fc")
    for size in range(len(whole)):
        index = scan(tmp_path, whole[:size] + padding)
        assert len(index) + len(index.damaged) == bool(size or padding)


def test_blocks_of_nul_with_the_rest_of_a_record_are_ours(tmp_path):
    assert scan(tmp_path, b"\0" * 4096 + line("a")[50:]).damaged == [0]


def test_failures_are_found_and_the_last_of_an_id_counts(tmp_path):
    path = output(tmp_path).failed
    path.write_bytes(
        failed_line("a") + failed_line("b") + b"damage\n" + failed_line("a", "timeout")
    )
    index = FailedIndex.scan(path)
    assert len(index) == 2
    assert (index.get("a").code, index.get("a").retryable) == ("timeout", True)
    assert index.get("b").key == key_of("b")
    assert index.get("c") is None


def test_a_failed_line_that_is_no_utf_8_is_passed_over(tmp_path):
    path = output(tmp_path).failed
    path.write_bytes(failed_line("a").replace(b"prompt of a", b"prompt \xff a"))
    assert len(FailedIndex.scan(path)) == 0
