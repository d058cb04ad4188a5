"""Kills the real command at random moments and resumes it to the end, many times over.

By hand: `python tests/crash_rounds.py --rounds 100 --jobs 300`. Prints a table; exit code 1 when
anything was lost, doubled or torn, or more was paid twice than was in flight.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from night import ATTEMPTS, Night, answer
from oracle import parsed
from server import Server


def one_round(folder, jobs, chance):
    """Start, kill, look, resume to the end, judge: the numbers of one round."""
    with Server(answer=answer, latency=chance.choice([0.0, 0.002, 0.01])) as server:
        night = Night(folder, server, jobs)
        killed = night.kill_after(chance.randrange(jobs))
        rows, torn = parsed(night.results)
        unsaved = server.answers - len(rows)
        code, messages, _ = night.run()
        verdict = night.judge()
        if code or not verdict:
            sys.stderr.write(f"{folder}: exit {code}, {verdict}\n{messages}\n")
        return Counter(
            killed=killed,
            torn=bool(torn),
            lost=len(verdict.lost),
            doubled=len(verdict.doubled),
            unparsable=len(verdict.unparsable),
            wrong=len(verdict.swapped) + len(verdict.shapeless) + len(verdict.strange),
            leftovers=len(verdict.leftovers),
            exit_not_0=bool(code),
            requests=server.arrived,
            paid_twice=server.arrived - jobs,
            answers_unsaved=unsaved,
        )


def main():
    """Do the rounds and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    asked = parser.parse_args()
    chance, start, rounds = random.Random(asked.seed), time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="crash-rounds-") as folder:
        for number in range(asked.rounds):
            place = Path(folder) / str(number)
            place.mkdir()
            rounds.append(one_round(place, asked.jobs, chance))
    total = sum(rounds, Counter())
    worst = max(each["paid_twice"] for each in rounds)
    table = {
        "rounds of jobs": f"{asked.rounds} x {asked.jobs} (seed {asked.seed})",
        "killed with -9 while running": total["killed"],
        "torn last lines found after a kill": total["torn"],
        "answers lost": total["lost"],
        "ids doubled": total["doubled"],
        "lines unparsable at the end": total["unparsable"],
        "answers wrong, strange or shapeless": total["wrong"],
        "files left over": total["leftovers"],
        "rounds that did not end with 0": total["exit_not_0"],
        "requests": total["requests"],
        "paid twice in all": total["paid_twice"],
        "most paid twice in one kill": f"{worst} (-j {ATTEMPTS})",
        "most answers sent but unsaved at a kill": max(r["answers_unsaved"] for r in rounds),
        "seconds": round(time.monotonic() - start),
    }
    for name, value in table.items():
        sys.stdout.write(f"{name:<42}{value}\n")
    bad = ("lost", "doubled", "unparsable", "wrong", "leftovers", "exit_not_0")
    return 1 if worst > ATTEMPTS or any(total[name] for name in bad) else 0


if __name__ == "__main__":
    sys.exit(main())
