"""A job file: the same jobs however it is written, ids that last, and bounded memory."""

import gzip
import json
import tracemalloc
from array import array
from contextlib import aclosing
from pathlib import Path

import pytest

from batch.errors import UsageError
from batch.sources.ids import Ids
from batch.sources.jsonl import JsonlSource
from batch.sources.parse import LineParser

LONGEST = 8 << 20

PLAIN = {"prompt": "Say hello."}
OTHER = {"prompt": "Say goodbye."}
IMAGE = {"prompt": "What is it?", "image": "a.png"}


@pytest.fixture
async def opened(tmp_path):
    """Opens a job file of some bytes; every source is closed at the end."""
    sources = []

    def open_file(data, flags=None, longest=LONGEST):
        path = tmp_path / "night.jsonl"
        path.write_bytes(data)
        sources.append(
            JsonlSource(path.name, path, LineParser(str(tmp_path), flags or {}, {}), longest)
        )
        return sources[-1]

    yield open_file
    for source in sources:
        await source.close()


async def checked(source, ids=None):
    ids = ids or Ids()
    return [entry async for entries in source.entries(ids) for entry in entries]


async def done(source, entries):
    """The jobs of the entries, as the run reads them."""
    addresses = array("Q", [entry.address for entry in entries])
    return [job async for job in source.jobs(addresses)]


async def jobs_of(source):
    """The jobs, which are the same when they are checked and when they are run."""
    entries = await checked(source)
    assert all(entry.problem is None for entry in entries)
    jobs = [entry.job for entry in entries]
    assert await done(source, entries) == jobs
    return jobs


async def ids_of(source):
    return [job.id for job in await jobs_of(source)]


def lines(*values):
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


# However it is written


CLEAN = lines(PLAIN, {"id": "é", **OTHER}, IMAGE)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + CLEAN,
        CLEAN.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + CLEAN.replace(b"\n", b"\r\n"),
        CLEAN.rstrip(b"\n"),
        CLEAN.rstrip(b"\n") + b"\r",
        b"\n\n" + CLEAN.replace(b"\n", b"\n \t\r\n\n") + b"\n\n",
        b"\xef\xbb\xbf\n" + CLEAN,
        CLEAN.replace(b"\n", b"  \n").replace(b"{", b"  {"),
    ],
)
async def test_marks_line_ends_and_blank_lines_change_no_job(opened, data):
    assert await jobs_of(opened(data)) == await jobs_of(opened(CLEAN))


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
async def test_an_empty_file_has_no_jobs(opened, data):
    assert await jobs_of(opened(data)) == []


async def test_characters_that_end_a_line_elsewhere_do_not_end_one_here(opened):
    text = "a\u2028b\u2029c\u0085d"
    data = json.dumps({"prompt": text}, ensure_ascii=False).encode() + b"\n"
    (job,) = await jobs_of(opened(data))
    assert job.messages[0].content == text


async def test_line_numbers_count_blank_lines(opened):
    entries = await checked(opened(b"\n" + lines(PLAIN) + b"\r\n" + lines(OTHER)))
    assert [entry.number for entry in entries] == [2, 4]


async def test_a_defaults_line_is_no_job_and_serves_every_later_line(opened):
    data = lines({"defaults": {"prompt": "x", "params": {"n": 1}}}, {"id": "a"}, {"id": "b"})
    for mark in (b"", b"\xef\xbb\xbf", b"\n\n"):
        jobs = await jobs_of(opened(mark + data))
        assert [(job.id, job.params) for job in jobs] == [("a", {"n": 1}), ("b", {"n": 1})]


async def test_defaults_are_taken_anew_when_the_file_is_checked_again(opened):
    source = opened(lines({"defaults": {"prompt": "x"}}, {"id": "a"}))
    assert await checked(source) == await checked(source)


async def test_a_bad_defaults_line_is_a_bad_line(opened):
    (entry,) = await checked(opened(lines({"defaults": {"promt": "x"}})))
    assert entry.problem == ("line-1", "`defaults` cannot give `promt`, did you mean `prompt`?", "")


# Ids


async def test_ids_are_given_paths_or_hashes(opened, tmp_path):
    inside = {**IMAGE, "image": f"{tmp_path}/sub/b.png"}
    names = await ids_of(opened(lines({"id": "mine", **PLAIN}, IMAGE, inside, PLAIN)))
    assert names[:3] == ["mine", "a.png", "sub/b.png"]
    assert names[3].startswith("r-")


async def test_a_repeated_line_gets_a_number(opened):
    (name,) = await ids_of(opened(lines(PLAIN)))
    assert await ids_of(opened(lines(*[PLAIN] * 4))) == [
        name,
        f"{name}-2",
        f"{name}-3",
        f"{name}-4",
    ]


@pytest.mark.parametrize("flags", [{"system": "Be brief."}, {"model": "m", "params": {"n": 1}}])
async def test_what_a_line_inherits_changes_no_id_of_a_repeated_line(opened, flags):
    data = lines(PLAIN, PLAIN, IMAGE, {**IMAGE, "prompt": "Why?"})
    names = await ids_of(opened(data))
    assert await ids_of(opened(data, flags)) == names
    assert await ids_of(opened(lines({"defaults": flags}) + data)) == names


async def test_a_repeated_line_may_differ_in_form_and_meta(opened):
    form = b'{ "meta": {"row": 2}, "prompt":"Say hello." }\n'
    (name,) = await ids_of(opened(lines(PLAIN)))
    assert await ids_of(opened(lines(PLAIN) + form)) == [name, f"{name}-2"]


async def test_a_number_that_is_taken_is_left_out(opened):
    (name,) = await ids_of(opened(lines(PLAIN)))
    taken = {"id": f"{name}-2", **OTHER}
    assert await ids_of(opened(lines(taken, PLAIN, PLAIN))) == [f"{name}-2", name, f"{name}-3"]


async def test_two_lines_about_one_image_have_two_ids_that_last(opened):
    why, when = {**IMAGE, "prompt": "Why?"}, {**IMAGE, "prompt": "When?"}
    first, second, third = await ids_of(opened(lines(IMAGE, why, when)))
    assert first == "a.png"
    assert second.startswith("r-")
    assert third.startswith("r-")
    assert await ids_of(opened(lines(IMAGE, when, why))) == [first, third, second]
    assert await ids_of(opened(lines(IMAGE, when))) == [first, third]


async def test_the_same_line_about_an_image_again_has_an_id_of_its_own(opened):
    source = opened(lines(IMAGE, IMAGE, IMAGE))
    assert await ids_of(source) == ["a.png", "a.png-2", "a.png-3"]


async def test_an_image_asked_two_things_and_one_of_them_again_has_three_ids_in_any_order(opened):
    other = {**IMAGE, "prompt": "and now?"}
    first = await ids_of(opened(lines(IMAGE, other, IMAGE, other)))
    assert first == ["a.png", first[1], "a.png-2", f"{first[1]}-2"]
    assert first[1].startswith("r-")
    assert await ids_of(opened(lines(IMAGE, IMAGE, other, other))) == [
        "a.png",
        "a.png-2",
        first[1],
        f"{first[1]}-2",
    ]


async def test_inserting_a_line_at_the_top_changes_no_other_id(opened):
    data = lines(PLAIN, PLAIN, IMAGE, OTHER)
    names = await ids_of(opened(data))
    new = await ids_of(opened(lines({"prompt": "new"}, {"image": "b.png", "prompt": "x"}) + data))
    assert new[2:] == names


async def test_editing_meta_changes_no_id(opened):
    names = await ids_of(opened(lines(PLAIN, OTHER, IMAGE)))
    edited = [{**line, "meta": {"row": at}} for at, line in enumerate((PLAIN, OTHER, IMAGE))]
    assert await ids_of(opened(lines(*edited))) == names


async def test_an_id_that_stands_twice_is_a_problem_of_the_later_line(opened):
    data = lines({"id": "a", **PLAIN}, {"id": "b", **PLAIN}, {"custom_id": "a", **OTHER})
    entries = await checked(opened(data))
    assert [entry.problem for entry in entries[:2]] == [None, None]
    assert entries[2].problem == ("line-3", "the id 'a' is taken", "a")
    assert entries[2].job is None


async def test_an_id_that_was_derived_before_it_was_given_is_a_problem(opened):
    entries = await checked(opened(lines(IMAGE, {"id": "a.png", **PLAIN})))
    assert entries[1].problem.taken == "a.png"


async def test_ids_are_unique_over_several_sources(opened):
    ids = Ids()
    assert all(
        entry.job for entry in await checked(opened(lines({"id": "a", **PLAIN}, OTHER)), ids)
    )
    first, second = await checked(opened(lines({"id": "a", **PLAIN}, OTHER)), ids)
    assert first.problem.taken == "a"
    assert second.job.id.endswith("-2")


async def test_a_batch_line_without_an_id_that_is_repeated_gets_a_number(opened):
    name, again = await ids_of(opened(lines({"body": {"n": 1}}, {"body": {"n": 1}})))
    assert again == f"{name}-2"


# Bad lines


async def test_bad_lines_are_told_with_their_number_and_the_others_are_jobs(opened):
    data = lines(PLAIN) + b"\n{\n" + lines(OTHER) + b'{"prompt": "caf\xe9"}\n[]\n{"prompt": "x'
    entries = await checked(opened(data))
    told = {entry.number: entry.problem for entry in entries}
    assert [number for number, problem in told.items() if problem is None] == [1, 4]
    assert told[3].id == "line-3"
    assert told[5].message == "no UTF-8 at byte 16: invalid continuation byte"
    assert told[6].message == "a job is a JSON object"
    assert "is the file still being written?" in told[7].message


async def test_a_line_over_the_limit_is_told_and_the_next_one_is_a_job(opened):
    long = {"prompt": "x" * 3_000_000}
    entries = await checked(opened(lines(PLAIN, long, OTHER), longest=1_000_000))
    assert entries[1].problem.message == "longer than 1000000 bytes (--max-line-bytes)"
    assert [entry.number for entry in entries if entry.job] == [1, 3]


async def test_a_line_of_several_mebibytes_is_a_job_within_the_limit(opened):
    long = {"id": "long", "prompt": "x" * 5_000_000}
    assert await ids_of(opened(lines({"id": "a", **PLAIN}, long, {"id": "b", **PLAIN}))) == [
        "a",
        "long",
        "b",
    ]


async def test_recorded_bad_lines_are_passed_over_and_counted(opened):
    record = {"id": "line-7", "failure": {"code": "bad_job", "message": "no prompt"}}
    failed = {"id": "a", **PLAIN, "failure": {"code": "timeout"}}
    source = opened(lines(record, failed, record))
    for _ in range(2):
        assert [entry.job.id for entry in await checked(source)] == ["a"]
        assert source.passed_over == 2


# What is no job file


PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(CLEAN), "gzip: unpack it first (gunzip)"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "zstd: unpack it first (unzstd)"),
        (CLEAN.decode().encode("utf-16"), "UTF-16: save it as UTF-8"),
        (b"\xfe\xff" + CLEAN.decode().encode("utf-16-be"), "UTF-16: save it as UTF-8"),
        (b"PAR1" + bytes(20), "Parquet"),
        (b"PK\x03\x04" + bytes(20), "a zip archive: unpack it first"),
        (b"SQLite format 3\0", "an SQLite database"),
        (PNG, "an image: give its folder, or a job file that names it"),
        (b"\xff\xd8\xff\xe0", "an image: give its folder, or a job file that names it"),
    ],
)
def test_other_formats_are_refused_in_words(opened, data, words):
    with pytest.raises(UsageError) as told:
        opened(data)
    assert str(told.value) == f"night.jsonl is no JSONL job file but {words}"


def test_a_refused_file_is_closed(opened):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(UsageError):
            opened(PNG)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("name", "words"), [("none.jsonl", "No such file or directory"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_told_with_its_path(tmp_path, name, words):
    with pytest.raises(UsageError) as told:
        JsonlSource(name, tmp_path / name, LineParser(str(tmp_path), {}, {}), LONGEST)
    assert str(told.value) == f"cannot read {tmp_path / name}: {words}"


# A file that changes


async def test_what_is_appended_after_opening_is_not_read(opened, tmp_path):
    source = opened(lines(PLAIN) + b'{"prompt": "half')
    with (tmp_path / "night.jsonl").open("ab") as file:
        file.write(b' a line"}\n' + lines(OTHER))
    assert source.grown()
    first, second = await checked(source)
    assert first.job.messages[0].content == "Say hello."
    assert "is the file still being written?" in second.problem.message
    assert len(await done(source, [first])) == 1


async def test_a_file_that_stays_as_it_is_has_not_grown(opened):
    source = opened(CLEAN)
    await checked(source)
    assert not source.grown()


async def test_a_file_that_was_replaced_or_removed_has_grown_and_is_read_as_it_was(
    opened, tmp_path
):
    source = opened(lines(PLAIN))
    entries = await checked(source)
    (tmp_path / "new").write_bytes(lines(OTHER))
    (tmp_path / "new").replace(tmp_path / "night.jsonl")
    assert source.grown()
    assert await done(source, entries) == [entries[0].job]
    (tmp_path / "night.jsonl").unlink()
    assert source.grown()
    assert await done(source, entries) == [entries[0].job]


async def test_a_line_that_was_edited_since_it_was_checked_is_passed_over(opened, tmp_path):
    data = lines({"id": "a", **PLAIN}, {"id": "b", **PLAIN}, {"id": "c", **PLAIN})
    source = opened(data)
    entries = await checked(source)
    (tmp_path / "night.jsonl").write_bytes(data.replace(b'"b"', b'"a"'))
    assert [job.id for job in await done(source, entries)] == ["a", "c"]


@pytest.mark.parametrize("edited", [b"", b"{}\n", b"{}\n" + CLEAN, CLEAN.replace(b"hello", b"hi")])
async def test_lines_that_moved_since_they_were_checked_are_passed_over(opened, tmp_path, edited):
    source = opened(CLEAN)
    entries = await checked(source)
    (tmp_path / "night.jsonl").write_bytes(edited)
    assert await done(source, entries) == []


# Far and many


async def test_jobs_are_exactly_those_that_are_wanted_also_far_apart(opened):
    data = b"".join(
        json.dumps({"id": f"j{at}", "prompt": "x" * (at % 7 * 20_000)}).encode() + b"\n\n"
        if at % 7
        else lines({"id": f"j{at}", "prompt": "x", "image": "a.png"})
        for at in range(400)
    )
    assert len(data) > 20 << 20
    source = opened(data)
    entries = await checked(source)
    for wanted in (
        entries,
        entries[:1],
        entries[-1:],
        entries[::97],
        [entries[0], entries[-2], entries[-1]],
        entries[10:12] + entries[390:],
        [],
    ):
        assert await done(source, wanted) == [entry.job for entry in wanted]


async def test_jobs_far_apart_are_reached_without_reading_what_lies_between(opened, tmp_path):
    source = opened(lines({"id": "a", **PLAIN}, {"id": "b", **PLAIN}))
    first, second = await checked(source)
    hole = 1 << 36
    with (tmp_path / "sparse.jsonl").open("wb") as file:
        file.write(lines({"id": "a", **PLAIN}))
        file.truncate(hole - 1)
        file.seek(hole - 1)
        file.write(b"\n" + lines({"id": "b", **PLAIN}))
    path = tmp_path / "sparse.jsonl"
    sparse = JsonlSource("sparse.jsonl", path, LineParser(str(tmp_path), {}, {}), LONGEST)
    shift = (hole - len(lines({"id": "a", **PLAIN}))) << 24
    addresses = array("Q", [first.address, second.address + shift])
    assert [job.id async for job in sparse.jobs(addresses)] == ["a", "b"]
    await sparse.close()


async def test_reading_can_be_left_in_the_middle(opened):
    source = opened(lines(*({"id": f"{at}", **PLAIN} for at in range(1000))))
    entries = await checked(source)
    addresses = array("Q", [entry.address for entry in entries])
    async with aclosing(source.jobs(addresses)) as jobs:
        assert (await anext(jobs)).id == "0"
    async with aclosing(source.entries(Ids())) as groups:
        assert await anext(groups)
    assert len(await done(source, entries)) == 1000


async def test_memory_is_bounded_for_many_lines(opened):
    count = 200_000
    source = opened(
        b"".join(
            b'{"id":"job-%d","prompt":"Say the number %d in words."}\n' % (at, at)
            for at in range(count)
        )
    )
    addresses = array("Q")
    async for entries in source.entries(Ids()):
        addresses.extend(entry.address for entry in entries)
        if len(addresses) >= count * 7 // 8 and not tracemalloc.is_tracing():
            tracemalloc.start()
    planned = tracemalloc.get_traced_memory()[1]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    assert sum([1 async for _ in source.jobs(addresses[: count // 16])]) == count // 16
    run = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()
    assert len(addresses) == count
    assert planned < 20 << 20
    assert run < 16 << 20


async def test_equal_lines_take_hardly_more_memory_than_different_ones(opened):
    count = 5_000
    different = b"".join(b'{"prompt":"%d"}\n' % at for at in range(count))
    held = []
    for data in (different, b'{"prompt":"12345"}\n' * count):
        source, ids = opened(data), Ids()
        tracemalloc.start()
        async for entries in source.entries(ids):
            entries.clear()
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert held[1] - held[0] < 20 * count
