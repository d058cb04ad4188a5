"""`overnight.toml`: defaults for options, and what is known of providers."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError

FILE_NAME = "overnight.toml"
PROVIDER_KEYS = frozenset({"base_url", "key_file", "price"})
TABLES = frozenset({"run", "check", "status", "verify", "provider"})


def find_config(given: str | None) -> Path | None:
    """The configuration file: the given one, `./overnight.toml`, or the user's own."""
    if given:
        return Path(given)
    for folder in (Path(), Path(click.get_app_dir("overnight"))):
        if (path := folder / FILE_NAME).is_file():
            return path
    return None


def load_config(path: Path | None) -> dict[str, dict[str, Any]]:
    """The tables of a configuration file, names with `_` for `-`.

    Raises `UsageError` for a file that cannot be read and for unknown tables.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for name, table in tables.items():
        if name not in TABLES or not isinstance(table, dict):
            raise UsageError(f"{path}: unknown table or key {name!r}{nearest(name, TABLES)}")
    return {name: underscored(table) for name, table in tables.items()}


def underscored(table: dict[str, Any]) -> dict[str, Any]:
    """The table with option names as Python writes them."""
    return {name.replace("-", "_"): value for name, value in table.items()}


def apply_config(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Make a command's table its defaults; unknown keys raise `UsageError`.

    `check`, `status` and `verify` look at the job as `run` does, so they share its table.
    """
    path = find_config(value)
    tables = load_config(path)
    known = {param.name for param in ctx.command.params if param.name}
    name = ctx.info_name or ""
    own = tables.get(name, {})
    for key in own:
        if key not in known:
            raise UsageError(f"{path}: unknown key {key!r} in [{name}]{nearest(key, known)}")
    shared = tables.get("run", {}) if name in ("check", "status", "verify") else {}
    ctx.default_map = {**{k: v for k, v in shared.items() if k in known}, **own}
    ctx.meta["overnight.providers"] = provider_tables(tables.get("provider", {}), path)
    return value


def provider_tables(tables: dict[str, Any], path: Path | None) -> dict[str, dict[str, Any]]:
    """The `[provider.NAME]` tables; raises `UsageError` for unknown keys."""
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: [provider.{name}] must be a table")
        for key in underscored(table):
            if key not in PROVIDER_KEYS:
                hint = nearest(key, PROVIDER_KEYS)
                raise UsageError(f"{path}: unknown key {key!r} in [provider.{name}]{hint}")
    return {name: underscored(table) for name, table in tables.items()}


def nearest(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question; empty when none is near."""
    near = difflib.get_close_matches(name.replace("-", "_"), sorted(known), n=1)
    return f": did you mean {near[0]!r}?" if near else ""
