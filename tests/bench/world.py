"""A folder of 500 pictures as they are in the world: every format and defect, through the server.

By hand: `python tests/bench/world.py [--pictures 500] [-j 32]`. Each good picture must have its
caption beside it, each bad one a failed line with its reason; time and peak memory are printed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from pictures import encoded, exif, photo, stored
from server import Server

GOOD = {
    "jpeg": lambda p, n: ("jpg", encoded(p, "JPEG", quality=88)),
    "rotated": lambda p, n: (
        "JPG",
        encoded(stored(p, n % 8 + 1), "JPEG", exif=exif(n % 8 + 1).tobytes()),
    ),
    "progressive": lambda p, n: ("jpeg", encoded(p, "JPEG", progressive=True)),
    "cmyk": lambda p, n: ("jpg", encoded(p.convert("CMYK"), "JPEG")),
    "grey": lambda p, n: ("jpg", encoded(p.convert("L"), "JPEG")),
    "png": lambda p, n: ("png", encoded(p, "PNG")),
    "palette": lambda p, n: ("png", encoded(p.convert("P"), "PNG")),
    "alpha": lambda p, n: ("png", encoded(p.convert("RGBA"), "PNG")),
    "16 bit": lambda p, n: ("png", encoded(p.convert("I;16"), "PNG")),
    "webp": lambda p, n: ("webp", encoded(p, "WEBP")),
    "gif": lambda p, n: ("gif", encoded(p.convert("P"), "GIF")),
    "bmp": lambda p, n: ("bmp", encoded(p, "BMP")),
    "tiff": lambda p, n: ("tif", encoded(p, "TIFF", compression="tiff_lzw")),
    "avif": lambda p, n: ("avif", encoded(p, "AVIF")),
    "heic": lambda p, n: ("heic", encoded(p, "HEIF")),
    "png called jpg": lambda p, n: ("jpg", encoded(p, "PNG")),
}
BAD = {
    "cut short": ("jpg", lambda p: encoded(p, "JPEG")[:2000]),
    "empty": ("png", lambda p: b""),
    "a web page": ("jpg", lambda p: b"<html><body>404</body></html>"),
    "noise": ("png", lambda p: random.Random(1).randbytes(4000)),
    "a bomb": ("png", lambda p: encoded(Image.new("1", (20_000, 20_000)), "PNG")),
}


def fill(folder, count):
    """Pictures of every kind; their ids by whether they are good."""
    kinds = [*GOOD.items(), *((name, None) for name in BAD)]
    good, bad = set(), {}
    for number in range(count):
        name, make = kinds[number % len(kinds)]
        picture = photo(400 + 7 * (number % 90))
        place = folder / f"set {number % 7}" / f"{number:03d} {name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        ending, data = make(picture, number) if make else (BAD[name][0], BAD[name][1](picture))
        path = place.with_name(f"{place.name}.{ending}")
        path.write_bytes(data)
        if make:
            good.add(str(path.relative_to(folder)))
        else:
            bad[str(path.relative_to(folder))] = name
    return good, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("-j", type=int, default=32)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, Server(latency=0.2, keep=False) as server:
        folder = Path(place) / "photos"
        # In a process of its own: the memory of this one would count as the command's.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            good, bad = other.submit(fill, folder, given.pictures).result()
        command = [
            *(sys.executable, "-m", "batch", "caption", str(folder), "--provider", "openai"),
            *("-m", "m", "--base-url", server.url, "-j", str(given.j), "--progress", "none"),
        ]
        started = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        told = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.stderr.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        results = Path(place) / "photos.results.jsonl"
        failed = Path(place) / "photos.failed.jsonl"
        answered = {json.loads(line)["id"] for line in results.read_text().splitlines()}
        failures = {x["id"]: x["failure"] for x in map(json.loads, failed.open())}
        beside = {
            name for name in answered if (folder / name).with_suffix(".txt").read_text().strip()
        }
        print(told)
        print(f"good pictures without an answer: {sorted(good - answered)}")
        print(f"bad pictures without a failed line: {sorted(bad.keys() - failures.keys())}")
        reasons = Counter((bad.get(name, "?"), each["code"]) for name, each in failures.items())
        print(f"reasons: {dict(reasons)}")
        print(
            f"{len(good)} good, {len(bad)} bad: exit {process.returncode}, {len(beside)} sidecars, "
            f"{seconds:.1f} s, {usage.ru_maxrss / 1024:.0f} MB at the most, peak {server.peak}"
        )


if __name__ == "__main__":
    main()
