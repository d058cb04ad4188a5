"""Tables of the simulator, by hand: `python tests/simulate.py [TABLE] [WORD …]`.

matrix        one line a scenario; words choose those whose names hold all of them
watch WORD …  a scenario of the matrix second by second, with what the lane says of itself
fixed         fixed numbers of workers beside the lane
partial       30 % of the requests fail for ten minutes
down          a minute without a server
night [JOBS]  a night of 300,000 jobs, hour by hour
"""

import dataclasses
import sys

from scenarios import DOWN, FIXED, MATRIX, UNSTEADY, night, partial
from simulation import WARM, simulate, simulate_fixed

HEAD = (
    f"{'scenario':52}{'cap/s':>6}{'jobs':>7}{'time':>9}{'thr/cap':>8}{'of best':>8}"
    f"{'429':>7}{'>10 s':>7}{'peak':>5}{'low':>5}{'last':>5}{'failed':>7}{'cpu':>6}"
)


def line(outcome):
    """A scenario as a line of the table; `!` marks one with a job not answered once."""
    scenario, log = outcome.scenario, outcome.log
    limits = [each.limit for each in outcome.samples] or [scenario.concurrency]
    warm = [each.limit for each in outcome.samples if each.at >= WARM] or limits
    failed = f"{outcome.failed}{'' if outcome.each_once else '!'}"
    capacity = scenario.jobs / outcome.seconds / outcome.throughput if outcome.throughput else 0
    told = (
        f"{scenario.name:52}{capacity:6.1f}{scenario.jobs:7}{outcome.seconds:9.1f}"
        f"{outcome.throughput:8.0%}{outcome.of_best:8.0%}"
        f"{log.share('limited'):7.1%}{log.share('limited', WARM):7.1%}{log.peak:5}"
        f"{min(warm):5}{warm[-1]:5}{failed:>7}{outcome.cpu:6.2f}"
    )
    return f"{told}  ended: {outcome.ended}" if outcome.ended else told


def chosen(words):
    return [each for each in MATRIX + UNSTEADY if all(word in each.name for word in words)]


def matrix(*words):
    print(HEAD)
    for each in chosen(words):
        print(line(simulate(each)), flush=True)


def seeds(*words):
    head = f"{'throughput':>18}{'429 after 10 s':>18}{'not answered':>14}"
    print(f"{'ten seeds, the least and the most of':52}{head}")
    for each in chosen(words):
        outcomes = [simulate(dataclasses.replace(each, seed=seed)) for seed in range(10)]
        got = [outcome.throughput for outcome in outcomes]
        limited = [outcome.log.share("limited", WARM) for outcome in outcomes]
        missed = sum(outcome.records.answered.count(0) for outcome in outcomes)
        print(
            f"{each.name:52}{f'{min(got):.0%} to {max(got):.0%}':>18}"
            f"{f'{min(limited):.1%} to {max(limited):.1%}':>18}{missed:14}",
            flush=True,
        )


def watch(*words):
    for each in chosen(words)[:1]:
        outcome = simulate(each)
        log = outcome.log
        print("second requests answers 429s troubles  lane")
        for sample in outcome.samples:
            at = sample.at
            series = (log.requests, log.answers, log.limited, log.troubles)
            counts = [counted.between(at, at + 1) for counted in series]
            print("{:6.0f}{:9}{:8}{:5}{:9}  {}".format(at, *counts, sample.lane))
        print(f"{HEAD}\n{line(outcome)}")


def fixed():
    print(HEAD)
    for each in FIXED:
        workers = dataclasses.replace(each, name=f"{each.name}, fixed")
        print(line(simulate_fixed(workers)))
        print(line(simulate(each)), flush=True)


def partial_failure():
    outcome = simulate(partial())
    (accident,) = outcome.scenario.server.accidents
    log, start, end = outcome.log, accident.start, accident.end
    print(f"{HEAD}\n{line(outcome)}")
    print(f"meanwhile {log.requests.between(start, end)} requests, ", end="")
    print(f"{log.share('repeats', start, end):.1%} of them repeats; answers a second: ", end="")
    spans = ((WARM, start), (start, end), (end, outcome.seconds))
    told = ("before", "meanwhile", "after")
    rates = [log.answers.between(since, until) / (until - since) for since, until in spans]
    print(", ".join(f"{rate:.1f} {when}" for rate, when in zip(rates, told, strict=True)))
    print(f"failures: {dict(outcome.records.failures)}")


def outages(outcome):
    """What each outage cost, a line each."""
    for each in outcome.scenario.server.outages:
        requests = outcome.log.requests.between(each.start, each.end)
        answers = [outcome.log.answers.between(each.end, each.end + s) for s in (10, 30, 120)]
        print(
            f"  {each.kind} from {each.start:.0f} s to {each.end:.0f} s: {requests} requests; "
            f"answers within 10, 30, 120 s after it: {answers}"
        )


def minute_without():
    print(HEAD)
    for each in DOWN:
        outcome = simulate(each)
        print(line(outcome))
        outages(outcome)


def whole_night(jobs="300000"):
    outcome = simulate(night(int(jobs)))
    log = outcome.log
    print("hour requests repeats answers   429s troubles limits tasks      MB")
    for hour in range(int(outcome.seconds // 3600) + 1):
        start, end = hour * 3600, hour * 3600 + 3600
        samples = [each for each in outcome.samples if start <= each.at < end]
        series = (log.requests, log.repeats, log.answers, log.limited, log.troubles)
        counts = [counted.between(start, end) for counted in series]
        limits = [each.limit for each in samples]
        print(
            "{:4}{:9}{:8}{:8}{:7}{:9}".format(hour, *counts)
            + f"{f'{min(limits)}-{max(limits)}':>7}{max(each.tasks for each in samples):6}"
            + f"{samples[-1].memory / 1024:8.1f}"
        )
    print(f"{HEAD}\n{line(outcome)}")
    outages(outcome)
    print(f"{outcome.seconds / 3600:.1f} h, {outcome.retries} retries, {outcome.cpu:.1f} s of CPU")


TABLES = {
    "matrix": matrix,
    "seeds": seeds,
    "watch": watch,
    "fixed": fixed,
    "partial": partial_failure,
    "down": minute_without,
    "night": whole_night,
}


if __name__ == "__main__":
    table, *words = sys.argv[1:] or ["matrix"]
    TABLES[table](*words)
