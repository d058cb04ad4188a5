"""Too few open files, too little memory, a disk that is slow or gone: no job fails for it."""

import errno
import resource

import pytest
from oracle import parsed
from seam import FOREVER
from server import Hold
from trials import BROKEN

STALL = {"batch.loader.STALLED": 0.5, "batch.loader.CROWDED": 0.01}


def files(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("most", [40, 34])
def test_with_few_open_files_fewer_go_out_at_once_and_none_fails(night, most):
    made = night(120, latency=0.005)
    with made.start("-j", "64", preexec_fn=files(most, most)) as process:
        _, words = process.communicate(timeout=50)
    assert process.returncode == 0, words
    fewer = most - 32
    assert f"{fewer} at once instead of 64: this process may have {most} files open" in words
    assert made.server.peak <= fewer
    assert made.judge()


def test_the_soft_limit_is_raised_to_the_hard_one(night):
    made = night(8, faults=lambda request: Hold())
    with made.start(preexec_fn=files(40, 400)) as process:
        made.server.wait_for(1)
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        made.server.faults = None
        made.server.release()
        _, words = process.communicate(timeout=50)
    assert (soft, hard) == (400, 400)
    assert process.returncode == 0, words
    assert "at once instead of" not in words


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE])
def test_a_picture_that_meets_too_many_open_files_is_opened_again_later(trial, error):
    fault = {"kinds": ["open"], "ending": ".png", "error": error, "at": 12, "times": 9}
    told = trial.run(fault, constants=STALL)
    assert told.hit
    trial.prove_whole(told)


def test_pictures_that_can_never_be_opened_end_the_run_and_fail_no_job(trial):
    fault = {"kinds": ["open"], "ending": ".png", "error": errno.EMFILE, "times": FOREVER}
    few = STALL | {"batch.loader.CROWDED_TIMES": 3}
    told = trial.run(fault | {"at": 14}, constants=few)
    assert told.code == 74, told
    assert "ulimit -n" in told.words
    assert failed_codes(trial) <= {"image_invalid"}
    trial.prove_nothing_lost(told)
    trial.prove_whole(trial.run())


def failed_codes(trial):
    rows = parsed(trial.disk / "photos.failed.jsonl")[0]
    return {row["failure"]["code"] for row in rows}


def fresh(trial):
    """The pictures alone, without a past: none is read before its turn."""
    pictures = {path: data for path, data in trial.before.items() if path.suffix == ".png"}
    trial.restore(pictures)


def test_a_job_for_which_there_is_no_memory_fails_alone(trial):
    fresh(trial)
    fault = {"kinds": ["read"], "ending": "/g.png", "error": "memory", "times": FOREVER}
    told = trial.run(fault | {"at": 1})
    assert told.hit
    assert told.code == 1, told
    rows = {row["id"]: row["failure"] for row in parsed(trial.disk / "photos.failed.jsonl")[0]}
    assert rows.keys() == {"g.png", BROKEN}
    assert rows["g.png"]["code"] == "internal"
    assert "MemoryError" in rows["g.png"]["message"]
    assert f"{len(trial.present()) - 2} of {len(trial.present())} jobs answered" in told.words
    trial.prove_answered(trial.run())


def test_with_little_memory_every_answer_still_comes(night):
    made = night(60)
    most = 1 << 30  # address space; the interpreter's threads reserve most of what is used

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    with made.start(preexec_fn=limit) as process:
        _, words = process.communicate(timeout=50)
    assert process.returncode == 0, words
    assert made.judge()


def test_a_picture_whose_disk_does_not_answer_is_given_up_and_the_others_go_on(trial):
    fresh(trial)
    fault = {"kinds": ["read"], "ending": "/g.png", "hangs": True, "times": FOREVER, "at": 1}
    told = trial.run(fault, constants=STALL)
    assert told.hit
    assert told.code == 1, told
    rows = {row["id"]: row["failure"] for row in parsed(trial.disk / "photos.failed.jsonl")[0]}
    assert rows["g.png"]["code"] == "image_unreadable"
    assert rows["g.png"]["retryable"]
    assert "the disk has not answered for 0.5 s" in rows["g.png"]["message"]
    ids = {row["id"] for row in parsed(trial.results)[0]}
    assert trial.present() - ids == {"g.png", BROKEN}
    trial.prove_answered(trial.run())


def test_a_disk_of_pictures_that_is_gone_ends_the_run_and_is_bounded(trial):
    fresh(trial)
    fault = {"kinds": ["read"], "ending": ".png", "hangs": True, "times": FOREVER}
    told = trial.run(fault | {"at": 1}, constants=STALL | {"batch.loader.MOST_STALLED": 2})
    assert told.code == 74, told
    assert "the images cannot be read any further" in told.words
    trial.prove_saved(told)
    trial.prove_answered(trial.run())


def test_a_slow_disk_holds_up_syncs_and_not_answers(night, nursery, memory):
    """Each sync takes 0.2 s: were each answer synced by itself, 200 of them would take 40 s."""
    made = night(200)
    disk = memory / "disk"
    disk.mkdir()
    (disk / "night.jsonl").write_bytes(made.source.read_bytes())
    words = ["run", "night.jsonl", *made.command()[3:]]
    fault = {"kinds": ["fdatasync"], "slow": 0.2, "at": 1, "times": FOREVER}
    told = nursery.run(disk, words, fault)
    assert told.code == 0, told
    assert 1 <= told.counted < 100
    assert len(parsed(disk / "night.results.jsonl")[0]) == 200


def test_connections_that_meet_too_many_open_files_are_made_again_later(night, tmp_path):
    made = night(60, latency=0.005)
    fault = "inject=socket:error=EMFILE:when=3+4"
    trace = ["strace", "-f", "-qq", "-e", "trace=socket", "-e", fault, "-o", tmp_path / "calls"]
    try:
        with made.start(under=trace) as process:
            _, words = process.communicate(timeout=50)
        told = (tmp_path / "calls").read_text()
    except OSError:
        pytest.skip("nothing can be traced here")
    if "INJECTED" not in told:
        pytest.skip("nothing can be traced here")
    assert process.returncode == 0, words
    assert "Too many open files" in words
    assert made.judge()
    assert not made.failed.exists()
