"""A server that takes 20 requests a second and answers 429 beyond: the lane beside fixed workers.

By hand: `python tests/bench/lane.py [--jobs 600] [--capacity 20] [--latency 0.2]`. Real sockets.
The rival is what a script does: so many workers, each of which sleeps for Retry-After when it is
told to. All clients run one after the other against a fresh server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parent.parent))

from server import RateLimit, Server

WARM = 10.0
"""Seconds until which a client may look for the pace."""
WORKERS = (8, 32, 128)


class Counting(Server):
    """Remembers when each request came and whether it was refused."""

    def __post_init__(self):
        super().__post_init__()
        self.came = []

    def choose(self, request):
        fault = super().choose(request)
        self.came.append((time.monotonic(), isinstance(fault, RateLimit)))
        return fault


def overnight(jobs, url, workers):
    """The real command."""
    output = jobs.with_name(f"{time.monotonic_ns()}.results.jsonl")
    command = [
        *(sys.executable, "-m", "batch", "run", str(jobs), "-o", str(output), "--progress", "none"),
        *("--provider", "openai", "-m", "m", "--base-url", url, "-j", str(workers)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    failed = len(jobs.read_text().splitlines()) - len(output.read_text().splitlines())
    return f"exit {done.returncode}, {failed} not answered"


def fixed(jobs, url, workers):
    """So many workers, each of which waits as it is told."""
    lines = iter(jobs.read_text().splitlines())

    async def work(session):
        for line in lines:
            messages = [{"role": "user", "content": json.loads(line)["prompt"]}]
            body = {"model": "m", "messages": messages}
            while True:
                async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
                    await reply.read()
                    if reply.status == 200:
                        break
                    await asyncio.sleep(float(reply.headers.get("Retry-After", 1)))

    async def main():
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work(session))

    asyncio.run(main())
    return "exit 0"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=600)
    parser.add_argument("--capacity", type=float, default=20.0)
    parser.add_argument("--latency", type=float, default=0.2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        jobs = Path(folder) / "jobs.jsonl"
        jobs.write_text(
            "".join(f'{{"id": "{n}", "prompt": "prompt {n}"}}\n' for n in range(given.jobs))
        )
        print(f"{'client':18}{'time':>8}{'of capacity':>13}{'429':>8}{'after 10 s':>12}{'peak':>6}")
        for client in (overnight, fixed):
            for workers in WORKERS:
                with Counting(latency=given.latency, capacity=given.capacity) as server:
                    end = client(jobs, server.url, workers)
                first, last = server.came[0][0], server.came[-1][0]
                late = [refused for at, refused in server.came if at - first >= WARM]
                refused = sum(each for _, each in server.came) / len(server.came)
                rate = given.jobs / (last - first) / given.capacity
                name = f"{client.__name__} -j {workers}"
                print(
                    f"{name:18}{last - first:7.1f}s{rate:13.0%}{refused:8.1%}"
                    f"{sum(late) / max(1, len(late)):12.1%}{server.peak:6}  {end}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
