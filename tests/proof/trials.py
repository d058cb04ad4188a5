"""A folder of pictures with a past, and what must be true of it whatever its disk does to a run.

Its past: answers, a failed job, an edited picture, one that was edited back, a renamed one, a
missing sidecar, new pictures, a torn last line. A run over it makes every kind of call there is.
"""

import hashlib
import io
import json
import re
import shutil

from oracle import answer_to, judge, parsed
from PIL import Image

PROMPT = "What is it?"
BROKEN = "broken.png"
ORPHAN = "c.png"


def painted(colour):
    held = io.BytesIO()
    Image.new("RGB", (3, 3), (colour, 7, 9)).save(held, "PNG")
    return held.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def tell(request):
    """The server's answer, which belongs to the bytes of the picture alone."""
    return answer_to(digest(request.images[0]))


class Trial:
    """The folder, runs over it, and its state before they began."""

    def __init__(self, folder, server, nursery):
        self.disk, self.server, self.nursery = folder / "disk", server, nursery
        self.home = folder / "home"
        self.photos = self.disk / "photos"
        self.results = self.disk / "photos.results.jsonl"
        self.superseded = self.disk / "photos.superseded.jsonl"
        self.photos.mkdir(parents=True)
        self.given = {}
        self.live()
        self.before = self.files()
        self.kept = self.answers()
        self.server.requests.clear()

    def live(self):
        """The past."""
        for at, name in enumerate("abcde"):
            self.paint(f"{name}.png", 10 * at)
        self.paint(BROKEN, None)
        assert self.run().code == 1
        self.paint("d.png", 200)
        assert self.run().code == 1
        self.paint("d.png", 30)
        self.paint("b.png", 210)
        for at, name in enumerate("fgh"):
            self.paint(f"{name}.png", 100 + 10 * at)
        (self.photos / ORPHAN).rename(self.photos / "c2.png")
        self.given["c2.png"] = self.given[ORPHAN]
        (self.photos / "a.txt").unlink()
        e = json.dumps({"id": "e.png", "status": "ok", "output": "half a rec"})[:-2]
        rows = [row for row in self.results.read_bytes().splitlines(True) if b'"e.png"' not in row]
        self.results.write_bytes(b"".join(rows) + e.encode())
        (self.photos / "e.txt").unlink()

    def paint(self, name, colour):
        data = b"no picture" if colour is None else painted(colour)
        (self.photos / name).write_bytes(data)
        self.given[name] = digest(data)

    def words(self, *more):
        server = ["--provider", "dynaspark", "--base-url", self.server.url, "-j", "3"]
        return ["caption", "photos", "-p", PROMPT, "--retry-failed", "all", *server, *more]

    def run(self, fault=None, *more, constants=None):
        return self.nursery.run(self.disk, self.words(*more), fault, constants=constants)

    def files(self):
        return {path: path.read_bytes() for path in self.disk.rglob("*") if path.is_file()}

    def restore(self, files=None):
        """Put the disk back to a state; the one before the runs when none is given."""
        shutil.rmtree(self.disk)
        shutil.rmtree(self.home, ignore_errors=True)
        self.photos.mkdir(parents=True)
        for path, content in (self.before if files is None else files).items():
            path.write_bytes(content)
        self.server.requests.clear()

    def answers(self):
        """The answers that can be loaded, by id and text."""
        rows = parsed(self.results)[0] + parsed(self.superseded)[0]
        return {(row["id"], row["output"]) for row in rows}

    def bytes_anywhere(self):
        """Everything that stands on any disk."""
        places = [*self.disk.rglob("*"), *self.home.rglob("overnight-*")]
        return b"\n".join(path.read_bytes() for path in places if path.is_file())

    def prove_nothing_lost(self, told):
        """I1, I2, I4 of a run that met trouble; every answer it was given is on a disk."""
        verdict = judge(self.given, self.results, finished=False, answer=answer_to)
        assert not verdict.shapeless, told
        rows = [row["id"] for row in parsed(self.results)[0]]
        assert len(rows) == len(set(rows)), told
        now = {(row["id"], row["output"]) for row in parsed(self.results)[0]}
        right = {(name, answer_to(self.given.get(name, ""))) for name, _ in now}
        assert now <= self.kept | right, told
        assert set(verdict.strange) <= {ORPHAN, "e.png"}, told
        assert len(verdict.unparsable) <= 1, told
        assert self.kept <= self.answers(), told
        counted = re.search(r"^([\d,]+) of \d+ jobs? answered", told.words, re.MULTILINE)
        if counted:
            ids = {row["id"] for row in parsed(self.results)[0]}
            assert int(counted[1]) <= len(ids & self.present()), told
        self.prove_saved(told)

    def prove_saved(self, told):
        anywhere = self.bytes_anywhere()
        for request in self.server.requests:
            if request.answered:
                assert tell(request).split(" ")[0].encode() in anywhere, told

    def present(self):
        return {path.name for path in self.photos.glob("*.png")}

    def prove_answered(self, told):
        """I1-I4 and I10 of a run that came to its end; the jobs, as the server knows them."""
        assert told.code == 1, told
        jobs = {name: self.given[name] for name in self.present()}
        verdict = judge(jobs, self.results, answer=answer_to)
        assert set(verdict.strange) <= {ORPHAN}, told
        verdict.strange = []
        assert verdict, (verdict, told)
        return jobs

    def prove_whole(self, told):
        """The same, nothing of the past is lost, and the sidecars say what the answers say."""
        jobs = self.prove_answered(told)
        assert self.kept <= self.answers(), told
        for name in jobs.keys() - {BROKEN}:
            said = (self.photos / name).with_suffix(".txt").read_text("utf-8")
            assert said.split(" ")[0] == answer_to(jobs[name]).split(" ")[0], told
        assert sorted(row["id"] for row in parsed(self.disk / "photos.failed.jsonl")[0]) == [BROKEN]
        assert not list(self.photos.glob(".*")), told
