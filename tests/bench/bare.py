"""The floor: a bare aiohttp + uvloop loop that posts the same bodies and drops the answers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import uvloop
from yarl import URL


async def post_all(lines: Iterator[bytes], url: str, concurrency: int) -> None:
    """POST a chat completion for each line of a job file."""
    target = URL(f"{url}/v1/chat/completions")
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
    ) as session:

        async def worker() -> None:
            for line in lines:
                messages = [{"role": "user", "content": json.loads(line)["prompt"]}]
                body = json.dumps({"model": "m", "messages": messages}).encode()
                async with session.post(target, data=body, allow_redirects=False) as response:
                    await response.read()

        await asyncio.gather(*(worker() for _ in range(concurrency)))


if __name__ == "__main__":
    job_file, address, limit = sys.argv[1:4]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(post_all(iter(Path(job_file).read_bytes().splitlines()), address, int(limit)))
