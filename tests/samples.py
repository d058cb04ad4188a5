"""Results, failures and whole outputs for the tests of what stands on disk."""

import hashlib
import resource
import signal
from contextlib import contextmanager

from batch.models import Failed, Failure, Result
from batch.results.index import Index
from batch.results.paths import Paths
from batch.results.records import encode_line
from batch.results.repair import repair_tails, set_aside

WHEN = "2026-01-02T03:04:05.678Z"


def key_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def result(name, output="an answer", key="", **changed):
    given = {
        "id": name,
        "status": "ok",
        "output": output,
        "provider": "fake",
        "model": "fake-1",
        "source": "model",
        "finish_reason": "stop",
        "attempts": 1,
        "latency_s": 0.25,
        "input_tokens": None,
        "output_tokens": 7,
        "cost_usd": None,
        "media": (),
        "key": key or key_of(name),
        "started_at": WHEN,
        "finished_at": WHEN,
        "run_id": "20260102T030405Z-00000000",
    }
    return Result(**(given | changed))


def line(name, output="an answer", **changed):
    return encode_line(result(name, output, **changed))


def failed(name, code="rejected", key="", message="no"):
    failure = Failure(code, message, 400, 1, code == "timeout", key or key_of(name), "run", WHEN)
    return Failed(name, {"id": name, "prompt": f"prompt of {name}"}, failure)


def failed_line(name, code="rejected", **changed):
    return encode_line(failed(name, code, **changed).line())


def output(folder, *lines):
    """The paths of an output in `folder`, its results file made of `lines` when some are given."""
    paths = Paths.beside(folder / "night.results.jsonl")
    if lines:
        paths.results.write_bytes(b"".join(lines))
    return paths


def mend(paths, changed=()):
    """What a run does with the results file before it appends; `changed` are ids."""
    index = Index.scan(paths.results)
    offsets = [index.offset(name) for name in changed if index.key_bits(name) is not None]
    if repair_tails(paths):
        index = Index.scan(paths.results)
    set_aside(paths, index, offsets)


@contextmanager
def small_files(most):
    """No file of this process may grow beyond `most` bytes, as `ulimit -f` and a full disk have it.

    Only for the middle of a test: what pytest prints may go to a file too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
