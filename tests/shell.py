"""The command as a user has it: words in, exit code and both outputs back, files in a folder."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from batch.cli import main

OVERNIGHT = Path(sys.executable).with_name("overnight")
RESULT_KEYS = (
    "id status output provider model source finish_reason attempts latency_s input_tokens "
    "output_tokens cost_usd media key started_at finished_at run_id"
).split()


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class Shell:
    """Calls run in this process, `start` and `process` in one of their own."""

    def __init__(self, folder, capfd, monkeypatch):
        self.folder, self.capfd, self.monkeypatch = folder, capfd, monkeypatch
        for name in os.environ:
            if name.startswith("OVERNIGHT_") or name.endswith(("_API_KEY", "_proxy", "_PROXY")):
                monkeypatch.delenv(name)
        for name in ("CREDENTIALS_DIRECTORY", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(name, raising=False)
        (folder / "home").mkdir()
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.chdir(folder)

    def __call__(self, *words):
        self.capfd.readouterr()
        code = main([str(word) for word in words])
        sys.stdout.flush()
        out, err = self.capfd.readouterr()
        return Done(code, out, err)

    def start(self, *words, program=(OVERNIGHT,), **how):
        how.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [*program, *map(str, words)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how},
        )

    def process(self, *words, typed=None, **how):
        if typed is not None:
            how["stdin"] = subprocess.PIPE
        with self.start(*words, **how) as process:
            out, err = process.communicate(typed, timeout=30)
        return Done(process.returncode, out, err)

    def write(self, name, *lines):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        texts = (each if isinstance(each, str) else json.dumps(each) for each in lines)
        path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
        return path

    def jobs(self, count, name="jobs.jsonl"):
        return self.write(name, *({"id": f"j{n}", "prompt": f"prompt {n}"} for n in range(count)))

    def picture(self, name, colour="red"):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (8, 6), colour).save(path, "PNG")
        return path

    def lines(self, name="jobs.results.jsonl"):
        path = self.folder / name
        return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]

    def failures(self, name="jobs.failed.jsonl"):
        """The codes of the failed file, by id."""
        return {line["id"]: line["failure"]["code"] for line in self.lines(name)}

    def outputs(self, name="jobs.results.jsonl"):
        """The answers, by id."""
        return {line["id"]: line["output"] for line in self.lines(name)}

    def files(self):
        """Every file of the folder, less the home of the user, by name."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def until(self, true, seconds=10):
        """Wait for something that another process does."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end
            os.sched_yield()


def openai(server, *more):
    return ("--provider", "openai", "-m", "m", "--base-url", server.url, *more)


def dynaspark(server, *more):
    return ("--provider", "dynaspark", "--base-url", server.url, *more)
