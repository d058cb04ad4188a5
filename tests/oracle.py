"""What a run left, judged without the package: files read with `json` alone, and the server's log.

Each invariant has a number, by which the tests name it.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field

RESULT_KEYS = (
    "id status output provider model source finish_reason attempts latency_s input_tokens "
    "output_tokens cost_usd media key started_at finished_at run_id"
).split()
FAILURE_KEYS = "code message http_status attempts retryable key run_id finished_at".split()
LEFTOVERS = (".part", ".reserve", ".marks")


def answer_to(prompt):
    """The answer that belongs to a prompt: its hash, and filling so that records differ in size."""
    digest = hashlib.sha256(prompt.encode()).digest()
    filling = "filling \u2028\U0001f319" * (
        digest[0] ** 2 // 16 if digest[1] < 32 else digest[0] % 9
    )
    return f"sha256:{digest.hex()} {filling}".rstrip()


def parsed(path):
    """The lines of a file that are objects, and the bytes of all others and of a torn end."""
    *lines, rest = (path.read_bytes() if path.exists() else b"").split(b"\n")
    objects, broken = [], [rest] if rest else []
    for line in lines:
        try:
            value = json.loads(line.decode(), parse_constant=int)
        except ValueError:
            broken.append(line)
        else:
            (objects if isinstance(value, dict) else broken).append(value)
    return objects, broken


def jobs_in(path):
    """The prompts of a job file of plain lines, by id."""
    return {job["id"]: job["prompt"] for job in parsed(path)[0]}


@dataclass
class Verdict:
    """What is wrong. Nothing, when every field is empty or 0."""

    lost: list = field(default_factory=list)  # I3: jobs without an answer or a failure
    strange: list = field(default_factory=list)  # I3: ids that are no jobs
    doubled: list = field(default_factory=list)  # I2
    unparsable: list = field(default_factory=list)  # I1
    swapped: list = field(default_factory=list)  # I4
    shapeless: list = field(default_factory=list)  # I1: other keys than promised
    leftovers: list = field(default_factory=list)  # I10

    def __bool__(self):
        return not any(vars(self).values())


def judge(jobs, results, *, finished=True, answer=answer_to):
    """I1-I4 and I10 of one output; `jobs` are prompts by id. Unfinished: some may lack answers."""
    verdict = Verdict()
    stem = results.name.removesuffix(".jsonl").removesuffix(".results")
    answered, verdict.unparsable = parsed(results)
    failed, broken = parsed(results.with_name(f"{stem}.failed.jsonl"))
    verdict.unparsable += broken
    verdict.unparsable += parsed(results.with_name(f"{stem}.superseded.jsonl"))[1]
    for row in answered:
        if list(row)[: len(RESULT_KEYS)] != RESULT_KEYS or row["status"] != "ok":
            verdict.shapeless.append(row)
        elif row["id"] in jobs and row["output"] != answer(jobs[row["id"]]):
            verdict.swapped.append(row["id"])
    verdict.shapeless += [row for row in failed if list(row.get("failure", ())) != FAILURE_KEYS]
    ids = Counter(row.get("id") for row in answered) + Counter(row.get("id") for row in failed)
    verdict.doubled = [name for name, count in ids.items() if count > 1]
    verdict.strange = [name for name in ids if name not in jobs]
    if finished:
        verdict.lost = [name for name in jobs if name not in ids]
        names = [path.name for path in results.parent.iterdir()]
        verdict.leftovers = [name for name in names if name.endswith(LEFTOVERS)]
    return verdict


def paid(server, jobs):
    """How often each job was asked, by id, as the server tells it."""
    asked = Counter(request.prompt for request in server.requests)
    return {name: asked[prompt] for name, prompt in jobs.items()}


def recorded(results):
    """The ids of the whole lines of a results file, as a reader finds them at any moment."""
    whole = results.read_bytes() if results.exists() else b""
    return [json.loads(line)["id"] for line in whole.split(b"\n")[:-1]]
