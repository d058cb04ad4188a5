"""Jobs loaded ahead of the network: pictures in threads, their bytes in memory bounded."""

import asyncio
import resource
import threading

import pytest
from clock import in_virtual_time, now, turns
from PIL import Image
from queues import cancelled
from rehearsal import job

from batch.errors import Rejected, Unreadable
from batch.loader import THREADS, Loader
from batch.media.request import LoadRules
from batch.suspects import Suspects

CAP = 100_000


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures of which no two are alike."""
    for n in range(20):
        Image.effect_noise((64, 64), 50 + n).save(tmp_path / f"{n}.png", "PNG")
    (tmp_path / "note.png").write_text("no picture")
    return tmp_path


@pytest.fixture
def loader():
    one = Loader(LoadRules(), CAP, Suspects())
    yield one
    one.close()


def pictured(folder, *names):
    return job("a", images=[f"{name}.png" for name in names], root=str(folder))


def size(folder, name):
    return (folder / f"{name}.png").stat().st_size


@in_virtual_time
async def test_a_job_without_pictures_is_loaded_at_once_and_holds_nothing(loader):
    loader.held.add(10 * CAP)
    loading = asyncio.create_task(loader.load(job("a"), "model-1"))
    await turns(2)
    loaded = loading.result()
    assert loaded.ready().model == "model-1"
    loader.let_go(loaded)
    assert loader.held.bytes == 10 * CAP


@in_virtual_time
async def test_pictures_are_held_until_they_are_let_go(loader, folder):
    first = await loader.load(pictured(folder, 1, 2), "model-1")
    second = await loader.load(pictured(folder, 3), "model-1")
    assert loader.held.bytes == sum(size(folder, name) for name in (1, 2, 3))
    loader.let_go(first)
    assert loader.held.bytes == size(folder, 3)
    loader.let_go(second)
    assert loader.held.bytes == 0


@in_virtual_time
async def test_pictures_are_loaded_in_threads_of_which_there_are_few(folder):
    seen = set()

    class Noting(LoadRules):
        @property
        def originals(self):
            seen.add(threading.current_thread())
            return False

    loader = Loader(Noting(), CAP, Suspects())
    await asyncio.gather(*(loader.load(pictured(folder, n), "m") for n in range(20)))
    loader.close()
    assert threading.current_thread() not in seen
    assert 1 <= len(seen) <= THREADS


@in_virtual_time
async def test_no_picture_is_loaded_while_too_many_bytes_are_held(loader, folder):
    loader.held.add(CAP)
    loading = asyncio.create_task(loader.load(pictured(folder, 1), "model-1"))
    await turns(20)
    assert not loading.done()
    loader.held.add(-1)
    assert (await loading).size == size(folder, 1)


@in_virtual_time
async def test_only_as_many_find_room_at_once_as_there_are_threads(folder):
    loader, most = Loader(LoadRules(), 1, Suspects()), 0

    async def work(n):
        nonlocal most
        loaded = await loader.load(pictured(folder, n), "model-1")
        most = max(most, loader.held.bytes)
        await asyncio.sleep(1)
        loader.let_go(loaded)

    await asyncio.gather(*(work(n) for n in range(20)))
    loader.close()
    assert 0 < most <= THREADS * max(size(folder, n) for n in range(20))


@in_virtual_time
async def test_a_loader_that_is_closed_keeps_no_threads(folder):
    before = set(threading.enumerate())
    loader = Loader(LoadRules(), CAP, Suspects())
    await loader.load(pictured(folder, 1), "model-1")
    mine = set(threading.enumerate()) - before
    assert mine
    loader.close()
    for thread in mine:
        thread.join(10)
        assert not thread.is_alive()


@in_virtual_time
async def test_a_picture_that_cannot_be_loaded_holds_nothing_and_blocks_nobody(loader, folder):
    for _ in range(2 * THREADS):
        loaded = await loader.load(pictured(folder, "note"), "model-1")
        with pytest.raises(Rejected):
            loaded.ready()
        loader.let_go(loaded)
    assert loader.held.bytes == 0
    assert (await loader.load(pictured(folder, 1), "model-1")).ready()


@in_virtual_time
async def test_who_is_cancelled_while_it_waits_for_room_blocks_nobody(loader, folder):
    loader.held.add(CAP)
    jobs = [pictured(folder, n) for n in range(2 * THREADS)]
    tasks = [asyncio.create_task(loader.load(each, "model-1")) for each in jobs]
    await turns(20)
    for task in tasks:
        await cancelled(task)
    loader.held.add(-CAP)
    loaded = await asyncio.gather(*(loader.load(each, "model-1") for each in jobs[:THREADS]))
    assert len(loaded) == THREADS


@in_virtual_time
async def test_too_many_open_files_are_waited_out_with_fewer_pictures_at_once(loader, folder):
    closed = resource.getrlimit(resource.RLIMIT_NOFILE)
    await loader.load(pictured(folder, 1), "model-1")  # what is opened once is open
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, closed[1]))
    try:
        loading = [
            asyncio.create_task(loader.load(pictured(folder, n), "model-1")) for n in range(5)
        ]
        await asyncio.sleep(3)
        assert not any(task.done() for task in loading)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, closed)
    for loaded in await asyncio.gather(*loading):
        assert loaded.ready()


@in_virtual_time
async def test_too_many_open_files_for_too_long_end_the_run_and_fail_no_job(loader, folder):
    closed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, closed[1]))
    try:
        with pytest.raises(Unreadable, match="ulimit -n"):
            await loader.load(pictured(folder, 1), "model-1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, closed)
    assert 300 < now() < 900
