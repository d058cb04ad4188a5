"""Slabs of any size give the lines that the whole file would give."""

import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.lines import Line, LineCutter


def cut(slabs, longest=1 << 20, start=0):
    cutter = LineCutter(longest, start)
    lines = [line for slab in slabs for line in cutter.cut(slab)]
    return lines + cutter.rest()


def split(data, longest):
    pieces = data.split(b"\n")
    if not pieces[-1]:
        pieces.pop()
    starts = itertools.accumulate((len(piece) + 1 for piece in pieces), initial=0)
    return [
        Line(at, number, piece if len(piece) <= longest else None)
        for number, (at, piece) in enumerate(zip(starts, pieces, strict=False), 1)
    ]


@settings(deadline=None)
@given(
    data=st.lists(st.sampled_from([b"\n", b"a", b"bcd", b"\r", b"\xff\x00", b"x" * 9])).map(
        b"".join
    ),
    cuts=st.lists(st.integers(0, 60)),
    longest=st.integers(0, 12),
)
def test_cutting_at_any_borders_gives_the_lines_of_the_whole(data, cuts, longest):
    borders = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    slabs = [data[one:two] for one, two in itertools.pairwise(borders)]
    assert cut(slabs, longest) == split(data, longest)


def test_lines_end_at_newlines_only():
    text = "a\rb\u2028c\u0085d\x0be\n".encode()
    assert [line.data for line in cut([text])] == [text[:-1]]


def test_blank_lines_are_counted():
    assert cut([b"\n\na\n"]) == [Line(0, 1, b""), Line(1, 2, b""), Line(2, 3, b"a")]


@pytest.mark.parametrize("slabs", [[], [b""], [b"", b""]])
def test_nothing_gives_no_lines(slabs):
    assert cut(slabs) == []


def test_a_last_line_without_newline_is_a_line():
    assert cut([b"a\nb"]) == [Line(0, 1, b"a"), Line(2, 2, b"b")]


def test_a_newline_at_the_end_begins_no_line():
    assert cut([b"a\n"]) == [Line(0, 1, b"a")]


def test_a_line_of_exactly_the_limit_keeps_its_bytes():
    assert cut([b"abc\nabcd\nabc"], 3) == [Line(0, 1, b"abc"), Line(4, 2, None), Line(9, 3, b"abc")]


def test_a_line_over_the_limit_comes_without_bytes_and_the_next_one_whole():
    slabs = [b"x" * 10] * 5 + [b"x\nok\n"]
    assert cut(slabs, 20) == [Line(0, 1, None), Line(52, 2, b"ok")]


def test_a_last_line_over_the_limit_is_told_too():
    assert cut([b"a\n", b"xxx", b"xxx"], 4) == [Line(0, 1, b"a"), Line(2, 2, None)]


def test_a_line_over_the_limit_is_not_kept_in_memory():
    cutter = LineCutter(longest=100)
    slab = b"x" * 100_000
    tracemalloc.start()
    assert not any(cutter.cut(slab) for _ in range(100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(slab)
    assert cutter.cut(b"\n") == [Line(0, 1, None)]


def test_reading_from_the_middle_keeps_offsets_and_gives_no_numbers():
    assert cut([b"b\nc", b"c\n"], start=2) == [Line(2, 0, b"b"), Line(4, 0, b"cc")]
