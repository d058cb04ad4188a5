"""What to type next, after a run and after a look at one."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from ..errors import PASSING_CODES
from ..providers.registry import is_command
from ..results.state import RunState
from ..settings import Settings
from ..sources.folder import SUFFIXES
from ..sources.ignore import FILE_NAME
from ..summary import Summary

PICTURE_CODES = frozenset({"image_unreadable", "image_invalid", "image_too_large", "not_allowed"})
"""Failures whose job runs again by itself once its picture, or the line's word of it, is mended."""

SAID_BY_COMMANDS = frozenset({"empty_output", "bad_response"})
"""Failures that pass, but not of a command that ended well: it would say the same again."""

WHEN = {
    3: "when the provider is back",
    4: "once that is mended",
    73: "once the output can be written",
    74: "once the output can be written",
}
"""When to run the same command again, by exit code."""

RETRY_VALUES = ("all", "transient", "none")


def next_step(summary: Summary) -> str:
    """The command to type next, fit to be pasted; empty when no file is left to go on from."""
    state, settings = summary.state, summary.settings
    if settings.streams:
        return ""
    if summary.exit_code in WHEN:
        return f"{again(settings)}  # {WHEN[summary.exit_code]}"
    if is_empty(summary):
        return f"{again(settings)}  # once it holds something to do"
    if state.left:
        return again(settings)
    return (
        step_after_failures(state, settings) if state.failed else look_command("verify", settings)
    )


def is_empty(summary: Summary) -> bool:
    """Whether there was nothing to do because the source holds nothing."""
    return not summary.state.jobs and not summary.withheld


def empty_words(settings: Settings) -> str:
    """What a source without jobs may lack."""
    folders = [name for name in settings.sources if Path(name).is_dir()]
    if len(folders) < len(settings.sources):
        return "the source holds no jobs; is it the right one, and is its disk there?"
    endings = ", ".join(settings.ext or SUFFIXES)
    words = f"no pictures were found in {', '.join(folders)} (files that end in {endings})"
    if settings.ext:
        return f"{words}; without --ext every kind of picture is taken"
    if settings.exclude or any((Path(name) / FILE_NAME).exists() for name in folders):
        return f"{words}; do --exclude or {FILE_NAME} leave out too much?"
    return f"{words}; is it the right folder, and is its disk there?"


def step_after_failures(state: RunState, settings: Settings) -> str:
    """The command that tries failed jobs again: by itself only those that failed in passing."""
    passing = PASSING_CODES - (SAID_BY_COMMANDS if is_command(settings.provider) else frozenset())
    codes = state.failures.keys()
    if passing & codes and settings.retry_failed != "none":
        return f"{again(settings)}  # tries again what failed in passing"
    if codes <= PICTURE_CODES:
        what = at_fault(codes, settings)
        return f"{again(settings)}  # after mending {what}: what changed runs again"
    if codes == {"unsupported"}:
        failed = shlex.quote(str(settings.paths().failed))
        return f"{settings.program} run {failed} --provider NAME -m MODEL  # a model can do those"
    command = settings.command
    if "bad_job" in codes:
        command = without(command, "--skip-bad-lines")
    if codes == {"bad_job"}:
        return f"{again(settings, command)}  # after mending those lines"
    if settings.retry_failed != "all":
        command = f"{without(command, '--retry-failed', RETRY_VALUES)} --retry-failed all"
    kind = "asks anew" if codes == {"checks_failed"} else "after mending what failed"
    return f"{again(settings, command)}  # {kind}"


def at_fault(codes: Collection[str], settings: Settings) -> str:
    """What has to be mended where pictures failed: a line may name one that it must not."""
    in_lines = not all(Path(name).is_dir() or is_picture(name) for name in settings.sources)
    if not in_lines or "not_allowed" not in codes:
        return "the pictures"
    return "the lines" if len(codes) == 1 else "the lines and pictures"


def is_picture(name: str) -> bool:
    """Whether a source is a single image."""
    return name.lower().endswith(SUFFIXES)


def without(command: str, option: str, values: Collection[str] = ()) -> str:
    """A command less an option that is a flag, or has one of some values."""
    words = shlex.split(command)
    kept = list(less(words, option, values))
    return command if kept == words else shlex.join(kept)


def less(words: Iterable[str], option: str, values: Collection[str]) -> Iterator[str]:
    """Words less an option and its value."""
    is_value = False
    for word in words:
        was_value, is_value = is_value and word in values, word == option
        if not (is_value or was_value or word.startswith(f"{option}=")):
            yield word


def again(settings: Settings, command: str = "") -> str:
    """The same command, so that it goes on; what came through stdin is kept in a file."""
    words = [command or settings.command]
    if "-" in settings.sources:
        words += ["<", shlex.quote(str(settings.paths().spool))]
    return " ".join(words)


def look_command(name: str, settings: Settings) -> str:
    """The command of some name (`verify`, `status`) that looks at the same results."""
    output = ["-o", settings.output] if settings.output else []
    return f"{settings.program} {shlex.join([name, *settings.sources, *output])}"
