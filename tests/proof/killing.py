"""A night that is killed with -9 again and again, and the account of what that cost."""

import hashlib
import json
from collections import Counter

from night import ATTEMPTS
from oracle import judge, parsed
from server import Status

SIZES = (10, 200_000)
"""Characters of an answer, from and to."""

ENOUGH = 20
"""Requests after which a run is killed, at most."""


def sized_answer(prompt):
    """The answer that belongs to a prompt; most are short, some are very long."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    smallest, largest = SIZES
    size = smallest * (largest / smallest) ** ((int(digest[:4], 16) / 0xFFFF) ** 3)
    return (digest * (int(size) // len(digest) + 1))[: int(size)]


def codes_in(path):
    """The failure codes of a failed file, by id."""
    return {row["id"]: row["failure"]["code"] for row in parsed(path)[0]}


class Killed:
    """Kills one night's runs at random moments, looks at the files after each, runs it to its end.

    `spoil` is called before each run, with this object.
    """

    def __init__(self, made, chance, *options, spoil=None):
        self.made, self.chance, self.options, self.spoil = made, chance, options, spoil
        self.prompts = {name: [prompt] for name, prompt in made.prompts.items()}  # and edited ones
        self.answers = set()  # pairs of id and answer that were seen in the results
        self.kills = self.torn = self.most = self.extra = self.suspended = 0

    def saved(self):
        """Pairs of id and answer that the files hold."""
        rows = parsed(self.made.results)[0] + parsed(self.made.superseded)[0]
        return {(row["id"], row["output"]) for row in rows}

    def kill(self):
        """One run that is killed, and what it left."""
        if self.spoil:
            self.spoil(self)
        server = self.made.server
        unsaved = server.answers - len(self.saved())
        moment = self.chance.random() * 0.01
        died = self.made.kill_after(self.chance.randrange(ENOUGH), *self.options, pause=moment)
        self.kills += died
        self.torn += bool(parsed(self.made.results)[1])
        self.most = max(self.most, server.answers - len(self.saved()) - unsaved)
        self.look()
        assert self.most <= ATTEMPTS  # I5
        return died

    def look(self):
        """I1, I2, I4 of the files as a kill left them; none that was seen is gone."""
        rows = parsed(self.made.results)[0]
        ids = [row["id"] for row in rows]
        assert len(ids) == len(set(ids))
        assert {row["status"] for row in rows} <= {"ok"}
        for row in rows:
            assert row["output"] in map(sized_answer, self.prompts[row["id"]])
        assert self.answers <= self.saved()
        self.answers |= {(row["id"], row["output"]) for row in rows}

    def edit(self, count):
        """A person edits some jobs that were answered."""
        ids = [row["id"] for row in parsed(self.made.results)[0]]
        for name in self.chance.sample(ids, min(count, len(ids))):
            self.made.prompts[name] += "!"
            self.prompts[name].append(self.made.prompts[name])
            self.extra += 1
        self.made.write()

    def finish(self, code=0):
        """The last runs: every job is settled, nothing is sent again after that."""
        made = self.made
        told = made.run(*self.options)
        if "interrupted_often" in codes_in(made.failed).values():
            self.suspended += Counter(codes_in(made.failed).values())["interrupted_often"]
            told = made.run(*self.options, "--retry-failed", "all")
        if "server_error" in codes_in(made.failed).values():
            told = made.run(*self.options)
        assert told[0] == code, told[1]
        self.look()
        assert judge(made.prompts, made.results, answer=sized_answer)  # I1-I4, I10
        assert made.server.arrived <= len(self.prompts) + self.extra + ATTEMPTS * self.kills
        asked = Counter(request.prompt for request in made.server.requests)
        assert max(asked.values()) <= 1 + self.kills + self.extra  # I6
        assert made.run(*self.options)[::2] == (code, 0)
        state = json.loads((made.folder / "night.run.json").read_bytes())
        failed = len(parsed(made.failed)[0])
        numbers = [state[name] for name in ("exit_code", "failed", "left", "answered")]
        assert numbers == [code, failed, 0, len(self.prompts) - failed]  # I9

    def numbers(self):
        return {
            "cases": self.kills,
            "torn": self.torn,
            "paid_twice": self.made.server.answers - len(self.saved()),
            "most_paid_twice_in_a_kill": self.most,
            "given_up_by_chance": self.suspended,
        }


class Unkind:
    """Refuses some prompts for good, and fails others the first time."""

    def __init__(self):
        self.met = set()

    def __call__(self, request):
        number = int(request.prompt.split()[1])
        if number % 25 == 5:
            return Status(422)
        if number % 20 == 9 and request.prompt not in self.met:
            self.met.add(request.prompt)
            return Status(500)
        return None
