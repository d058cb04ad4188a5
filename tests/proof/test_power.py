"""The power fails at any moment of a run: what was on the disk stays, and the next run goes on."""

import json

import pytest
from oracle import parsed
from power import Disk

PARTS = 5


def forget_superseded(trial):
    """As before the first answer was set aside: the file is new, and so is its name."""
    del trial.before[trial.superseded]
    trial.restore()
    trial.kept = trial.answers()


def is_output(path):
    """Whether a file is one of those whose replacing must not lose a line."""
    return path.endswith(".jsonl")


def answers_in(*contents):
    """The answers in the whole lines of some files, by id and text."""
    rows = [row for data in contents for row in data.split(b"\n")[:-1] if row.startswith(b'{"id"')]
    return {(row["id"], row["output"]) for row in map(json.loads, filter(is_json, rows))}


def is_json(line):
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("part", range(PARTS))
def test_after_any_power_cut_no_answer_that_was_on_the_disk_is_lost(
    trial, chance, many, count, part
):
    if part % 2:
        forget_superseded(trial)
    told = trial.run()
    trial.prove_whole(told)
    images = many(40, 400)
    disk, safe, at = Disk(trial.before), set(trial.kept), 0
    tender = [n for n, call in enumerate(told.log) if call[0] == "rename" and is_output(call[2])]
    stops = [chance.choice(tender if n % 2 else range(len(told.log))) for n in range(images)]
    for stop in sorted(stops):
        while at <= stop:
            disk.play(told.log[at])
            safe |= answers_in(disk.certain(trial.results), disk.certain(trial.superseded))
            at += 1
        trial.restore(disk.after_cut(chance))
        again = trial.run()
        assert safe <= trial.answers(), (stop, told.log[stop][:2], again)
        trial.prove_whole(again)
    count(cases=images)


def test_with_sync_each_what_is_counted_is_on_the_disk(trial, count):
    often = {"batch.recorder.HEARTBEAT": 0.0, "batch.recorder.TICK": 0.002}
    trial.server.latency = 0.1  # so that the state is told many times before the last answer
    told = trial.run(None, "--sync", "each", "--sidecar", "none", constants=often)
    disk, looks = Disk(trial.before), 0
    for call in told.log:
        disk.play(call)
        if call[0] == "rename" and call[2].endswith("photos.run.json"):
            state = json.loads(bytes(disk.names[call[2]].now))
            ids = {name for name, _ in answers_in(disk.certain(trial.results))}
            assert state["answered"] <= len(ids & trial.present())
            looks += 1
    assert looks > 3
    assert parsed(trial.results)[1] == []
    count(cases=looks)
