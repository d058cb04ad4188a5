"""`overnight caption` is killed while it writes sidecars, and a person edits some of them."""

import contextlib
import os
import subprocess
import sys
from collections import Counter

from night import KEPT, OVERNIGHT, Run
from PIL import Image
from server import Server, expected_answer

PROMPT = "What is it?"


class Album:
    """A folder of small pictures, runs of `overnight caption` over it, and a person who edits."""

    def __init__(self, folder, server, pictures, existing="skip"):
        self.photos, self.server, self.existing = folder / "photos", server, existing
        self.results = folder / "photos.results.jsonl"
        self.photos.mkdir()
        self.edits, self.first = {}, {}
        for number in range(pictures):
            picture = self.photos / f"p{number}.png"
            Image.new("RGB", (2, 2), (number % 256, number // 256, 7)).save(picture)
        self.pictures = sorted(self.photos.glob("*.png"))
        self.answers = {p: expected_answer(PROMPT, [p.read_bytes()]) for p in self.pictures}
        if existing == "append":
            self.first = {p: f"a note on {p.stem}" for p in self.pictures[::2]}
            for picture, text in self.first.items():
                sidecar_of(picture).write_text(text)

    def start(self, *options):
        """A run under way."""
        words = ["caption", self.photos, "-p", PROMPT, "--provider", "openai", "-m", "m"]
        more = ["--base-url", self.server.url, "--original-bytes", "--existing", self.existing]
        return Run(
            [OVERNIGHT, *words, *more, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"HOME": str(self.photos.parent), **KEPT},
            text=True,
        )

    def run(self, *options):
        """A run to its end: exit code and messages."""
        with self.start(*options) as process:
            _, messages = process.communicate(timeout=100)
        return process.returncode, messages

    def kill_after(self, written):
        """A run that is killed once so many sidecars more are there; whether it died of that."""
        goal = self.written + written
        with self.start() as process:
            while self.written < goal and process.poll() is None:
                os.sched_yield()
            process.kill()
            _, messages = process.communicate()
        assert process.returncode in (-9, 0, 1), messages
        with contextlib.suppress(TimeoutError):
            self.server.settle()
        return process.returncode == -9

    @property
    def written(self):
        """Sidecars under their own names; those that stood there at first say something else."""
        return sum(not name.startswith(".") and name.endswith(".txt") for name in self.names())

    def names(self):
        return [path.name for path in self.photos.iterdir()]

    def edit(self, chance):
        """A person writes a sidecar, or writes one anew."""
        picture = chance.choice(self.pictures)
        self.edits[picture] = f"by hand, {chance.random()}"
        sidecar_of(picture).write_text(self.edits[picture])

    def expected(self, picture):
        """What the sidecar of a picture says at the end."""
        if picture in self.edits:
            return {self.edits[picture]}
        if picture in self.first:
            return {f"{self.first[picture]}. {self.answers[picture]}"}
        return {self.answers[picture]}

    def judge(self, *, finished):
        """What is wrong with the sidecars, by kind."""
        wrong = Counter()
        for picture in self.pictures:
            try:
                text = sidecar_of(picture).read_text("utf-8")
            except FileNotFoundError:
                wrong["missing"] += finished
                continue
            expected = self.expected(picture)
            if not finished and picture in self.first:
                expected |= {self.first[picture]}
            wrong["empty"] += not text
            wrong["edits lost"] += picture in self.edits and text not in expected
            wrong["half or wrong"] += bool(text) and text not in expected
        wrong["left over"] += finished * sum(name.startswith(".") for name in self.names())
        return +wrong


def sidecar_of(picture):
    return picture.with_suffix(".txt")


def one_album(folder, kills, pictures, existing, chance):
    """Kill, look, edit, resume; at the end what was wrong and how often it died."""
    with Server(latency=chance.choice([0.0, 0.002])) as server:
        album = Album(folder, server, pictures, existing)
        died, wrong = 0, Counter()
        for _ in range(kills):
            died += album.kill_after(chance.randrange(1, max(2, pictures // kills)))
            wrong += album.judge(finished=False)
            if existing == "skip":
                album.edit(chance)
        code, messages = album.run()
        if "interrupted_often" in messages:
            code, messages = album.run("--retry-failed", "all")
        wrong += album.judge(finished=True)
        arrived = server.arrived
        assert album.run()[0] == 0
        assert server.arrived == arrived
        wrong["not ended with 0"] += code != 0
        if +wrong:
            sys.stderr.write(f"{folder}: {dict(wrong)}\n{messages}\n")
        return died, +wrong
