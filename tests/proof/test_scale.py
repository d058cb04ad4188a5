"""The real command with many jobs: memory stays flat, and a rerun gets to its work.

By hand with `--long -s`: a million jobs of which nine in ten are answered, and what they took.
"""

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

from night import Run
from oracle import RESULT_KEYS, parsed
from server import Hold

MOST = (80, 250)  # MB, of the short version and of a million jobs; a handful take 45


def line_of(number):
    return {"id": f"job-{number:07}", "prompt": f"Say something short about the number {number}."}


def key_of(job, provider, model):
    """The key of a plain job, as the documentation of resuming describes it."""
    deciding = [provider, model, [["user", job["prompt"]]], {}, None, "", None]
    written = json.dumps(deciding, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def finished_night(made, jobs, answered):
    """A job file, and the results of its first jobs as an earlier run left them."""
    row = dict.fromkeys(RESULT_KEYS, "") | {"status": "ok", "provider": "openai", "attempts": 1}
    row |= {"output": "an answer of some thirty letters", "media": [], "latency_s": 0.5}
    row |= {"input_tokens": 10, "output_tokens": 20, "cost_usd": None, "source": "model"}
    with made.source.open("w") as source, made.results.open("w") as results:
        for number in range(jobs):
            job = line_of(number)
            source.write(f"{json.dumps(job)}\n")
            if number < answered:
                record = row | {"id": job["id"], "key": key_of(job, "openai", "m")}
                results.write(f"{json.dumps(record)}\n")


def command(made, *options):
    whole = made.command()
    whole[whole.index("dynaspark")] = "openai"
    return [*whole, "-m", "m", *options]


def peak_of(pid):
    """The most memory that a living process ever held, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def cpu_of(pid):
    """The seconds of CPU that a living process took."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / 100


def peak_of_start(made, jobs):
    """The peak memory of a run until its first request, which is what is left to do."""
    began = time.monotonic()
    with Run(command(made), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        assert f"{jobs:,} jobs: {jobs // 10:,} to do" in run.stderr.readline()
        made.server.wait_for(1, 600)
        seconds, cpu, peak = time.monotonic() - began, cpu_of(run.pid), peak_of(run.pid)
    asked = json.loads(made.server.requests[0].body)["messages"][0]["content"]
    assert asked == line_of(jobs * 9 // 10)["prompt"]
    print(f"{jobs:,} jobs: first request after {seconds:.1f} s, {cpu:.1f} s CPU, {peak:.0f} MB")
    return peak


def test_a_rerun_of_a_large_night_sends_only_what_is_left_in_flat_memory(night, many, count):
    jobs = many(60_000, 1_000_000)
    made, copied = night(faults=lambda _: Hold()), night(faults=lambda _: Hold())
    finished_night(made, jobs, jobs * 9 // 10)
    made.lock.touch()
    shutil.copy(made.source, copied.source)
    shutil.copy(made.results, copied.results)  # and not its lock
    with_lock = peak_of_start(made, jobs)
    without_lock = peak_of_start(copied, jobs)
    assert max(with_lock, without_lock) < many(*MOST)
    assert without_lock < 1.05 * with_lock  # the results are read once
    count(cases=2, jobs=2 * jobs)


def test_a_check_of_many_lines_takes_flat_memory_and_writes_nothing(night, many, count):
    jobs = many(60_000, 200_000)
    made = night()
    finished_night(made, jobs, 0)
    made.results.unlink()
    words = command(made, "--dry-run", "--json")
    with Run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=600)
    assert json.loads(out)["new"] == jobs
    assert {path.name for path in made.folder.iterdir()} == {made.source.name}
    count(cases=1, jobs=jobs)


def peak_of_run(made, jobs):
    """The peak memory of a run of so many jobs to its end."""
    made.server.faults = lambda request: Hold() if request.number == jobs else None
    finished_night(made, jobs, 0)
    made.results.unlink()
    words = command(made, "-j", "64")
    with Run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        made.server.wait_until(lambda: made.server.held, 600)
        peak = peak_of(process.pid)
        made.server.release()
        _, messages = process.communicate(timeout=100)
    assert process.returncode == 0, messages
    assert len(parsed(made.results)[0]) == jobs
    return peak


def test_memory_does_not_grow_with_the_jobs_that_a_run_does(night, many, count):
    """The same run with ten times the jobs takes hardly more, its index included."""
    few, more = many((500, 5_000), (10_000, 100_000))
    small, large = peak_of_run(night(), few), peak_of_run(night(), more)
    print(f"peaks {small:.0f} MB and {large:.0f} MB")
    assert large - small < many(12, 40)
    count(cases=1, jobs=few + more)
