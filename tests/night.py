"""The real command in a folder of its own, against the scripted server."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from oracle import answer_to, judge

OVERNIGHT = Path(sys.executable).with_name("overnight")
ATTEMPTS = 8  # -j
KEPT = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}


def answer(request):
    return answer_to(request.prompt)


class Run(subprocess.Popen):
    """A process that does not outlive its `with` block."""

    def __exit__(self, *error):
        self.kill()
        return super().__exit__(*error)


class Night:
    """A job file, its output, and runs of it. Every run is a process of its own."""

    def __init__(self, folder, server, jobs=0):
        self.folder, self.server = folder, server
        self.source = folder / "night.jsonl"
        self.results = folder / "night.results.jsonl"
        self.failed = folder / "night.failed.jsonl"
        self.superseded = folder / "night.superseded.jsonl"
        self.torn = folder / "night.torn"
        self.lock = folder / "night.lock"
        self.environment = {}  # of the runs, beside what they need
        self.prompts = {f"job-{n:04}": f"prompt {n} of the night" for n in range(jobs)}
        self.write()

    def write(self, order=None):
        """The job file of the prompts, in the given order of ids."""
        lines = [json.dumps({"id": i, "prompt": self.prompts[i]}) for i in order or self.prompts]
        self.source.write_text("".join(f"{line}\n" for line in lines), "utf-8")

    def command(self, *options):
        given = ["--provider", "dynaspark", "--base-url", self.server.url, "-j", str(ATTEMPTS)]
        return [OVERNIGHT, "run", self.source, *given, "--progress", "none", *options]

    def start(self, *options, under=(), **how):
        """A run under way, `under` a tracer; its messages can be read from `stderr`."""
        return Run(
            [*under, *self.command(*options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"HOME": str(self.folder), **KEPT, **self.environment},
            text=True,
            **how,
        )

    def run(self, *options):
        """A run to its end: exit code, messages, and the number of requests that it made."""
        before = self.server.arrived
        with self.start(*options) as process:
            _, messages = process.communicate(timeout=50)
        return process.returncode, messages, self.server.arrived - before

    def kill_after(self, requests, *options, pause=0.0):
        """A run that is killed with -9 `pause` seconds after so many of its requests have arrived.

        0: while it starts, some time after its first word. Tells whether it died of that.
        """
        goal = self.server.arrived + requests
        with self.start(*options) as process:
            while requests and self.server.arrived < goal and process.poll() is None:
                with contextlib.suppress(TimeoutError):
                    self.server.wait_for(goal, 0.1)
            if not requests:
                process.stderr.readline()
            time.sleep(pause)
            process.kill()
            _, messages = process.communicate()
        assert process.returncode in (-9, 0, 1), messages
        self.server.settle()
        return process.returncode == -9

    def judge(self, **how):
        return judge(self.prompts, self.results, **how)

    def bytes(self):
        """Every file but run.json, which a living run rewrites every two seconds."""
        return {
            path.name: path.read_bytes()
            for path in self.folder.iterdir()
            if path.name != "night.run.json" and not path.name.endswith(".part")
        }

    def again(self, content):
        """Put another results file in place of all that runs have left."""
        for path in self.folder.glob("night.*"):
            if path != self.source:
                path.unlink()
        self.results.write_bytes(content)


def can_mount():
    """Whether a small disk can be mounted in a namespace of our own."""
    if not shutil.which("unshare"):
        return False
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0
