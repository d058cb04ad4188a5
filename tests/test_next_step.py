"""What to type next: fit to be pasted, and sensible where it stands."""

import pytest
from server import Server, Status
from shell import dynaspark

FAKE = ("--provider", "fake")


def step(done):
    """The command to type next, and when."""
    assert (done.err or done.out).splitlines()[-1].startswith("next: overnight ")
    command, _, remark = (done.err or done.out).splitlines()[-1].partition("  # ")
    return command.removeprefix("next: overnight "), remark


def failing(name, code):
    return {"id": name, "prompt": name, "params": {"failures": [code]}}


# What of the typed command stays


@pytest.mark.parametrize(
    ("typed", "stays"),
    [
        (("--limit", "1"), ""),
        (("--limit=1", "-v"), " -v"),
        (("-vv", "--limit", "1"), " -v"),
        (("-p", "--fresh", "--limit", "1"), " -p --fresh"),
        (("--limit", "1", "--prompt=--limit"), " --prompt=--limit"),
        (("-s", "-q", "--limit", "1"), " -s -q"),
    ],
)
def test_a_trial_goes_on_with_all_the_rest(shell, typed, stays):
    shell.jobs(3)
    assert step(shell("run", "jobs.jsonl", *FAKE, *typed)) == (
        f"run jobs.jsonl --provider fake{stays}",
        "",
    )


def test_words_behind_two_dashes_are_sources(shell):
    shell.jobs(2, "--limit")
    done = shell("run", *FAKE, "--limit", "1", "-o", "out.jsonl", "--", "--limit")
    assert step(done) == ("run --provider fake -o out.jsonl -- --limit", "")


@pytest.mark.parametrize("quiet", [("-q",), ("--quiet",), ("-qv",)])
def test_who_reads_what_to_type_next_wants_to_read_its_end_too(shell, quiet):
    shell.write("jobs.jsonl", failing("a", "rejected"))
    command, _ = step(shell("run", "jobs.jsonl", *FAKE, *quiet))
    verbose = " -v" if "v" in quiet[0] else ""
    assert command == f"run jobs.jsonl --provider fake{verbose} --retry-failed all"


def test_a_plan_of_a_trial_leads_to_that_trial(shell):
    shell.jobs(3)
    words = ("jobs.jsonl", *FAKE, "--limit", "2")
    trial = "run jobs.jsonl --provider fake --limit 2"
    assert step(shell("check", *words)) == (trial, "")
    assert step(shell("run", *words, "-n")) == (trial, "")


def test_watching_is_not_what_a_run_does(shell):
    shell.jobs(1)
    assert step(shell("status", "jobs.jsonl", "--watch")) == ("run jobs.jsonl", "")


# After failures


@pytest.mark.parametrize("typed", [("--retry-failed", "none"), ("--retry-failed=transient",)])
def test_how_failures_are_tried_again_is_said_once(shell, typed):
    shell.write("jobs.jsonl", failing("a", "rejected"))
    done = shell("run", "jobs.jsonl", *typed, *FAKE)
    assert step(done) == (
        "run jobs.jsonl --provider fake --retry-failed all",
        "after mending what failed",
    )


def test_bad_lines_that_were_mended_need_no_further_option(shell):
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"}, "{")
    done = shell("run", "jobs.jsonl", "--skip-bad-lines", *FAKE)
    assert step(done) == ("run jobs.jsonl --provider fake", "after mending those lines")
    shell.write("jobs.jsonl", {"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x"})
    assert shell("run", "jobs.jsonl", *FAKE).code == 0
    assert len(shell.lines()) == 2


def test_bad_lines_among_others_are_mended_too(shell):
    shell.write("jobs.jsonl", failing("a", "rejected"), "{")
    done = shell("run", "jobs.jsonl", "--skip-bad-lines", *FAKE)
    assert step(done) == (
        "run jobs.jsonl --provider fake --retry-failed all",
        "after mending what failed",
    )


def test_what_failed_in_passing_is_tried_while_bad_lines_are_still_passed_over(shell):
    shell.jobs(1)
    with (shell.folder / "jobs.jsonl").open("a") as file:
        file.write("{\n")
    with Server(script=[Status(500)]) as server:
        words = dynaspark(server, "--retries", "0")
        done = shell("run", "jobs.jsonl", "--skip-bad-lines", *words)
    command, remark = step(done)
    assert "--skip-bad-lines" in command
    assert remark == "tries again what failed in passing"


@pytest.mark.parametrize(
    ("images", "mended"),
    [
        (["../a.png"], "the lines"),
        (["none.png"], "the pictures"),
        (["../a.png", "none.png"], "the lines and pictures"),
    ],
)
def test_it_is_said_whether_lines_or_pictures_have_to_be_mended(shell, images, mended):
    jobs = ({"id": f"j{n}", "prompt": "x", "image": each} for n, each in enumerate(images))
    shell.write("in/jobs.jsonl", *jobs)
    command, remark = step(shell("run", "in/jobs.jsonl", *FAKE))
    assert command == "run in/jobs.jsonl --provider fake"
    assert remark == f"after mending {mended}: what changed runs again"


def test_a_link_that_leaves_a_folder_is_a_matter_of_the_picture(shell):
    shell.picture("a.png")
    (shell.folder / "photos").mkdir()
    (shell.folder / "photos" / "a.png").symlink_to("../a.png")
    done = shell("run", "photos")
    assert "failed: not_allowed 1" in done.err
    assert step(done)[1] == "after mending the pictures: what changed runs again"


# A source without jobs


def test_an_empty_folder_is_told_with_what_may_be_wrong(shell):
    folder = shell.folder / "photos"
    folder.mkdir()
    done = shell("run", "photos")
    assert done.code == 0
    assert "note: no pictures were found in photos (files that end in .jpg, .jpeg," in done.err
    assert "; is it the right folder, and is its disk there?" in done.err
    assert step(done) == ("run photos", "once it holds something to do")
    shell.picture("photos/a.png")
    assert "(files that end in .jpg); without --ext" in shell("run", "photos", "--ext", "jpg").err
    done = shell("run", "photos", "--exclude", "*.png")
    assert "do --exclude or .overnightignore leave out too much?" in done.err


def test_an_empty_job_file_has_nothing_to_verify(shell):
    shell.write("jobs.jsonl")
    done = shell("run", "jobs.jsonl", *FAKE)
    assert "note: the source holds no jobs; is it the right one" in done.err
    assert step(done)[0] == "run jobs.jsonl --provider fake"


# From a stream


def test_what_was_piped_goes_on_from_its_file_after_a_look_too(shell):
    jobs = '{"id": "a", "prompt": "x"}\n{"id": "b", "prompt": "x"}\n'
    words = ("-", "-o", "out.results.jsonl")
    done = shell.process("run", *words, "--limit", "1", *FAKE, typed=jobs)
    spool = shell.folder / "out.jobs"
    command = f"run - -o out.results.jsonl --provider fake < {spool}"
    assert step(done)[0] == command
    assert [step(shell(name, *words))[0] for name in ("status", "verify")] == [command, command]
