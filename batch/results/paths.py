"""The files of an output: all named after the results file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from ..errors import OutputError, UsageError


class Paths(Struct, frozen=True):
    """Where each file of a run stands; README tells what each holds."""

    results: Path
    failed: Path
    superseded: Path
    torn: Path
    state: Path
    lock: Path
    reserve: Path
    marks: Path
    spool: Path

    @classmethod
    def beside(cls, results: Path) -> Paths:
        """The files of a results file: its name less `.jsonl` and `.results` is their stem.

        A link stands for the file that it leads to, so that one output has one lock. Raises
        `OutputError` (73) for a link that somebody else put where all may write.
        """
        if holds(results.is_symlink):
            refuse_planted(results)
            results = Path(os.path.realpath(results))
        else:
            results = shortest(results)
        stem = results.name.removesuffix(".jsonl").removesuffix(".results")
        return cls(
            results=results,
            failed=results.with_name(f"{stem}.failed.jsonl"),
            superseded=results.with_name(f"{stem}.superseded.jsonl"),
            torn=results.with_name(f"{stem}.torn"),
            state=results.with_name(f"{stem}.run.json"),
            lock=results.with_name(f"{stem}.lock"),
            reserve=results.with_name(f".{stem}.reserve"),
            marks=results.with_name(f".{stem}.marks"),
            spool=results.with_name(f"{stem}.jobs"),
        )


def refuse_planted(link: Path) -> None:
    """Raise `OutputError` (73) for a link that could lead what we write to any file of ours."""
    shared = link.parent.stat().st_mode & stat.S_IWOTH
    if shared and link.lstat().st_uid not in (os.geteuid(), 0):
        raise OutputError(f"{link} is a link of somebody else, in a folder open to all", 73)


def holds(question: Callable[[], bool]) -> bool:
    """What a path says of itself; no where the disk says nothing, so that a run can end."""
    try:
        return question()
    except OSError:
        return False


def default_results(source: Path) -> Path:
    """The results file beside a source: `night.jsonl` or `night/` → `night.results.jsonl`."""
    whole = source.absolute()
    stem = whole.name if holds(whole.is_dir) else whole.name.removesuffix(".jsonl")
    if not whole.name:
        raise UsageError("this folder has no name to call the results after: give -o FILE")
    return whole.with_name(f"{stem}.results.jsonl")


def shortest(path: Path) -> Path:
    """A path, absolute and without `..`, unless that would lead elsewhere (over a link)."""
    plain = Path(os.path.normpath(path.absolute()))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path.absolute()


def check_output(results: Path) -> None:
    """Raise `UsageError` when the output is a folder, `OutputError` (73) when it has none."""
    if results.is_dir():
        raise UsageError(f"-o {results} is a folder: name a file in it")
    if not results.parent.is_dir():
        raise OutputError(f"the folder {results.parent} does not exist: create it first", 73)
    if results.exists() and not results.is_file():
        raise OutputError(f"{results} is no regular file", 73)
    if results.exists() and results.stat().st_nlink > 1:
        raise OutputError(f"{results} is a hard link: its other name could be another output", 73)
