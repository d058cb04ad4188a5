"""1,000 pictures through `dynaspark` to the loopback server: whole, upright, without GPS.

By hand: `python tests/bench/pictures.py [--jobs 1000] [-j 64]`. Every picture has four corners of
its own colours, one of the eight EXIF orientations and a GPS block; what arrives at the server is
decoded and looked at. Prints what was wrong (nothing), times, and the requests of the run again.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from server import Server, expected_answer

SIZE = (240, 160)
UPRIGHT = (
    None,
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
)
"""What turns an upright picture into the stored pixels of each EXIF orientation."""


def corner(number: int, place: int) -> tuple[int, int, int]:
    """The colour of a corner of a picture: coarse steps, so that JPEG cannot blur them."""
    mixed = number * 4 + place
    return (mixed % 8 * 32 + 16, mixed // 8 % 8 * 32 + 16, mixed // 64 % 64 * 4 + 2)


def write_picture(path: Path, number: int) -> None:
    """A JPEG that is upright only once its orientation is obeyed, with a GPS block."""
    picture = Image.new("RGB", SIZE)
    width, height = SIZE[0] // 2, SIZE[1] // 2
    for place in range(4):
        box = (place % 2 * width, place // 2 * height)
        picture.paste(corner(number, place), (*box, box[0] + width, box[1] + height))
    orientation = number % 8 + 1
    if UPRIGHT[orientation] is not None:
        picture = picture.transpose(UPRIGHT[orientation])
    exif = picture.getexif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825).update({1: "N", 2: (0.5, 0.0, 0.0), 3: "E", 4: (0.5, 0.0, 0.0)})
    picture.save(path, exif=exif, quality=95)


def wrong_with(data: bytes, number: int) -> str:
    """What is wrong with a picture that arrived; empty when nothing is."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        if picture.size != SIZE:
            return f"size {picture.size}"
        if dict(picture.getexif()):
            return "metadata left"
        for place in range(4):
            spot = (SIZE[0] // 4 * (1 + place % 2 * 2), SIZE[1] // 4 * (1 + place // 2 * 2))
            seen = picture.getpixel(spot)
            if any(abs(a - b) > 12 for a, b in zip(seen, corner(number, place), strict=True)):
                return f"corner {place}: {seen} for {corner(number, place)}"
    return ""


def main() -> None:
    """Run, look, run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("-j", "--concurrency", default="64")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Server(latency=0.02) as server:
        folder = Path(name)
        with (folder / "jobs.jsonl").open("w") as file:
            for number in range(options.jobs):
                write_picture(folder / f"{number}.jpg", number)
                job = {"id": f"p{number}", "prompt": f"picture {number}", "image": f"{number}.jpg"}
                file.write(json.dumps(job) + "\n")
        command = [sys.executable, "-m", "batch", "run", str(folder / "jobs.jsonl")]
        command += ["--provider", "dynaspark", "--base-url", server.url]
        command += ["-j", options.concurrency, "-q"]
        started = time.perf_counter()
        code = subprocess.run(command, check=False).returncode
        first = time.perf_counter() - started
        requests = list(server.requests)
        started = time.perf_counter()
        again_code = subprocess.run(command, check=False).returncode
        again = time.perf_counter() - started
        more = len(server.requests) - len(requests)
        results = (folder / "jobs.results.jsonl").read_text("utf-8").splitlines()
    answers = {row["id"]: row["output"] for row in map(json.loads, results)}
    faults = []
    for request in requests:
        number = int(request.prompt.split()[1])
        if fault := wrong_with(request.images[0], number):
            faults.append(f"{number}: {fault}")
        if answers.get(f"p{number}") != expected_answer(request.prompt, request.images):
            faults.append(f"{number}: the answer belongs to another prompt or picture")
    print(f"{len(answers)} answers, {len(requests)} requests, peak {server.peak}, exit {code}")
    print(f"wrong: {faults or 'nothing'}")
    print(f"first run {first:.2f} s; again {again:.2f} s with {more} requests, exit {again_code}")


if __name__ == "__main__":
    main()
