"""The journal: what it says is saved is in the file, and what cannot be saved stops the run."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from oracle import parsed
from processes import lead_to_nothing
from samples import failed, failed_line, line, output, result, small_files

from batch.errors import OutputError
from batch.results.append import RESERVE
from batch.results.journal import SYNC_RECORDS, Journal


class Desk:
    """A journal with the trouble that it told."""

    def __init__(self, paths, **options):
        self.paths = paths
        self.troubles = []
        self.told = asyncio.Event()
        self.journal = Journal(paths, self._trouble, **options)

    def _trouble(self, error):
        self.troubles.append(error)
        self.told.set()

    def append(self, count, start=0):
        for n in range(start, start + count):
            self.journal.append(result(f"id-{n}"))

    @property
    def lines(self):
        return self.paths.results.read_bytes().count(b"\n")


def unsyncable(tmp_path, **how):
    """A desk whose disk takes every byte and then says no: a sync of /dev/null is EINVAL."""
    paths = output(tmp_path)
    desk = Desk(paths, **how)
    lead_to_nothing(paths.results)
    return desk


def open_in(folder):
    """The files of a folder that this process holds open."""
    targets = [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()]
    return [target for target in targets if target.startswith(f"{folder}/")]


async def test_an_answer_is_in_the_file_when_append_returns(tmp_path):
    desk = Desk(output(tmp_path))
    for n in range(5):
        desk.append(1, n)
        assert desk.lines == n + 1
    await desk.journal.close()
    assert desk.paths.results.read_bytes() == b"".join(line(f"id-{n}") for n in range(5))
    assert desk.troubles == []


async def test_nothing_but_the_two_files_is_left_open_or_lying_about(tmp_path):
    threads = threading.active_count()
    desk = Desk(output(tmp_path))
    assert desk.paths.reserve.stat().st_size == RESERVE
    desk.append(3)
    assert str(desk.paths.results) in open_in(tmp_path)
    desk.journal.append_failed(failed("f"))
    await desk.journal.close()
    assert {path.name for path in tmp_path.iterdir()} == {
        "night.results.jsonl",
        "night.failed.jsonl",
    }
    assert open_in(tmp_path) == []
    assert threading.active_count() == threads
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


async def test_without_a_failure_there_is_no_failed_file(tmp_path):
    desk = Desk(output(tmp_path))
    desk.append(1)
    await desk.journal.close()
    assert not desk.paths.failed.exists()


async def test_an_answer_settles_the_failure_of_an_earlier_run_when_the_run_ends(tmp_path):
    paths = output(tmp_path, line("done"))
    paths.failed.write_bytes(failed_line("id-0") + failed_line("x"))
    desk = Desk(paths)
    desk.append(1)
    desk.journal.append_failed(failed("x", "timeout"))
    assert paths.failed.read_bytes().count(b"\n") == 3
    await desk.journal.close()
    assert paths.failed.read_bytes() == failed_line("x", "timeout")


async def test_with_sync_each_an_answer_is_settled_only_once_it_is_on_the_disk(tmp_path):
    desk = Desk(output(tmp_path), sync_each=True)

    async def one(n):
        desk.journal.append(result(f"id-{n}"))
        await desk.journal.settled()

    await asyncio.gather(*map(one, range(50)))
    await desk.journal.close()
    assert desk.lines == 50
    assert desk.troubles == []


async def test_with_sync_each_an_answer_that_did_not_reach_the_disk_is_never_settled(tmp_path):
    desk = unsyncable(tmp_path, sync_each=True)
    desk.append(1)
    for _ in range(2):
        with pytest.raises(OutputError, match="cannot sync") as caught:
            await desk.journal.settled()
        assert caught.value.exit_code == 74
    desk.append(1)
    with pytest.raises(OutputError, match="cannot sync"):
        await desk.journal.settled()
    with pytest.raises(OutputError, match="cannot sync"):
        await desk.journal.close()


async def test_a_sync_error_is_told_once_and_again_at_the_end(tmp_path):
    desk = unsyncable(tmp_path)
    desk.append(SYNC_RECORDS)
    await desk.told.wait()
    desk.append(3 * SYNC_RECORDS)
    await asyncio.sleep(0)
    with pytest.raises(OutputError, match="Invalid argument") as caught:
        await desk.journal.close()
    assert caught.value.exit_code == 74
    assert len(desk.troubles) == 1
    assert "Invalid argument" in str(desk.troubles[0])


async def test_a_file_removed_during_the_run_stops_it_and_is_put_back_with_every_answer(tmp_path):
    paths = output(tmp_path, line("before"))
    desk = Desk(paths)
    paths.results.unlink()
    desk.append(SYNC_RECORDS)
    await desk.told.wait()
    assert "removed or replaced" in str(desk.troubles[0])
    desk.append(2, SYNC_RECORDS)
    with pytest.raises(OutputError, match=r"saved to .*night\.results\.jsonl"):
        await desk.journal.close()
    rows, broken = parsed(paths.results)
    assert [row["id"] for row in rows] == ["before", *(f"id-{n}" for n in range(SYNC_RECORDS + 2))]
    assert broken == []


async def test_a_removed_file_is_noticed_at_the_end_at_the_latest(tmp_path):
    desk = Desk(output(tmp_path))
    desk.append(1)
    desk.paths.results.unlink()
    with pytest.raises(OutputError, match="removed or replaced"):
        await desk.journal.close()
    assert desk.lines == 1


async def test_a_file_cut_by_another_program_stops_the_run(tmp_path):
    desk = Desk(output(tmp_path))
    desk.append(SYNC_RECORDS - 1)
    os.truncate(desk.paths.results, 0)
    desk.append(1)
    await desk.told.wait()
    assert "cut by another program" in str(desk.troubles[0])
    with pytest.raises(OutputError, match="cut by another program"):
        await desk.journal.close()


async def test_answers_that_even_the_reserve_cannot_save_are_saved_elsewhere_and_that_is_told(
    tmp_path, monkeypatch
):
    with small_files(RESERVE + 500):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
        paths = output(tmp_path, line("big", "x" * (RESERVE - len(line("big", "")))))
        desk = Desk(paths)
        for name in ("a", "b"):
            with pytest.raises(OutputError, match="cannot write"):
                desk.journal.append(result(name, "y" * 400))
        assert not paths.reserve.exists()
        assert len(desk.troubles) == 1
        with pytest.raises(OutputError, match="2 lines that could not be written are in") as caught:
            await desk.journal.close()
        assert caught.value.exit_code == 74
        (saved,) = elsewhere.iterdir()
        assert str(saved) in str(caught.value)
        assert saved.read_bytes() == line("a", "y" * 400) + line("b", "y" * 400)
        assert [row["id"] for row in parsed(paths.results)[0]] == ["big"]
        assert parsed(paths.results)[1] == []


async def test_a_disk_that_is_full_from_the_start_ends_with_74_and_leaves_no_reserve(tmp_path):
    with small_files(1000):
        with pytest.raises(OutputError, match="nothing was sent") as caught:
            Desk(output(tmp_path))
        assert caught.value.exit_code == 74
        assert not output(tmp_path).reserve.exists()


SCRIPT = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from samples import output, result
from batch.results.journal import Journal

async def main():
    each = sys.argv[3] == "each"
    journal = Journal(output(Path(sys.argv[1])), print, sync_each=each)
    for n in range(500):
        journal.append(result(str(n)))
        await journal.settled()
        await asyncio.sleep(0)
    await journal.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(("way", "least", "most"), [("group", 2, 60), ("each", 500, 501)])
def test_syncs_are_grouped_unless_each_is_asked_for(tmp_path, way, least, most):
    calls = tmp_path / "calls"
    trace = ["strace", "-f", "-qq", "-e", "trace=fdatasync", "-o", calls]
    work = [sys.executable, "-c", SCRIPT, tmp_path, Path(__file__).parent, way]
    try:
        subprocess.run([*trace, *work], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be traced here")
    assert least <= len(re.findall(r"fdatasync\(\d+", calls.read_text())) <= most


@pytest.mark.parametrize("when", [1, 2])
def test_a_failed_sync_is_not_tried_again(tmp_path, when):
    calls = tmp_path / "calls"
    fault = f"inject=fdatasync:error=EIO:when={when}"
    trace = ["strace", "-f", "-qq", "-e", "trace=fdatasync", "-e", fault, "-o", calls]
    work = [sys.executable, "-c", SCRIPT, tmp_path, Path(__file__).parent, "group"]
    try:
        told = subprocess.run([*trace, *work], check=False, capture_output=True)
    except OSError:
        pytest.skip("nothing can be traced here")
    if not calls.exists() or "fdatasync" not in calls.read_text():
        pytest.skip("nothing can be traced here")
    assert b"cannot sync" in told.stderr
    assert b"Input/output error" in told.stderr
    assert len(re.findall(r"fdatasync\(\d+", calls.read_text())) == when
    assert parsed(output(tmp_path).results)[0][-1]["id"] == "499"
