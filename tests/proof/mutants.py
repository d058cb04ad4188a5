"""Breaks the program on purpose, one way at a time, and sees that a test notices.

By hand: `python tests/proof/mutants.py [NAME…]`. Prints a line a mutant; exit code 1 when one
lives. Each works in a copy of the package, so that nothing here is changed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 300
"""Seconds for the tests of one mutant; each test that hangs is ended and has failed."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file, and the tests of which at least one shall fail."""

    name: str
    path: str
    before: str
    after: str
    tests: tuple[str, ...]

    def changed(self):
        """The text of the file with the change in it; the place is there exactly once."""
        text = (ROOT / "batch" / self.path).read_text("utf-8")
        assert text.count(self.before) == 1, f"{self.name}: {text.count(self.before)} places"
        return text.replace(self.before, self.after)


APPEND = "results/append.py"
WRITE = "        written = os.write(self._fd, line)\n"
MUTANTS = (
    Mutant(
        "no kernel lock",
        "results/lock.py",
        "        try:\n            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "        try:\n            return None",
        ("test_lock.py",),
    ),
    Mutant(
        "no repair of a torn tail",
        "session.py",
        "torn = repair_tails(paths)",
        "torn = 0",
        ("test_crash.py -k damage",),
    ),
    Mutant(
        "a torn tail is thrown away",
        "results/repair.py",
        "            append_synced(torn, raw_pieces(path, last))\n",
        "",
        ("test_repair.py",),
    ),
    Mutant(
        "a buffer before the results file",
        APPEND,
        WRITE,
        "        self.held = getattr(self, 'held', b'') + line\n"
        "        if len(self.held) < 8192:\n"
        "            return\n"
        "        line, self.held = self.held, b''\n" + WRITE,
        ("test_append.py",),
    ),
    Mutant(
        "the newline is a write of its own",
        APPEND,
        WRITE,
        "        written = os.write(self._fd, line[:-1]) + os.write(self._fd, line[-1:])\n",
        ("test_append.py",),
    ),
    Mutant(
        "counted before it is written",
        "runner.py",
        "                self._records.append(outcome)\n"
        "                await self._records.settled()\n"
        "                self.tally.count(outcome)\n",
        "                self.tally.count(outcome)\n"
        "                await self._records.settled()\n"
        "                self._records.append(outcome)\n",
        ("test_runner.py", "test_runner_ends.py"),
    ),
    Mutant(
        "a short write is not cut back",
        APPEND,
        "            self._cut_back(written)\n",
        "",
        ("test_append.py",),
    ),
    Mutant(
        "a failed sync is tried again",
        APPEND,
        "            self._unsynced = error\n",
        "",
        ("test_append.py",),
    ),
    Mutant(
        "a rewrite is not counted before it replaces",
        "results/repair.py",
        "    if dropped != len(gone):",
        "    if False:",
        ("test_repair.py",),
    ),
    Mutant(
        "superseded answers are not kept",
        "results/repair.py",
        "        if offsets:\n            append_synced(path, lines_at(paths.results, offsets))\n",
        "        pass\n",
        ("test_repair.py", "test_crash.py -k edited"),
    ),
    Mutant(
        "redirects are followed",
        "providers/client.py",
        "allow_redirects=False",
        "allow_redirects=True",
        ("test_contract.py -k redirect",),
    ),
    Mutant(
        "a reply is read without a cap",
        "providers/client.py",
        "        cap = self._connection.max_response_bytes\n        chunks",
        "        cap = 1 << 40\n        chunks",
        ("test_client.py",),
    ),
    Mutant(
        "an attempt without a bound in time",
        "providers/client.py",
        "        bound = asyncio.timeout(self._connection.timeout)\n",
        "        bound = asyncio.timeout(None)\n",
        ("test_contract.py -k whole_reply_in_time",),
    ),
    Mutant(
        "one retrying object for all jobs",
        "retry.py",
        "    return await retrying(again)\n",
        "    shared = globals().setdefault('shared', retrying)\n    return await shared(again)\n",
        ("test_retry.py",),
    ),
    Mutant(
        "everything is tried again but what should be",
        "retry.py",
        "tenacity.retry_if_exception_type(Retryable)",
        "tenacity.retry_if_not_exception_type(Retryable)",
        ("test_retry.py",),
    ),
    Mutant(
        "an outage spends attempts",
        "retry.py",
        "            spent, since = 0, None\n            return False\n",
        "            spent += 1\n",
        ("test_retry.py", "test_runner_trouble.py"),
    ),
    Mutant(
        "the sidecar before the record",
        "results/attached.py",
        "        self._journal.append(result)\n"
        "        self._waiting.append(answer_of(result))\n"
        "        self._start()\n",
        "        self._waiting.append(answer_of(result))\n"
        "        self._start()\n"
        "        self._journal.append(result)\n",
        ("proof/test_torture.py -k sidecar",),
    ),
    Mutant(
        "exit 0 with failed jobs",
        "session.py",
        "        return 1 if state.failed or state.left else 0\n",
        "        return 0\n",
        ("test_cli_run.py",),
    ),
    Mutant(
        "no reserve for a full disk",
        "results/journal.py",
        "not self._reserve.release()",
        "True",
        ("test_journal.py",),
    ),
    Mutant(
        "the key leaves out the pictures",
        "keys.py",
        '("image", next(images), part.detail)',
        '("image", "", part.detail)',
        ("test_keys.py",),
    ),
    Mutant(
        "a link may lead out of the root",
        "media/confine.py",
        "    if os.path.commonpath((top, real)) != top:",
        "    if False:",
        ("test_media_confine.py",),
    ),
    Mutant(
        "a path may climb out of the root",
        "media/confine.py",
        "        if pattern.search(reference):",
        "        if False:",
        ("test_media_confine.py",),
    ),
    Mutant(
        "the key is not taken out of errors",
        "providers/redact.py",
        '        text = text.replace(secret, "[key]")\n',
        "        pass\n",
        ("test_redact.py", "test_client.py -k key"),
    ),
    Mutant(
        "a key may go in plain text to anybody",
        "credentials.py",
        '    if has_key and parts.scheme == "http" and not is_loopback(host):',
        "    if False:",
        ("test_credentials.py",),
    ),
    Mutant(
        "results that everybody can read",
        "files.py",
        "os.open(path, flags & ~os.O_TRUNC | PLAIN, 0o600)",
        "os.open(path, flags & ~os.O_TRUNC | PLAIN, 0o644)",
        ("test_append.py",),
    ),
    Mutant(
        "a connection is used again whatever came on it",
        "providers/pool.py",
        "(socket.is_quiet and not use.is_new)",
        "not use.is_new",
        ("proof/test_connections.py -k unasked",),
    ),
    Mutant(
        "a request goes out once more after a byte of a reply",
        "providers/pool.py",
        "            and not self.socket.heard\n",
        "",
        ("proof/test_connections.py -k byte_of_a_reply",),
    ),
    Mutant(
        "what a job killed is not remembered",
        "suspects.py",
        "        if self._times(job) < GIVEN_UP:",
        "        if True:",
        ("test_suspects.py", "proof/test_poison.py"),
    ),
    Mutant(
        "too many open files fail a job",
        "media/confine.py",
        "    if error.errno in SHORTAGES:",
        "    if False:",
        ("test_media_confine.py", "proof/test_scarce.py -k picture"),
    ),
    Mutant(
        "a wait that the server asks for is not kept",
        "limits/lane.py",
        '        return self._pause_for(wait, "rate limit")',
        "        return 0.0",
        ("test_lane_pauses.py", "test_runner_trouble.py"),
    ),
)


def noticed(copy, tests):
    """Whether a test fails in a copy of the house; raises `RuntimeError` when none can run."""
    path, *options = tests.split()
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout=15"]
    done = subprocess.run(
        [*words, f"tests/{path}", *options],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{tests} did not run:\n{done.stdout}{done.stderr}")
    return done.returncode == 1


def house(folder):
    """A copy of the house."""
    ignore = shutil.ignore_patterns("__pycache__", ".*", "build", "*.egg-info")
    return Path(shutil.copytree(ROOT, Path(folder) / "copy", ignore=ignore))


def is_dead(mutant, copy):
    """Whether a test notices a mutant; the copy is afterwards what it was."""
    place = copy / "batch" / mutant.path
    sound = place.read_text("utf-8")
    place.write_text(mutant.changed(), "utf-8")
    try:
        return any(noticed(copy, tests) for tests in mutant.tests)
    finally:
        place.write_text(sound, "utf-8")


def main():
    """Try the mutants that are named, or all; print what became of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names or [""]
    chosen = [mutant for mutant in MUTANTS if any(name in mutant.name for name in names)]
    alive = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = house(folder)
        for tests in sorted({tests for mutant in chosen for tests in mutant.tests}):
            if noticed(copy, tests):
                print(f"{tests} fails without any mutant")
                return 2
        for mutant in chosen:
            start = time.monotonic()
            dead = is_dead(mutant, copy)
            alive += not dead
            seconds = time.monotonic() - start
            print(f"{'dead' if dead else 'ALIVE':<6}{seconds:6.1f} s  {mutant.name}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} mutants are dead")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
