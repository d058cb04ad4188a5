"""Images prepared a second, beside plain Pillow: `python tests/bench/prepare.py`, by hand.

Twenty generated 12-megapixel JPEGs are scaled to 1024 pixels on one and on two threads. Each way
runs several rounds in turn with the others, and the best round counts: the machine is never quiet.
Then the lag of the event loop while a `Loader` prepares 32 of them, beside the lag when it is idle.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import uvloop
from PIL import Image
from rehearsal import job

from batch.loader import THREADS, Loader
from batch.media.load import ImageRules
from batch.media.prepare import prepare
from batch.media.request import LoadRules
from batch.suspects import Suspects

SIDE = 1024
IMAGES = 20
ROUNDS = 3
LOADED = 32
TICK = 0.001
"""Seconds that the loop is asked to wake up after; what it takes longer is its lag."""


def photo() -> bytes:
    """A JPEG of 4000 x 3000 pixels and about 4 MB: smooth shapes under grain."""
    shapes = [Image.radial_gradient("L"), Image.linear_gradient("L"), Image.radial_gradient("L")]
    shapes[2] = shapes[2].rotate(90)
    smooth = Image.merge("RGB", shapes).resize((4000, 3000), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((4000, 3000), 20).convert("RGB")
    out = BytesIO()
    Image.blend(smooth, grain, 0.5).save(out, "JPEG", quality=90)
    return out.getvalue()


def plain_pillow(data: bytes) -> None:
    """Open, resize, save: what everybody writes first."""
    with Image.open(BytesIO(data)) as picture:
        picture.resize((SIDE, SIDE * 3 // 4)).save(BytesIO(), "JPEG", quality=90)


def ours(data: bytes) -> None:
    """The same through `prepare`."""
    prepare(data, ImageRules(max_side=SIDE))


def untouched(data: bytes) -> None:
    """An image that fits: checked, and sent as it is."""
    prepare(data, ImageRules())


def rate(work: Callable[[bytes], None], data: bytes, threads: int) -> float:
    """Images a second."""
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(work, [data] * IMAGES))
        return IMAGES / (time.perf_counter() - began)


async def lag_while(work: Callable[[], asyncio.Future[list[object]]]) -> tuple[float, float]:
    """The lag of the loop while something is done: 99th percentile and worst, in milliseconds."""
    lags = []
    doing = work()
    while not doing.done():
        began = time.perf_counter()
        await asyncio.sleep(TICK)
        lags.append(1000 * (time.perf_counter() - began - TICK))
    await doing
    lags.sort()
    return lags[int(len(lags) * 0.99)], lags[-1]


async def lags(data: bytes) -> str:
    """The lines that tell the lag, idle and while images are prepared."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jpg").write_bytes(data)
        loader = Loader(LoadRules(ImageRules(max_side=SIDE)), 256 << 20, Suspects())
        jobs = [job(f"j{n}", images=["a.jpg"], root=folder) for n in range(LOADED)]
        load = [lambda each=each: loader.load(each, "m") for each in jobs]
        idle = await lag_while(lambda: asyncio.gather(asyncio.sleep(2)))
        busy = await lag_while(lambda: asyncio.gather(*(one() for one in load)))
        loader.close()
    told = f"lag of the loop, ms: idle p99 {idle[0]:.1f}, worst {idle[1]:.1f}; "
    return told + f"{LOADED} images on {THREADS} threads p99 {busy[0]:.1f}, worst {busy[1]:.1f}"


def main() -> None:
    """Print the table."""
    data = photo()
    ways = (plain_pillow, ours, untouched)
    best = {(work, threads): 0.0 for work in ways for threads in (1, 2)}
    for _ in range(ROUNDS):
        for (work, threads), so_far in best.items():
            best[work, threads] = max(so_far, rate(work, data, threads))
    lines = [f"{len(data) / 1e6:.1f} MB JPEG, 4000 x 3000 -> {SIDE}; images a second, best round"]
    lines.append(f"{'':14}{'1 thread':>10}{'2 threads':>11}{'x plain':>9}{'x plain':>9}")
    for work in ways:
        one, two = best[work, 1], best[work, 2]
        ratios = one / best[plain_pillow, 1], two / best[plain_pillow, 2]
        lines.append(f"{work.__name__:14}{one:10.1f}{two:11.1f}{ratios[0]:9.1f}{ratios[1]:9.1f}")
    lines.append(uvloop.run(lags(data)))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
