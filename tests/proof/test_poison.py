"""A job that kills every run that sends it is found, given up, and stops no other job."""

import os
import signal

import pytest
from night import ATTEMPTS
from oracle import parsed, recorded
from server import Hold

MOST_RUNS = 12


class Poison:
    """A night in which the arrival of some prompts kills the run that sent them."""

    def __init__(self, made, *ids):
        self.made, self.process = made, None
        self.prompts = {made.prompts[name] for name in ids}
        self.deaths = []  # answers in the file after each
        self.accounts = []  # whether the run that died had written one
        made.server.faults = self.fault

    def fault(self, request):
        if request.prompt not in self.prompts:
            return None
        os.kill(self.process.pid, signal.SIGKILL)
        return Hold()

    def runs(self):
        """Run the same command until it ends by itself: exit code and messages."""
        while len(self.deaths) < MOST_RUNS:
            with self.made.start() as self.process:
                _, messages = self.process.communicate(timeout=50)
            self.made.server.settle()
            if self.process.returncode != -signal.SIGKILL:
                return self.process.returncode, messages
            self.deaths.append(len(recorded(self.made.results)))
            self.accounts.append((self.made.folder / ".night.marks").exists())
        raise AssertionError(f"it dies for ever: {self.deaths}")

    @property
    def failures(self):
        return {row["id"]: row["failure"] for row in parsed(self.made.failed)[0]}


def test_one_job_that_kills_every_run_ends_as_a_failed_line_and_spoils_one_run(night, count):
    made = night(60, latency=0.002)
    poison = Poison(made, "job-0017")
    code, messages = poison.runs()
    assert code == 1, messages
    assert poison.deaths[0] < 40  # it stopped the first run
    assert len(recorded(made.results)) == 59
    assert poison.deaths[1] >= 60 - 4 * ATTEMPTS  # the second when the others were done or sent
    assert poison.deaths[3] == 59
    assert len(poison.deaths) == 4
    assert poison.accounts == [False, True, True, True]  # an ordinary run keeps none
    assert {name: each["code"] for name, each in poison.failures.items()} == {
        "job-0017": "interrupted_often"
    }
    assert not poison.failures["job-0017"]["retryable"]
    assert made.judge()
    assert made.run()[::2] == (1, 0)  # it is not sent again by itself
    made.server.faults = None
    assert made.run("--retry-failed", "all")[::2] == (0, 1)
    assert made.judge()
    count(cases=len(poison.deaths))


@pytest.mark.parametrize("ids", [["job-0003", "job-0044"], ["job-0000", "job-0001", "job-0059"]])
def test_several_jobs_that_kill_are_found_one_after_the_other(night, count, ids):
    made = night(60, latency=0.002)
    poison = Poison(made, *ids)
    code, messages = poison.runs()
    assert code == 1, messages
    assert {name: each["code"] for name, each in poison.failures.items()} == dict.fromkeys(
        ids, "interrupted_often"
    )
    assert len(recorded(made.results)) == 60 - len(ids)
    assert made.judge()
    count(cases=len(poison.deaths))


def test_a_job_that_was_given_up_runs_again_when_it_is_edited(night):
    made = night(9)
    poison = Poison(made, "job-0004")
    assert poison.runs()[0] == 1
    made.prompts["job-0004"] += ", mended"
    made.write()
    assert made.run()[::2] == (0, 1)
    assert made.judge()


def test_a_run_that_ends_in_order_before_the_turn_of_the_suspects_keeps_them_in_mind(night):
    made = night(60, latency=0.05)
    poison = Poison(made, "job-0000")
    with made.start() as poison.process:
        poison.process.communicate()
    with made.start() as stopped:
        made.server.wait_for(5)
        stopped.send_signal(signal.SIGTERM)
        stopped.communicate()
    assert stopped.returncode == 143
    assert "job-0000" not in recorded(made.results)
    assert poison.runs()[0] == 1
    assert poison.deaths[0] >= 60 - 4 * ATTEMPTS
    assert made.judge()
