"""`overnight.toml`: defaults for options, and what is known of providers."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError

FILE_NAME = "overnight.toml"
HERE = Path(FILE_NAME)
PROVIDER_KEYS = frozenset({"base_url", "key_file", "price"})
COMMAND_TABLES = frozenset({"run", "caption", "check", "status", "verify", "report", "export"})
TABLES = COMMAND_TABLES | {"provider"}

OWN_TABLE = frozenset({"run", "caption"})
"""Commands that do jobs; the others look at what these did."""

MANNERS = frozenset({"dry_run", "quiet", "verbose", "progress", "json", "watch", "config"})
"""Options that are about one command's own talk, so that `check` does not take them from `run`."""

PROMPTS = frozenset({"prompt", "prompt_file"})
"""Two ways to give one thing: the one that is nearer to the user displaces the other."""


def find_config(given: str | None) -> Path | None:
    """The configuration file: the given one, `./overnight.toml`, or the user's own."""
    if given:
        return Path(given)
    for folder in (HERE.parent, Path(click.get_app_dir("overnight"))):
        if (path := folder / FILE_NAME).is_file():
            return path
    return None


def check_own(path: Path, tables: Mapping[str, dict[str, Any]]) -> None:
    """Raise `UsageError` for what a file that merely lies in the current folder may not do.

    The folder may be a stranger's, unpacked or shared: it shall not start programs by being
    stood in.
    """
    about, folder = path.stat(), path.absolute().parent.stat()
    if folder.st_mode & stat.S_IWOTH and about.st_uid not in (os.geteuid(), 0):
        raise UsageError(f"./{path} is somebody else's, in a folder that all may write into")
    for table in tables.values():
        for name in ("provider", "fallback"):
            if str(table.get(name, "")).startswith("exec:"):
                words = "is not taken from the folder you are in: if you wrote it, say"
                raise UsageError(f"./{path}: the command in `{name}` {words} --config {path}")


def load_config(path: Path | None) -> dict[str, dict[str, Any]]:
    """The tables of a configuration file, names with `_` for `-`.

    Raises `UsageError` for a file that cannot be read and for unknown tables.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no TOML error
        raise UsageError(f"{path}: {error}") from error
    for name, table in tables.items():
        if name not in TABLES:
            hint = nearest(name, TABLES) or f": there are {', '.join(sorted(TABLES))}"
            raise UsageError(f"{path}: unknown table or key {name!r}{hint}")
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {name} must be a table: write [{name}]")
    return {name: underscored(table, f"{path}: [{name}]") for name, table in tables.items()}


def underscored(table: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The table with option names as Python writes them.

    Raises `UsageError` for one that is given twice.
    """
    named = {name.replace("-", "_"): value for name, value in table.items()}
    if len(named) < len(table):
        raise UsageError(f"{place} gives one key twice, with - and with _")
    return named


def apply_config(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Make a command's table its defaults; unknown keys raise `UsageError`.

    `check`, `status` and `verify` look at the job as `run` does, so they take what is set for it,
    by file or environment, where nothing is set for themselves.
    """
    path = find_config(value)
    tables = load_config(path)
    if path == HERE and value is None:
        check_own(HERE, tables)
    known = {p.name: p for p in ctx.command.params if isinstance(p, click.Option) and p.name}
    name = ctx.info_name or ""
    layers = [(f"[{name}] in {path}", command_table(tables, name, known, path))]
    if name not in OWN_TABLE:
        shared = command_table(tables, "run", known, path)
        shared = {key: each for key, each in shared.items() if key not in MANNERS}
        told = environment("run", [each for key, each in known.items() if key not in MANNERS])
        layers = [(f"[run] in {path}", shared), ("$OVERNIGHT_RUN_…", told), *layers]
    origins: dict[str, str] = {}
    ctx.default_map = {}
    for place, values in layers:
        ctx.default_map = laid_over(ctx.default_map, values)
        origins |= dict.fromkeys(values, place)
    ctx.meta["overnight.origins"] = origins
    ctx.meta["overnight.providers"] = provider_tables(tables.get("provider", {}), path)
    return value


def command_table(
    tables: Mapping[str, dict[str, Any]],
    name: str,
    known: Mapping[str, click.Option],
    path: Path | None,
) -> dict[str, Any]:
    """The table of a command; raises `UsageError` for what is no option or no value of one."""
    table = dict(tables.get(name, {}))
    for key, value in table.items():
        if key not in known or key == "config":
            raise UsageError(f"{path}: unknown key {key!r} in [{name}]{nearest(key, known)}")
        if known[key].multiple:
            table[key] = texts(value, f"{path}: {key} in [{name}]")
        elif isinstance(value, (dict, list)):
            raise UsageError(f"{path}: {key} in [{name}] must be a text, a number, true or false")
    return table


def texts(value: Any, place: str) -> list[str]:
    """The values of an option that may be given several times; raises `UsageError`."""
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in listed):
        raise UsageError(f"{place} must be a text or a list of texts")
    return listed


def environment(name: str, options: Iterable[click.Option]) -> dict[str, Any]:
    """What the environment sets for the options of a command; several values stand apart."""
    found: dict[str, Any] = {}
    for each in options:
        if value := os.environ.get(f"OVERNIGHT_{name}_{each.name}".upper()):
            found[str(each.name)] = value.split() if each.multiple else value
    return found


def laid_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """`upper` laid over `lower`; a prompt displaces a prompt file, and the other way round."""
    if PROMPTS & upper.keys():
        lower = {key: value for key, value in lower.items() if key not in PROMPTS}
    return {**lower, **upper}


def provider_tables(tables: dict[str, Any], path: Path | None) -> dict[str, dict[str, Any]]:
    """The `[provider.NAME]` tables; raises `UsageError` for names and keys that are unknown."""
    if not tables:
        return {}
    from ..providers.registry import provider_names

    names = provider_names()
    found = {}
    for name, table in tables.items():
        place = f"{path}: [provider.{name}]"
        if name not in names:
            hint = nearest(name, names) or f": there are {', '.join(names)}"
            raise UsageError(f"{place}: unknown provider{hint}")
        if not isinstance(table, dict):
            raise UsageError(f"{place} must be a table")
        found[name] = underscored(table, place)
        for key, value in found[name].items():
            if key not in PROVIDER_KEYS:
                raise UsageError(f"{place}: unknown key {key!r}{nearest(key, PROVIDER_KEYS)}")
            if key == "base_url":
                found[name][key] = texts(value, f"{place}: {key}")
            elif key != "price" and not isinstance(value, str):
                raise UsageError(f"{place}: {key} must be a text")
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question; empty when none is near."""
    near = difflib.get_close_matches(name.replace("-", "_"), sorted(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""
