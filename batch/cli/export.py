"""`overnight export`: the answers in the formats of other programs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from ..errors import OutputError, UsageError
from ..exports.formats import OWN_OPTIONS
from ..exports.terms import Export, LeftOut, Written
from ..exports.write import write_export
from ..results.lock import is_locked, lock_facts
from ..results.paths import Paths, shortest
from ..results.sidecar_rules import SidecarRules
from ..results.wording import Wording
from ..settings import Settings, is_same, is_stream
from ..views.text import clean, count
from .captioning import PRESET_NAMES
from .look import files_of
from .out import put_json, put_text

TABLES = {"csv": ".results.csv", "sqlite": ".results.sqlite", "parquet": ".results.parquet"}
"""Formats without images, and what their file is called after the stem of the output."""

AMONG_PICTURES = ("hf", "txt", "xmp")
"""Formats of which the output is a folder, by default the one of the images."""

FILES = {**TABLES, "kohya": ".kohya.json"}


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Export, tell what was left out on stderr and what was written on stdout; 0 or 1."""
    settings, paths = files_of(ctx, values)
    name = values["to"]
    check_options(ctx, name)
    values |= last_words(paths, values["preset"])
    if not paths.results.is_file():
        raise UsageError(f"there are no answers yet: {paths.results} does not exist")
    export = what_is_asked(name, settings, paths, values)
    left_out = LeftOut()
    written = write_export(name, export, left_out)
    if left_out.count:
        told = [*left_out.lines, *further(left_out, settings, paths, export)]
        sys.stderr.write(clean("\n".join(told)) + "\n")
    if values["json"]:
        put_json(facts(name, written, left_out))
    elif not values["quiet"]:
        put_text("\n".join(summary(name, export, written, left_out)))
    sure = written.answers and not other_root(settings, paths, export)
    folders = all(Path(each).is_dir() for each in settings.sources)
    # What left a folder left the source. Where nothing is found, the folder may be the wrong one.
    return 1 if left_out.count > (left_out.gone if folders and sure else 0) else 0


def check_options(ctx: click.Context, name: str) -> None:
    """Raise `UsageError` for an option that only another format has."""
    for option, owner in OWN_OPTIONS.items():
        typed = ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE
        if typed and name != owner:
            raise UsageError(f"--{option.replace('_', '-')} is for --to {owner}")


def last_words(paths: Paths, preset: str | None) -> dict[str, Any]:
    """The preset and the wording of the last run, where one that wrote sidecars told them.

    A preset that is given goes before.
    """
    try:
        told = msgspec.convert(lock_facts(paths.lock).get("sidecars"), SidecarRules | None)
    except msgspec.ValidationError:  # the file may be a stranger's, or of another version
        told = None
    rules = told or SidecarRules()
    preset = preset or (rules.preset if rules.preset in PRESET_NAMES else PRESET_NAMES[0])
    wording = msgspec.structs.replace(rules.wording, tags=preset == "tags")
    return {"preset": preset, "wording": wording}


def what_is_asked(name: str, settings: Settings, paths: Paths, values: dict[str, Any]) -> Export:
    """The export with its place; raises `UsageError`, and `OutputError` (73) without a folder."""
    root = "" if name in TABLES else root_of(settings)
    out = place(name, settings, paths, values["out"], root)
    beside = name in AMONG_PICTURES and is_beside(name, settings, out, root)
    if name == "hf" and not beside:
        refuse_copies_in_sources(settings, out)
    if name in AMONG_PICTURES:
        make_folder(out)
    elif not out.parent.is_dir():
        raise OutputError(f"the folder {out.parent} does not exist: create it first", 73)
    return Export(
        results=paths.results,
        root=root,
        out=out,
        beside=beside,
        images=settings.images,
        **{each: values[each] for each in ("overwrite", "wording", *OWN_OPTIONS)},
    )


def root_of(settings: Settings) -> str:
    """The folder that image paths are relative to.

    It is never taken from the files of the run: they may be a stranger's, and whoever names the
    root decides what is opened. Raises `UsageError` when several sources have one each.
    """
    if settings.root is not None:
        roots = {os.path.realpath(settings.root)}
    else:
        roots = {os.path.realpath(folder) for folder in source_folders(settings)}
    if len(roots) > 1:
        raise UsageError("the sources have a folder of images each: give --root DIR")
    (root,) = roots
    if not Path(root).is_dir():
        raise UsageError(f"{root} is no folder: give --root DIR")
    return root


def source_folders(settings: Settings) -> Iterator[Path]:
    """The folder of each source, that which the images of a job file are relative to."""
    for name in settings.sources:
        path = Path(name).absolute()
        yield Path.cwd() if is_stream(name) else path if path.is_dir() else path.parent


def place(name: str, settings: Settings, paths: Paths, given: str | None, root: str) -> Path:
    """What is written: a file, a folder, or the name of shards; raises `UsageError`."""
    stem = paths.state.name.removesuffix(".run.json")
    if name in AMONG_PICTURES:
        return folder_place(name, settings, given, root)
    if given is None:
        return paths.results.with_name(stem + FILES.get(name, ""))
    out = shortest(Path(given))
    if name == "webdataset":
        return out / stem if out.is_dir() else out.with_name(out.name.removesuffix(".tar"))
    if out.is_dir():
        raise UsageError(f"--out {given} is a folder: name a file in it")
    used = [Path(each) for each in settings.sources if not is_stream(each)]
    used += msgspec.structs.astuple(paths)
    if any(out == each.absolute() or is_same(out, each) for each in used):
        raise UsageError(f"--out {given} is a file of the run itself: name another one")
    return out


def folder_place(name: str, settings: Settings, given: str | None, root: str) -> Path:
    """The folder that is written into; raises `UsageError` when it must be named."""
    if given is not None:
        out = shortest(Path(given))
        if out.exists() and not out.is_dir():
            raise UsageError(f"--out {given} is no folder")
        return out
    if name != "hf":
        return Path(root)
    folder = Path(settings.sources[0])
    if len(settings.sources) > 1 or not folder.is_dir():
        raise UsageError("give --out DIR: metadata.jsonl and copies of the images go there")
    return folder.absolute()


def is_beside(name: str, settings: Settings, out: Path, root: str) -> bool:
    """Whether the images stand under a folder already."""
    roots = [Path(root)]
    if name == "hf" and len(settings.sources) == 1:
        roots += source_folders(settings)
    return any(is_same(out, each) for each in roots)


def refuse_copies_in_sources(settings: Settings, out: Path) -> None:
    """Raise `UsageError` when copies would be taken for new images by the next run."""
    real = Path(os.path.realpath(out))
    for name in settings.sources:
        if Path(name).is_dir() and real.is_relative_to(os.path.realpath(name)):
            raise UsageError(f"--out {out} is inside {name}: its copies would be new images there")


def make_folder(out: Path) -> None:
    """Make a folder that is not there; raises `OutputError` (73)."""
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create {out}: {error.strerror}", 73) from error


def further(left_out: LeftOut, settings: Settings, paths: Paths, export: Export) -> Iterator[str]:
    """What else is to say where something was left out."""
    if (more := left_out.count - len(left_out.lines)) > 0:
        yield f"… and {more:,} more"
    if used := other_root(settings, paths, export):
        yield f"note: the last run had --root {used}: give it again if that is your folder"
    if is_locked(paths.lock):
        yield "note: a run is using these results now: export again when it has ended"


def other_root(settings: Settings, paths: Paths, export: Export) -> str:
    """The `--root` of the last run where that is another one than ours; else empty."""
    used = str(lock_facts(paths.lock).get("root") or "")
    unsaid = export.root and settings.root is None
    return used if used and unsaid and os.path.realpath(used) != export.root else ""


def summary(name: str, export: Export, written: Written, left_out: LeftOut) -> list[str]:
    """What was written, in words."""
    without = f"; {left_out.count:,} left out" if left_out.count else ""
    if left_out.gone:
        without += f", {left_out.gone:,} of them because their image left the folder"
    if not written.answers:
        return [f"nothing to export{without}"]
    same = "" if written.files else " (nothing has changed)"
    lines = [f"exported {count(written.answers, 'answer')} to {written.place}{same}{without}"]
    if words := wording_options(name, export.wording):
        lines.append(f"worded like the sidecars of the last run: {shlex.join(words)}")
    return [*lines, f"load: {written.load}"]


def wording_options(name: str, wording: Wording) -> list[str]:
    """The options that make the wording of a format; none when answers stay as they came."""
    if name in TABLES:
        return []
    words = ["--preset", "tags"] if wording.tags and name != "xmp" else []
    words += ["--prefix", wording.prefix] if wording.prefix else []
    words += ["--suffix", wording.suffix] if wording.suffix else []
    return words + [word for each in wording.strip_phrases for word in ("--strip-phrase", each)]


def facts(name: str, written: Written, left_out: LeftOut) -> dict[str, Any]:
    """The export as data."""
    return {
        "format": name,
        "exported": written.answers,
        "files_written": written.files,
        "left_out": left_out.count,
        "gone": left_out.gone,
        "out": written.place if written.answers else None,
        "load": written.load if written.answers else None,
    }
