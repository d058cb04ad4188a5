"""A real Chromium without a window, driven over the DevTools protocol, for tests of pages."""

import asyncio
import base64
import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

import aiohttp

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab; what it asked for and complained of is kept."""

    def __init__(self):
        self.requests, self.complaints = [], []
        self._numbers = itertools.count(1)
        self._answers, self._loaded = {}, asyncio.Event()

    async def __aenter__(self):
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
            *("--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"),
            f"--user-data-dir={self._profile.name}",
            "about:blank",
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        while b"DevTools listening on " not in (line := await self._process.stderr.readline()):
            assert line, "Chromium did not start"
        port = line.decode().split(":")[2].split("/")[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as reply:
            tab = next(each for each in await reply.json() if each["type"] == "page")
        self._socket = await self._session.ws_connect(
            tab["webSocketDebuggerUrl"], max_msg_size=1 << 28
        )
        self._reader = asyncio.create_task(self._read())
        self._drain = asyncio.create_task(self._process.stderr.read())
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        return self

    async def __aexit__(self, *_error):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.send("Browser.close"), 5)
        for task in (self._reader, self._drain):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._socket.close()
        await self._session.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._profile.cleanup()

    async def send(self, method, **params):
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await asyncio.wait_for(self._answers[number], 30)

    async def _read(self):
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told.get("result", told))
            else:
                self._heard(told["method"], told["params"])

    def _heard(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Page.loadEventFired":
            self._loaded.set()

    async def open(self, path):
        self._loaded.clear()
        await self.send("Page.navigate", url=Path(path).as_uri())
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def screen(self, width, height, *, dark=False, media=""):
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    async def value(self, script):
        answer = await self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def key(self, key):
        facts = {"key": key, **({"text": key} if len(key) == 1 else {})}
        await self.send("Input.dispatchKeyEvent", type="keyDown", **facts)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def type(self, text):
        await self.send("Input.insertText", text=text)

    async def picture(self):
        told = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(told["data"])
