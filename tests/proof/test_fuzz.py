"""The seeds of the fuzzer, what it found earlier, and what would take long; see `make fuzz`."""

import contextlib
import struct
import sys
import time
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

FUZZ = Path(__file__).parent.parent / "fuzz"
sys.path.insert(0, str(FUZZ))

from targets import TARGETS

from batch.errors import Rejected
from batch.keys import job_key
from batch.media.load import ImageRules
from batch.media.prepare import prepare
from batch.sources.decode import BadLine
from batch.sources.parse import LineParser

MIB = 1 << 20
SECONDS_A_MIB = 3.0
"""CPU time; what is meant is one, and what grows with the square takes a hundred."""


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_and_everything_found_earlier_keeps_its_promise(name, count):
    seeds = sorted((FUZZ / "corpus" / name).iterdir())
    assert seeds
    for seed in seeds:
        TARGETS[name](seed.read_bytes())
    count(cases=len(seeds))


def many_keys(last):
    """An object of as many keys as fit, and `last`."""
    keys = b",".join(b'"%d":1' % n for n in range(MIB // 12))
    return b'{"prompt":"x","meta":{%b,%b}}' % (keys, last)


def repeated(piece, head=b"", tail=b""):
    return head + piece * (MIB // len(piece)) + tail


LONG_LINES = {
    "many keys": many_keys(b'"a":1'),
    "the last key again": many_keys(b'"%d":1' % (MIB // 12 - 1)),
    "one key again and again": repeated(b'"a":1,', b'{"prompt":"x","meta":{', b'"a":2}}'),
    "a long unknown name": repeated(b"promt", b'{"prompt":"x","', b'":1}'),
    "many values": many_keys(b'"b":1').replace(b'"x","meta"', b'"{{z}}","vars"'),
    "many images": repeated(b'"a",', b'{"prompt":"x","images":[', b'"a"]}'),
    "deep": repeated(b"[", b'{"prompt":"x","meta":'),
    "colons with blanks": repeated(b'{"a" :1},', b'{"prompt":"x","meta":{"a":[', b"1]}}"),
    "a long number": repeated(b"9", b'{"prompt":"x","params":{"n":', b"}}"),
    "placeholders": repeated(b"{{a ", b'{"vars":{},"prompt":"', b'"}'),
    "half pairs": repeated(b"\\ud800", b'{"prompt":"', b'"}'),
    "a long path": repeated(b"a/.//", b'{"prompt":"x","image":"', b'"}'),
    "a long id": repeated(b"a", b'{"prompt":"x","id":"', b'"}'),
    "no UTF-8 at the end": repeated(b"a", b'{"prompt":"', b'\xff"}'),
}


@pytest.mark.parametrize("line", LONG_LINES)
def test_no_job_line_takes_long_and_what_is_said_of_it_is_short(line):
    start = time.process_time()
    try:
        job = LineParser("/", {}, {}).parse(LONG_LINES[line])
        job_key(job, "p", "m", ["x"] * len(job.images))
    except BadLine as error:
        told = str(error)
        assert len(told) < 1_000
    assert time.process_time() - start < SECONDS_A_MIB


def jpeg(**options):
    out = BytesIO()
    Image.new("L", (2_000, 2_000)).save(out, "JPEG", **options)
    return out.getvalue()


def scans(count, junk=b""):
    """A picture whose last scan is walked again and again; `junk` leads the walk astray."""
    data = jpeg(progressive=True)
    first, last = data.find(b"\xff\xda"), data.rfind(b"\xff\xda")
    return data[:first] + junk + data[first:-2] + data[last:-2] * count + data[-2:]


def png(*chunks):
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
    rest = ((b"IDAT", zlib.compress(b"\0" * 72)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in (head, *chunks, *rest))


GIF_HEAD = b"GIF89a" + struct.pack("<HH", 9_000, 9_000) + b"\x80\0\0" + bytes(6)
GIF_FRAME = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\2\2\x44\1\0"
PICTURES = {
    "comments": repeated(b"\xff\xfe\0\2", jpeg()[:2], jpeg()[2:]),
    "fill bytes": repeated(b"\xff", jpeg()[:2], jpeg()[2:]),
    "profiles": repeated(b"\xff\xe2\0\x10ICC_PROFILE\0\1\1", jpeg()[:2], jpeg()[2:]),
    "scans": scans(MIB // 100),
    "scans behind junk": scans(MIB // 100, b"\0\0"),
    "texts": png(*[(b"tEXt", b"a\0b")] * (MIB // 15)),
    "empty data": png(*[(b"IDAT", b"")] * (MIB // 12)),
    "a profile of nothing": png((b"iCCP", b"a\0\0" + zlib.compress(bytes(60 * MIB)))),
    "frames": repeated(GIF_FRAME, GIF_HEAD, b";"),
    "extensions": repeated(b"!\xfe\0", GIF_HEAD, GIF_FRAME + b";"),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_no_picture_of_a_mebibyte_takes_long(picture):
    data = PICTURES[picture]
    start = time.process_time()
    with contextlib.suppress(Rejected):
        prepare(data, ImageRules(max_side=100))
    assert time.process_time() - start < max(1, len(data) / MIB) * SECONDS_A_MIB
