"""Others on the same machine: what they can read of a run, and what they put where it writes."""

import json
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from night import KEPT, OVERNIGHT, Run
from PIL import Image
from secrets_held import holders
from server import Hold, Server, Status

NOBODY = 65534
CANARY = "private-6Jd2Nw9Rz4Ht8Yc1"
MINE = b"what stands here is mine and not for you\n"

OUTPUTS = {
    name: f"night.{name}"
    for name in ("lock", "run.json", "results.jsonl", "failed.jsonl", "superseded.jsonl", "torn")
}
HIDDEN = {
    name: f".night.{name}"
    for name in ("reserve", "run.json.part", "results.jsonl.part", "failed.jsonl.part", "jobs.part")
}
KINDS = ["link", "dangling", "hard", "fifo", "device", "folder"]
PLACES = [*OUTPUTS.values(), *HIDDEN.values(), "night.report.html", ".night.report.html.part"]


class Common:
    """A folder that others may write into, with a job file of ours."""

    def __init__(self, folder):
        self.top = folder
        self.folder = folder / "common"
        self.folder.mkdir()
        self.victim = folder / "victim"
        self.victim.write_bytes(MINE)
        self.write("first")

    def write(self, prompt):
        lines = [{"id": f"j{n}", "prompt": f"{prompt} {n} {CANARY}"} for n in range(4)]
        (self.folder / "night.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))

    def words(self, command, *more):
        return [OVERNIGHT, command, *more]

    def call(self, command, *more, **how):
        how = {"cwd": self.folder, "env": {"HOME": str(self.top), **KEPT}, **how}
        words = [OVERNIGHT, command, *map(str, more)]
        return subprocess.run(words, capture_output=True, timeout=40, check=False, **how)

    def run(self, server, *more, **how):
        given = ("--provider", "dynaspark", "--base-url", server.url, "--retries", "0")
        return self.call("run", "night.jsonl", *given, *more, **how)


@pytest.fixture
def common(tmp_path):
    return Common(tmp_path)


def modes(folder):
    """The modes of the files of a folder, by name."""
    return {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize("umask", [0o000, 0o277])
def test_what_holds_prompts_or_answers_is_for_its_owner_s_eyes_only(common, umask, count):
    """umask 277 takes the owner's right to write as well: what it takes is taken."""
    own = {"umask": umask}
    with Server(script=[None, None, Status(400)]) as server:
        assert common.run(server, **own).returncode == 1
        if umask < 0o200:  # a file that nobody may write can be renewed by nobody but root
            common.write("second")
            with (common.folder / "night.results.jsonl").open("ab") as file:
                file.write(b'{"id":"torn')
            assert common.run(server, "--retry-failed", "all", **own).returncode == 0
            common.call("report", "night.jsonl", **own)
            common.call("export", "night.jsonl", "--to", "csv", **own)
            common.call("export", "night.jsonl", "--to", "sqlite", **own)
            stdin = {"input": (common.folder / "night.jsonl").read_bytes()}
            common.call(
                "run", "-", "-o", "piped.results.jsonl", "--provider", "exec:cat", **own, **stdin
            )
    found = modes(common.folder)
    ours = {name: mode for name, mode in found.items() if name != "night.jsonl"}
    assert set(ours.values()) == {0o600 & ~umask}
    if umask < 0o200:
        assert {
            *("night.results.jsonl", "night.run.json", "night.lock", "night.torn", "piped.jobs"),
            *("night.superseded.jsonl", "night.report.html", "night.results.csv"),
        } <= set(ours)
    count(cases=len(ours))


def test_a_sidecar_is_as_open_as_the_umask_says_and_a_replaced_one_as_it_was(common, count):
    photos = common.folder / "photos"
    photos.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (90, 70), "red").save(photos / f"{name}.png")
    (photos / "b.txt").write_text("old")
    (photos / "b.txt").chmod(0o604)
    more = ("photos", "--existing", "overwrite")
    assert common.call("caption", *more, umask=0o026).returncode == 0
    assert modes(photos)["a.txt"] == 0o640
    assert modes(photos)["b.txt"] == 0o604
    count(cases=2)


def test_during_a_run_nobody_else_can_read_a_byte_of_it(common, count):
    seen = {}
    with Server(faults=lambda _: Hold()) as server:
        words = ["--provider", "dynaspark", "--base-url", server.url]
        with Run(
            [OVERNIGHT, "run", "night.jsonl", *words],
            cwd=common.folder,
            env={"HOME": str(common.top), **KEPT},
            umask=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            server.wait_for(1)
            end = time.monotonic() + 10
            while "night.run.json" not in seen and time.monotonic() < end:
                for path in common.folder.iterdir():
                    seen[path.name] = stat.S_IMODE(path.lstat().st_mode) & 0o077
                os.sched_yield()
            process.kill()
    del seen["night.jsonl"]
    assert "night.run.json" in seen
    assert set(seen.values()) == {0}
    count(cases=len(seen))


def plant(path, kind, victim):
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(victim.with_name("made-for-me"))
    elif kind == "hard":
        path.hardlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(64 << 30)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planted_in_the_place_of_a_file_of_ours_is_neither_obeyed_nor_harmed(
    common, kind, many, count
):
    """Every run, status and report ends, and a file that a link leads to keeps its bytes."""
    places = [name for name in PLACES if (kind, name) != ("dangling", "night.results.jsonl")]
    for place in many(places[KINDS.index(kind) :: len(KINDS)], places):
        for path in common.folder.iterdir():
            if path.name != "night.jsonl":
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        plant(common.folder / place, kind, common.victim)
        with Server(script=[None, Status(400)]) as server:
            codes = [common.run(server).returncode]
        look = "report" if "report" in place else "status"
        codes.append(common.call(look, "night.jsonl").returncode)
        assert set(codes) <= {0, 1, 2, 73, 74}, (place, codes)
        assert common.victim.read_bytes() == MINE, place
        assert not common.victim.with_name("made-for-me").exists(), place
        count(cases=2)


def test_a_results_file_may_be_a_link_of_our_own_and_not_of_somebody_else(common, count):
    target = common.top / "elsewhere.results.jsonl"
    link = common.folder / "night.results.jsonl"
    link.symlink_to(target)
    with Server() as server:
        assert common.run(server).returncode == 0
        assert target.exists()
        if os.geteuid() == 0:
            common.folder.chmod(0o1777)
            target.unlink()
            os.lchown(link, NOBODY, NOBODY)
            done = common.run(server)
            assert done.returncode == 73
            assert b"a link of somebody else" in done.stderr
            assert not target.exists()
    count(cases=2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("place", ["night.results.jsonl", "night.lock", "night.failed.jsonl"])
def test_a_file_that_somebody_else_put_into_tmp_gets_none_of_our_lines(common, place, count):
    common.folder.chmod(0o1777)
    theirs = common.folder / place
    theirs.touch()
    theirs.chmod(0o666)
    os.chown(theirs, NOBODY, NOBODY)
    with Server(faults=lambda _: Status(400)) as server:
        assert common.run(server).returncode in (73, 74)
    assert theirs.read_bytes() == b""
    count(cases=1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_configuration_that_somebody_else_put_into_tmp_is_refused(common, count):
    common.folder.chmod(0o1777)
    (common.folder / "overnight.toml").write_text("[run]\nconcurrency = 3\n")
    os.chown(common.folder / "overnight.toml", NOBODY, NOBODY)
    done = common.call("run", "night.jsonl")
    assert done.returncode == 2
    assert b"is somebody else's" in done.stderr
    count(cases=1)


@pytest.mark.parametrize("place", ["lock", "run.json"])
def test_a_small_file_of_ours_that_is_huge_costs_no_memory(common, place, count):
    plant(common.folder / OUTPUTS[place], "huge", common.victim)
    limit = f"ulimit -v 2000000; exec {OVERNIGHT} status night.jsonl"
    done = subprocess.run(
        ["sh", "-c", limit], cwd=common.folder, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    count(cases=1)


def test_what_commands_are_given_lies_in_a_folder_for_us_alone_and_goes(common, count):
    place = common.top / "tmp"
    place.mkdir()
    Image.new("RGB", (40, 40), "red").save(common.folder / "a.png")
    look = 'sh -c \'stat -c %a "$1" "$(dirname "$1")"; umask; ls -l /proc/self/fd/0\' x {image}'
    env = {"HOME": str(common.top), "TMPDIR": str(place), **KEPT}
    code = common.call(
        "run", "a.png", "-p", CANARY, "--provider", f"exec:{look}", env=env
    ).returncode
    assert code == 0
    lines = (common.folder / "a.png.results.jsonl").read_text()
    assert json.loads(lines)["output"].split()[:2] == ["600", "700"]
    assert "(deleted)" in lines
    assert list(place.iterdir()) == []
    count(cases=3)


def test_a_command_line_tells_others_no_prompt_of_a_job_file(common, count):
    with Server(faults=lambda _: Hold()) as server:
        words = ["--provider", "dynaspark", "--base-url", server.url]
        with Run(
            [OVERNIGHT, "run", "night.jsonl", *words],
            cwd=common.folder,
            env={"HOME": str(common.top), **KEPT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            server.wait_for(1)
            open_to_all = ("cmdline", "comm", "status", "stat")
            told = {n: Path(f"/proc/{process.pid}/{n}").read_bytes() for n in open_to_all}
            process.kill()
    assert holders(told, CANARY) == []
    count(cases=len(told))
