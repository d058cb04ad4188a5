"""The examples of README run as they stand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from server import Reply, Server

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def provider_example():
    return re.search(r"<!-- test: provider -->\n```python\n(.*?)```", README, re.DOTALL)[1]


def test_the_provider_example_is_about_fifteen_lines():
    assert len([line for line in provider_example().splitlines() if line.strip()]) <= 16


def test_the_provider_example_registers_and_runs(tmp_path):
    (tmp_path / "my_package.py").write_text(provider_example(), "utf-8")
    info = tmp_path / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[batch.providers]\nshout = my_package:Shout\n")
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text('{"id": "a", "prompt": "hello"}\n{"id": "b", "prompt": "goodbye"}\n')
    with Server(script=[Reply(b"HELLO"), Reply(b"GOODBYE")]) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "batch", "run", str(jobs)),
                *("--provider", "shout", "--base-url", server.url, "-j", "1"),
            ],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert [request.body for request in server.requests] == [b"hello", b"goodbye"]
    results = map(json.loads, (tmp_path / "jobs.results.jsonl").read_text("utf-8").splitlines())
    assert [(r["id"], r["output"], r["model"]) for r in results] == [
        ("a", "HELLO", "loud-1"),
        ("b", "GOODBYE", "loud-1"),
    ]


def test_the_job_file_of_the_readme_is_a_job_file(tmp_path):
    block = re.search(r"One JSON object a line:\n\n```\n(.*?)```", README, re.DOTALL)
    jobs = tmp_path / "night.jsonl"
    jobs.write_text(block[1], "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "batch", "check", str(jobs), "--provider", "fake"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "3 jobs" in done.stdout
