"""What is fuzzed: each target takes any bytes and raises when a promise does not hold for them.

Nothing here needs the fuzzer: `tests/proof/test_fuzz.py` plays the seeds and all earlier findings.
"""

import json
import math
import tempfile
from pathlib import Path

from batch.errors import BatchError, Rejected
from batch.keys import job_key
from batch.media.containers import WALKS, Broken, Odd, walk
from batch.media.load import ImageRules
from batch.media.prepare import prepare
from batch.models import Failed, Failure, Text, image_type
from batch.providers.classify import classify
from batch.providers.redact import redacted, secret_forms
from batch.providers.retry_after import LONGEST, retry_after
from batch.results.index import FailedIndex, Index
from batch.results.paths import Paths
from batch.results.records import encode_line
from batch.results.repair import repair_tails, set_aside
from batch.sources.decode import BadLine
from batch.sources.parse import LineParser, PassedOver

SMALL = ImageRules(max_pixels=250_000)
SCRATCH = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
SETTINGS = ({}, {"prompt": "Describe {{name}}.", "system": "{{tone}}"})


def fuzz_job(data):
    """A line is a job or `BadLine`; the failed line of a job is the same job."""
    for flags in SETTINGS:
        parser = LineParser("/root", flags, {})
        try:
            parser.take_defaults(data)
            job = parser.parse(data)
        except (BadLine, PassedOver) as error:
            told = str(error)
            assert len(told) < 2_000
            continue
        again = LineParser("/root", {}, {}).parse(failed_line(job))
        assert (again.id, key_of(again)) == (job.id, key_of(job))
        for message in job.messages:
            parts = [message.content] if isinstance(message.content, str) else message.content
            assert sum(len(p.text) for p in parts if isinstance(p, Text)) < 1 << 24


def failed_line(job):
    """What the failed file says of a job."""
    failure = Failure("timeout", "late", None, 1, True, key_of(job), "run", "now")
    return encode_line(Failed(job.id, job.fields, failure).line())


def key_of(job):
    return job_key(job, "provider", job.model, ["digest"] * len(job.images))


def fuzz_results(data):
    """Whatever files a run finds, what it leaves is whole lines, and not a byte is gone."""
    results, _, failed = data.partition(b"\0\0--\0\0")
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        paths = Paths.beside(Path(folder, "night.results.jsonl"))
        paths.results.write_bytes(results)
        paths.failed.write_bytes(failed)
        try:
            Index.scan(paths.results)
        except BatchError:
            return  # somebody's other file, which nothing touches
        repair_tails(paths)
        index = Index.scan(paths.results)
        set_aside(paths, index, ())
        FailedIndex.scan(paths.failed)
        after = Index.scan(paths.results)
        assert not after.damaged
        assert not after.doubled
        assert len(after) == len(index)
        ids = [json.loads(line)["id"] for line in lines_of(paths.results)]
        assert len(set(ids)) == len(ids) == len(after)
        assert kept([paths.results, paths.superseded, paths.torn]) >= {*results.split(b"\n"), b""}


def lines_of(path):
    whole = path.read_bytes()
    assert not whole or whole.endswith(b"\n")
    return whole.split(b"\n")[:-1]


def kept(paths):
    """Every line that stands in one of some files."""
    return {b""}.union(*(path.read_bytes().split(b"\n") for path in paths if path.exists()))


def fuzz_image(data):
    """Bytes are an image of a type that goes out, or `Rejected`; cleaned once they are clean."""
    kind = image_type(data)
    if kind in WALKS:
        try:
            clean = walk(data, kind).clean
        except (Broken, Odd):
            pass
        else:
            assert walk(clean, kind).clean is clean
    try:
        image = prepare(data, SMALL)
    except Rejected as error:
        told = str(error)
        assert told.isprintable()
        assert len(told) < 1_000
        return
    assert image_type(image.data) == image.media_type


def fuzz_reply(data):
    """Whatever a server says is one of our errors, its wait has a bound, and no key is left."""
    key, _, rest = data.partition(b"\n")
    head, _, body = rest.partition(b"\n\n")
    names = ("retry-after", "date", "retry-after-ms", "x-ratelimit-reset", "location")
    told = [line.decode("latin-1") for line in head.split(b"\n")]
    headers = dict(zip(names, told, strict=False)) | {"x-ratelimit-remaining": "0"}
    wait = retry_after(headers, body)
    assert wait is None or (math.isfinite(wait) and 0 < wait <= LONGEST)
    for status in (200, 302, 400, 403, 429, 503):
        error = classify(status, headers, body)
        assert isinstance(error, BatchError)
        check_redacted(str(error), key.decode("latin-1"))


def check_redacted(text, key):
    if len(key) > 7 and key.isascii() and key.isprintable() and key not in "[key]":
        forms = secret_forms(key)
        told = redacted(text + key + text, forms)
        assert not any(form in told for form in forms)


TARGETS = {
    "job": fuzz_job,
    "results": fuzz_results,
    "image": fuzz_image,
    "reply": fuzz_reply,
}
