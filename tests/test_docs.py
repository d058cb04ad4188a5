"""README and docs say what the program does: every command, option, exit and failure code.

`python tests/test_docs.py` writes the pages that are made from the program itself.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import pytest

from batch.cli import COMMANDS, cli
from batch.errors import EXIT_CODES, FAILURE_CODES
from batch.models import Result
from batch.results.state import RunState
from batch.sources.fields import JobFields

ROOT = Path(__file__).parent.parent
MADE = "Made from the program: `python tests/test_docs.py` writes it anew."
README = (ROOT / "README.md").read_text("utf-8")
DOCS = {path.name: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}


def commands():
    context = click.Context(cli)
    return {name: cli.get_command(context, name) for name in COMMANDS}


def options_page():
    """The page of all options, from the commands themselves."""
    lines = ["# Options", "", MADE, ""]
    for name, command in commands().items():
        lines += [f"## overnight {name}", "", command.help.split("\n\n")[0], ""]
        lines += ["| option | meaning | default |", "|---|---|---|"]
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                names = ", ".join(f"`{each}`" for each in option.opts + option.secondary_opts)
                default = f"`{option.default}`" if option.show_default else ""
                lines.append(f"| {names} | {option.help or ''} | {default} |")
        lines.append("")
    return "\n".join(lines)


def failures_page():
    """The page of failure and exit codes, from the program's own tables."""
    lines = ["# Failure codes", "", MADE, ""]
    lines += ["| code | meaning |", "|---|---|"]
    lines += [f"| `{code}` | {meaning} |" for code, meaning in FAILURE_CODES.items()]
    lines += ["", "# Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join([*lines, ""])


PAGES = {"options.md": options_page, "failures.md": failures_page}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_program_is_current(name):
    assert DOCS[name] == PAGES[name]()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command):
    assert f"`overnight {command} " in README


def test_every_option_has_a_help_text():
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in commands().items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


@pytest.mark.parametrize("code", EXIT_CODES)
def test_every_exit_code_is_in_the_readme(code):
    rows = "".join(line.split("|")[1] for line in README.splitlines() if line.startswith("| "))
    assert re.search(rf"\b{code}\b", rows)


@pytest.mark.parametrize("code", FAILURE_CODES)
def test_every_failure_code_is_in_the_readme(code):
    assert f"`{code}`" in README


@pytest.mark.parametrize("field", [f for f in JobFields.__struct_fields__ if f != "custom_id"])
def test_every_field_of_a_job_is_documented(field):
    assert f"`{field}`" in DOCS["jobs.md"]


def test_the_keys_of_a_result_stand_in_the_readme_in_their_order():
    keys = [key for key in Result.__struct_fields__ if key not in ("meta", "json")]
    assert ", ".join(keys) in " ".join(README.split())


def test_run_json_holds_the_keys_of_the_contract_in_order():
    assert (
        list(RunState.__struct_fields__)
        == (
            "run_id version source provider model state reason exit_code pid host started_at "
            "updated_at jobs done_before answered failed left retries paused_s input_tokens "
            "output_tokens cost_usd rate_per_s latency_p50_s latency_p95_s in_flight "
            "oldest_in_flight failures lane"
        ).split()
    )


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 200


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_test_that_the_page_on_security_names_exists():
    named = re.findall(r"`((?:proof/)?test_\w+\.py)::(\w+)`", DOCS["security.md"])
    assert len(named) > 30
    for file, test in named:
        text = (ROOT / "tests" / file).read_text("utf-8")
        assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), test


if __name__ == "__main__":
    for page, render in PAGES.items():
        (ROOT / "docs" / page).write_text(render(), "utf-8")
        sys.stdout.write(f"docs/{page}\n")
