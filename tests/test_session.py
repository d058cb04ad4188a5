"""One run of one output: what it plans, writes, tells and leaves behind."""

import asyncio
import json

import msgspec
import pytest
from clock import in_virtual_time, now, turns
from server import RateLimit, Server, Status

from batch.engines.local import run_local
from batch.errors import Locked, OutputError, UsageError
from batch.events import Planned, Stopping, Waiting
from batch.outcomes import Price
from batch.recorder import HEARTBEAT
from batch.results.lock import Lock
from batch.session import Session
from batch.settings import Settings

STATE_KEYS = (
    "run_id version source provider model state reason exit_code pid host started_at updated_at "
    "jobs done_before answered failed left retries paused_s input_tokens output_tokens cost_usd "
    "rate_per_s latency_p50_s latency_p95_s in_flight oldest_in_flight failures lane"
).split()


class House:
    """A folder with a job file, and runs of it in virtual time."""

    def __init__(self, folder):
        self.folder = folder
        self.source = folder / "night.jsonl"
        self.events = []
        self.states = []
        self.session = None

    def write(self, *lines):
        """The job file: lines as they are, or fields of jobs."""
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        self.source.write_text("".join(f"{text}\n" for text in texts), "utf-8")

    def plain(self, count, **script):
        self.write(*(job(n, **script) for n in range(count)))

    def lines(self, kind="results"):
        file = self.folder / f"night.{kind}.jsonl"
        return (
            [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []
        )

    def ids(self, kind="results"):
        return [line["id"] for line in self.lines(kind)]

    def state(self):
        return json.loads((self.folder / "night.run.json").read_bytes())

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def begin(self, *, glance=None, **options):
        """A session, not started yet."""
        settings = Settings(**{"sources": (str(self.source),), "provider": "fake", **options})
        clock = asyncio.get_running_loop().time
        glance = glance or self.states.append
        self.session = Session(settings, self.events.append, glance, clock)
        return self.session

    async def run(self, **options):
        return await self.begin(**options).run()

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def job(number, **script):
    return {"id": f"job-{number}", "prompt": f"prompt {number}", "params": script}


# What is written


@in_virtual_time
async def test_run_json_has_the_promised_keys_and_true_numbers(house):
    house.write(
        *(job(n, delay=0.5) for n in range(8)),
        job("late", failures=["timeout", "server_error"]),
        job("never", failures=["refused"]),
    )
    summary = await house.run(price=Price(1.0, 2.0))
    state = house.state()
    assert list(state) == STATE_KEYS
    assert (state["state"], state["reason"], state["exit_code"]) == ("finished", "", 1)
    assert (state["jobs"], state["answered"], state["failed"], state["left"]) == (10, 9, 1, 0)
    assert (state["done_before"], state["retries"]) == (0, 2)
    assert state["failures"] == {"refused": 1}
    assert state["source"] == str(house.source)
    assert (state["provider"], state["model"]) == ("fake", "fake-1")
    assert state["input_tokens"] == sum(line["input_tokens"] for line in house.lines())
    assert state["cost_usd"] == pytest.approx(sum(line["cost_usd"] for line in house.lines()))
    assert state["latency_p50_s"] == pytest.approx(0.5, rel=0.025)
    assert (state["in_flight"], state["oldest_in_flight"]) == (0, None)
    assert state["rate_per_s"] == pytest.approx(9 / now(), rel=0.01)
    assert summary.exit_code == 1
    assert json.loads(msgspec.json.encode(summary.state)) == state
    assert {name for _, name in summary.slowest} <= set(house.ids())


@in_virtual_time
async def test_jobs_are_answered_failed_or_left_at_every_glance(house):
    lines = [job(n, delay=0.3) for n in range(200)]
    for at in range(0, 200, 9):
        lines[at] = job(at, failures=["rejected"])
    house.write(*lines)
    await house.run(concurrency=4, limit=150)
    await house.run(concurrency=4)
    assert len(house.states) > 20
    for state in house.states:
        assert state.jobs == 200 == state.answered + state.failed + state.left
        assert state.left >= 0
        assert state.in_flight <= 4
        assert state.state == "running"
    counts = [state.answered for state in house.states]
    assert counts == sorted(counts)
    assert house.state()["answered"] == len(house.ids()) == 177
    assert house.state()["failed"] == len(house.ids("failed")) == 23


@in_virtual_time
async def test_the_heart_beats_into_run_json_while_the_run_goes_on(house):
    house.plain(300, delay=3.7)
    run = asyncio.create_task(house.run(concurrency=4))
    seen = []
    while now() < 100:
        await asyncio.sleep(HEARTBEAT + 1.0)
        seen.append(house.state())
    assert all(state["state"] == "running" for state in seen)
    assert all(state["left"] == 300 - state["answered"] for state in seen)
    assert seen[-1]["answered"] >= 90
    assert all(later["answered"] > seen[0]["answered"] for later in seen[5:])
    assert all(0 <= state["oldest_in_flight"]["age_s"] <= 4 for state in seen)
    assert seen[-1]["oldest_in_flight"]["id"].startswith("job-")
    house.session.interrupt("enough", 130)
    await run
    assert house.state()["state"] == "stopped"


@in_virtual_time
async def test_a_view_that_fails_ends_neither_the_heartbeat_nor_the_run(house):
    house.plain(100, delay=1.0)
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, it: told.append(it["exception"]))

    def broken(state):
        raise ZeroDivisionError

    run = asyncio.create_task(house.run(glance=broken, concurrency=4))
    await asyncio.sleep(20)
    assert house.state()["answered"] > 40
    assert (await run).exit_code == 0
    assert len(told) > 50


@in_virtual_time
async def test_a_finished_run_again_asks_nothing_and_ends_the_same(house):
    house.write(*(job(n) for n in range(5)), job("never", failures=["refused"] * 9))
    first = await house.run()
    before = (house.folder / "night.results.jsonl").read_bytes()
    again = await house.run()
    assert first.exit_code == again.exit_code == 1
    assert (house.folder / "night.results.jsonl").read_bytes() == before
    assert again.state.done_before == again.state.answered == 5
    assert again.state.failures == {"refused": 1}
    assert house.told(Planned)[1] == Planned(jobs=6, done=5, changed=0, retried=0, todo=0)
    assert again.state.latency_p50_s is None


@in_virtual_time
async def test_an_empty_file_is_zero_jobs_and_fine(house):
    house.write("", "  ")
    summary = await house.run()
    assert (summary.exit_code, summary.state.jobs, summary.state.state) == (0, 0, "finished")


@in_virtual_time
async def test_limit_ends_with_0_and_the_next_run_goes_on(house):
    house.plain(10)
    first = await house.run(limit=4)
    assert (first.exit_code, first.state.answered, first.state.left) == (0, 4, 6)
    assert (first.state.state, first.state.reason) == ("stopped", "--limit 4")
    second = await house.run(limit=4)
    assert (second.state.done_before, second.state.answered, second.state.left) == (4, 8, 2)
    last = await house.run()
    assert (last.exit_code, last.state.state, last.state.reason) == (0, "finished", "")
    assert sorted(house.ids()) == sorted(f"job-{n}" for n in range(10))


@in_virtual_time
async def test_a_limit_that_reaches_every_job_leaves_nothing_to_be_stopped_for(house):
    house.plain(3)
    summary = await house.run(limit=3)
    assert (summary.exit_code, summary.state.state, summary.state.reason) == (0, "finished", "")


@in_virtual_time
async def test_a_finished_run_with_a_limit_ends_the_same_again(house):
    house.write(job(1), job("never", failures=["refused"] * 9))
    for _ in range(2):
        summary = await house.run(limit=5)
        assert (summary.exit_code, summary.state.state) == (1, "finished")


@in_virtual_time
async def test_a_bad_line_stops_the_run_before_anything_is_written(house):
    house.write(job(1), '{"id": "a", "promt": "x"}', job(2))
    with pytest.raises(UsageError, match=r"night\.jsonl:2: .*did you mean `prompt`"):
        await house.run()
    assert house.files() == ["night.jsonl"]


@in_virtual_time
async def test_bad_lines_that_are_skipped_become_failed_lines_once(house):
    house.write(job(1), '{"id": "a", "promt": "x"}', job(2), "not json")
    for _ in range(2):
        summary = await house.run(skip_bad_lines=True)
        assert summary.exit_code == 1
        assert (summary.state.jobs, summary.state.answered, summary.state.failed) == (4, 2, 2)
        assert summary.state.failures == {"bad_job": 2}
        assert house.ids("failed") == ["line-2", "line-4"]
    assert sorted(house.ids()) == ["job-1", "job-2"]


@in_virtual_time
async def test_fresh_does_everything_again_and_sets_the_old_answers_aside(house):
    house.plain(4)
    await house.run()
    summary = await house.run(fresh=True)
    assert (summary.state.done_before, summary.state.answered) == (0, 4)
    assert sorted(house.ids()) == sorted(house.ids("superseded"))
    assert {line["run_id"] for line in house.lines()} == {summary.state.run_id}


@in_virtual_time
async def test_an_edited_job_runs_again_and_only_that(house):
    house.plain(3)
    await house.run()
    house.write(job(0), {"id": "job-1", "prompt": "another"}, job(2))
    summary = await house.run()
    assert house.told(Planned)[1] == Planned(jobs=3, done=2, changed=1, retried=0, todo=1)
    assert (summary.state.done_before, summary.state.answered) == (2, 3)
    assert house.ids("superseded") == ["job-1"]
    assert sorted(house.ids()) == ["job-0", "job-1", "job-2"]


@in_virtual_time
async def test_answers_whose_job_left_the_source_are_told_as_orphans(house):
    house.plain(5)
    await house.run()
    house.plain(3)
    summary = await house.run()
    assert (summary.orphans, summary.exit_code) == (2, 0)
    assert (summary.state.jobs, summary.state.answered) == (3, 3)
    assert len(house.ids()) == 5


@in_virtual_time
async def test_a_source_that_grows_during_the_run_is_told(house):
    house.plain(20, delay=1.0)
    run = asyncio.create_task(house.run())
    await asyncio.sleep(2)
    with house.source.open("a") as file:
        file.write(json.dumps(job("new")) + "\n")
    summary = await run
    assert summary.changed_sources == (str(house.source),)
    assert (summary.state.jobs, summary.state.answered) == (20, 20)
    again = await house.run()
    assert (again.state.jobs, again.state.answered, again.changed_sources) == (21, 21, ())


@in_virtual_time
async def test_two_sources_share_one_named_output(house):
    house.plain(3)
    other = house.folder / "more.jsonl"
    other.write_text(json.dumps({"id": "more", "prompt": "more"}) + "\n")
    both = (str(house.source), str(other))
    with pytest.raises(UsageError, match="give -o FILE"):
        await house.run(sources=both)
    output = house.folder / "both.results.jsonl"
    summary = await house.run(sources=both, output=str(output))
    assert (summary.state.jobs, summary.state.answered) == (4, 4)
    assert len(output.read_bytes().splitlines()) == 4
    assert not (house.folder / "night.results.jsonl").exists()


# The lock


@in_virtual_time
async def test_the_lock_stays_behind_only_where_a_run_began(house):
    house.write('{"promt": 1}')
    with pytest.raises(UsageError):
        await house.run()
    assert "night.lock" not in house.files()
    house.plain(1)
    await house.run()
    assert house.files() == ["night.jsonl", "night.lock", "night.results.jsonl", "night.run.json"]


@in_virtual_time
async def test_a_run_that_finds_the_lock_taken_ends_with_75_or_is_skipped(house):
    house.plain(3)
    other = Lock(house.folder / "night.lock")
    other.acquire({"pid": 77, "host": "there", "started_at": "yesterday"})
    before = house.files()
    with pytest.raises(Locked, match="pid 77 on there, since yesterday") as caught:
        await house.run()
    assert caught.value.exit_code == 75
    skipped = await house.run(if_locked="skip")
    assert skipped.skipped
    assert skipped.exit_code == 0
    assert house.files() == before
    other.release()


@in_virtual_time
async def test_a_run_may_wait_for_the_lock(house):
    house.plain(3)
    other = Lock(house.folder / "night.lock")
    other.acquire({"pid": 77})
    run = asyncio.create_task(house.run(if_locked="wait"))
    await asyncio.sleep(0.6)
    assert house.ids() == []
    assert len(house.told(Waiting)) == 1
    other.release()
    assert (await run).exit_code == 0
    assert len(house.ids()) == 3


@in_virtual_time
async def test_who_waits_for_the_lock_can_be_cancelled(house):
    house.plain(3)
    other = Lock(house.folder / "night.lock")
    other.acquire({"pid": 77})
    run = asyncio.create_task(house.run(if_locked="wait"))
    await asyncio.sleep(0.1)
    assert not house.session.interrupt("interrupted by SIGINT", 130)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    other.release()


# Interruptions


@in_virtual_time
async def test_an_interrupted_run_ends_with_its_code_and_the_next_one_goes_on(house):
    house.plain(100, delay=2.0)
    run = asyncio.create_task(house.run(concurrency=4))
    await asyncio.sleep(15)
    assert house.session.interrupt("interrupted by SIGTERM", 143)
    first = await run
    assert (first.exit_code, first.state.state) == (143, "stopped")
    assert first.state.reason == "interrupted by SIGTERM"
    assert first.state.answered == len(house.ids()) > 10
    [stopping] = house.told(Stopping)
    assert stopping.in_flight == 4
    second = await house.run(concurrency=50)
    assert (second.exit_code, second.state.done_before) == (0, first.state.answered)
    assert len(set(house.ids())) == len(house.ids()) == 100


@in_virtual_time
async def test_an_abandoned_run_drops_what_is_in_flight_and_still_sums_up(house):
    house.plain(100, delay=100.0)
    run = asyncio.create_task(house.run(concurrency=4))
    await asyncio.sleep(150)
    house.session.interrupt("interrupted by SIGINT", 130)
    await turns()
    house.session.abandon()
    summary = await run
    assert now() < 151
    assert summary.exit_code == house.state()["exit_code"] == 130
    assert house.state()["answered"] == len(house.ids()) == 1


@in_virtual_time
async def test_a_signal_that_comes_when_all_is_done_changes_nothing(house):
    house.plain(4, delay=2.0)
    run = asyncio.create_task(house.run(concurrency=4))
    await asyncio.sleep(5.5)
    house.session.interrupt("interrupted by SIGINT", 130)
    summary = await run
    assert summary.state.left == 0
    assert (summary.exit_code, summary.state.state, summary.state.reason) == (0, "finished", "")


@in_virtual_time
async def test_an_output_that_goes_away_during_the_run_ends_it_with_74(house):
    house.plain(3000, delay=1.0)
    run = asyncio.create_task(house.run(concurrency=4))
    await asyncio.sleep(20)
    (house.folder / "night.results.jsonl").unlink()
    summary = await run
    assert summary.exit_code == 74
    assert summary.state.state == "stopped"
    assert summary.state.left > 2000


@in_virtual_time
async def test_an_output_in_a_folder_that_is_not_there_ends_with_73(house):
    house.plain(1)
    with pytest.raises(OutputError, match="does not exist") as caught:
        await house.run(output=str(house.folder / "none" / "x.results.jsonl"))
    assert caught.value.exit_code == 73
    with pytest.raises(UsageError, match="is a folder"):
        await house.run(output=str(house.folder))


# On a real loop, against a real server


def real(house, **options):
    """A run as the command makes it."""
    given = {"sources": (str(house.source),), "provider": "fake", **options}
    return run_local(Settings(**given), house.events.append, house.states.append)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("sk-wrong\n")
    path.chmod(0o600)
    return str(path)


def test_stdin_is_kept_in_a_file_so_that_the_run_can_go_on(house, monkeypatch):
    house.plain(5)
    output = str(house.folder / "night.results.jsonl")
    with house.source.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        first = real(house, sources=("-",), output=output, limit=2)
    assert first.state.source == "stdin"
    spool = house.folder / "night.jobs"
    assert spool.read_bytes() == house.source.read_bytes()
    with spool.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        second = real(house, sources=("-",), output=output)
    assert (second.state.done_before, second.state.answered) == (2, 5)


def test_results_that_go_to_stdout_leave_no_file(house, capfd):
    house.write(*(job(n) for n in range(3)), job("never", failures=["refused"]))
    before = house.files()
    summary = real(house, output="-")
    out, err = capfd.readouterr()
    assert summary.exit_code == 1
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == [
        "job-0",
        "job-1",
        "job-2",
    ]
    assert json.loads(err)["failure"]["code"] == "refused"
    assert house.files() == before


def test_a_wrong_key_costs_at_most_three_requests_and_fails_no_job(house, key_file):
    house.write(*({"id": f"{n}", "prompt": f"{n}", "model": "m"} for n in range(200)))
    with Server(key="sk-right", latency=0.005) as server:
        summary = real(
            house,
            provider="openai",
            base_urls=(server.url,),
            key_file=key_file,
            concurrency=64,
        )
        assert server.arrived <= 3
    assert summary.exit_code == 4
    assert "the key was refused" in summary.state.reason
    assert (summary.state.answered, summary.state.failed, summary.state.left) == (0, 0, 200)
    assert house.lines("failed") == []
    assert "sk-wrong" not in "".join(path.read_text() for path in house.folder.glob("night*"))


def test_ten_equal_refusals_end_the_run_and_fail_no_job(house):
    house.write(*({"id": f"{n}", "prompt": f"{n}", "model": "m"} for n in range(100)))
    with Server(faults=lambda _: Status(400)) as server:
        summary = real(house, provider="openai", base_urls=(server.url,), concurrency=32)
        assert server.arrived == 10
    assert summary.exit_code == 4
    assert summary.state.reason.startswith("every request is refused the same way: ")
    assert (summary.state.failed, summary.state.left) == (0, 100)


def test_a_short_file_of_refusals_ends_with_failed_lines(house):
    house.write(*({"id": f"{n}", "prompt": f"{n}", "model": "m"} for n in range(3)))
    with Server(faults=lambda _: Status(400)) as server:
        summary = real(house, provider="openai", base_urls=(server.url,))
    assert summary.exit_code == 1
    assert summary.state.failures == {"rejected": 3}
    assert {line["failure"]["http_status"] for line in house.lines("failed")} == {400}


def test_a_wait_of_a_day_ends_the_run_with_the_time_to_come_back(house):
    house.write(*({"id": f"{n}", "prompt": f"{n}", "model": "m"} for n in range(30)))
    script = [None, None, RateLimit(86_400)]
    with Server(script=script, faults=lambda _: RateLimit(86_400)) as server:
        summary = real(house, provider="openai", base_urls=(server.url,))
        assert server.arrived <= 6
    assert summary.exit_code == 3
    assert summary.state.reason.startswith("the provider asks to wait until 2")
    assert summary.state.answered == 2
    assert summary.state.paused_s < 5
    assert house.lines("failed") == []


def test_after_every_run_the_state_file_says_how_it_ended(house):
    house.plain(50)
    for _ in range(5):
        summary = real(house)
        assert house.state()["state"] == "finished"
        assert house.state()["run_id"] == summary.state.run_id
        (house.folder / "night.results.jsonl").unlink()
    assert not [name for name in house.files() if name.endswith(".part")]
