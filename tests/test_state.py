"""run.json: replaced whole, readable by its owner alone."""

import json
import threading

import msgspec

from batch.results.state import LaneState, OldestInFlight, RunState, read_state, write_state

NUMBERS = {int: 3, float: 1.5, str: "x"}


def state(**changed):
    given = {
        "state": "running",
        "exit_code": None,
        "cost_usd": None,
        "latency_p50_s": None,
        "latency_p95_s": 0.5,
        "oldest_in_flight": OldestInFlight("a", 1.0),
        "failures": {"timeout": 2},
        "lane": LaneState(8, None, {"rate limit": 1.5}, [(0.0, 1), (2.5, 8)]),
    }
    for field in msgspec.structs.fields(RunState):
        given.setdefault(field.name, NUMBERS.get(field.type, "x"))
    return RunState(**(given | changed))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "night.run.json"
    write_state(path, state(answered=7))
    assert read_state(path) == state(answered=7)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_keys_are_those_that_were_promised_in_their_order(tmp_path):
    path = tmp_path / "night.run.json"
    write_state(path, state())
    assert (
        list(json.loads(path.read_bytes()))
        == (
            "run_id version source provider model state reason exit_code pid host started_at "
            "updated_at jobs done_before answered failed left retries paused_s input_tokens "
            "output_tokens cost_usd rate_per_s latency_p50_s latency_p95_s in_flight "
            "oldest_in_flight failures lane"
        ).split()
    )


def test_a_reader_finds_a_whole_state_at_every_moment(tmp_path):
    path = tmp_path / "night.run.json"
    write_state(path, state())
    over = threading.Event()

    def write_all_the_time():
        while not over.is_set():
            write_state(path, state())

    writer = threading.Thread(target=write_all_the_time)
    writer.start()
    seen = [read_state(path) for _ in range(2000)]
    over.set()
    writer.join()
    assert None not in seen


def test_a_state_that_cannot_be_read_is_none(tmp_path):
    path = tmp_path / "night.run.json"
    assert read_state(path) is None
    for content in (b"", b"{", b"[]", b"\xff", b'{"run_id":1}'):
        path.write_bytes(content)
        assert read_state(path) is None


def test_a_private_file_is_made_even_where_a_killed_run_left_its_half(tmp_path):
    part = tmp_path / ".night.run.json.part"
    part.write_bytes(b"x" * 10_000)
    write_state(tmp_path / "night.run.json", state())
    assert read_state(tmp_path / "night.run.json") == state()
    assert not part.exists()
