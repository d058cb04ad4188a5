"""From the options that were given to Settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from ..checks import Checks
from ..errors import UsageError
from ..media.load import ImageRules
from ..models import Price
from ..providers.registry import find_provider, is_command
from ..settings import Fallback, Settings, is_stream

DECIDING = ("prompt", "system", "model")
PLAIN = frozenset(Settings.__struct_fields__)

NEARNESS = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)
"""Where a value may come from, the nearest to the user first."""

CLUSTER = re.compile(r"-[nqv]+")
"""Short flags, typed as one word or alone."""

UNFIT = frozenset({"--fresh", "--dry-run", "--estimate", "--quiet", "--limit", "--watch"})
"""Options that a command to go on does not have: they begin anew, do nothing, say nothing, were for
a trial, or are those of `status`."""

PASSWORD = re.compile(r"(//[^/\s:@]*:)[^/\s@]+@")


def settings_of(ctx: click.Context, values: dict[str, Any]) -> Settings:
    """The settings that a command's options make; raises `UsageError`."""
    values = dict(values)
    refuse_two_streams(values["sources"])
    prompt, typed_as = prompt_given(ctx, values.pop("prompt"), values.pop("prompt_file"))
    flags: dict[str, Any] = {}
    ambient: dict[str, Any] = {}
    for name in DECIDING:
        value = prompt if name == "prompt" else values.pop(name)
        asked = typed_as if name == "prompt" else name
        if value is not None:
            typed = ctx.get_parameter_source(asked) is ParameterSource.COMMANDLINE
            (flags if typed else ambient)[name] = value
    tables = ctx.meta.get("overnight.providers", {})
    known = tables.get(values["provider"], {})
    for name in ("base_url", "key_file"):
        if not values[name] and name in known:
            values[name] = known[name]
    values["base_urls"] = tuple(values.pop("base_url"))
    refuse_idle_server(ctx, values["provider"])
    images = ImageRules(
        max_bytes=values["max_image_bytes"],
        max_pixels=values["max_image_pixels"],
        max_side=values["max_side"],
        original_bytes=values["original_bytes"],
    )
    values["checks"] = checks_of(values)
    values["fallback"] = fallback_of(values["fallback"], tables)
    plain = {name: value for name, value in values.items() if name in PLAIN and value is not None}
    program = ctx.find_root().info_name or "overnight"
    return Settings(
        **plain,
        flags=flags,
        ambient=ambient,
        images=images,
        price=price_of(known.get("price")),
        program=program,
        command=f"{program} {command_to_go_on(ctx)}",
    )


def checks_of(values: Mapping[str, Any]) -> Checks | None:
    """What is asked of answers; None when nothing is."""
    checks = Checks(**{name: values[name] for name in Checks.__struct_fields__})
    checks.validate()
    return None if checks.asks_nothing else checks


def fallback_of(given: str | None, tables: Mapping[str, Any]) -> Fallback | None:
    """The fallback that `PROVIDER:MODEL` names, with what the configuration knows of it."""
    if given is None:
        return None
    provider, _, model = given.partition(":")
    if is_command(given):  # its colons are its own
        provider, model = given, ""
        if "{model}" in given:
            raise UsageError(f"--fallback {given}: write the model in place of {{model}}")
    find_provider(provider)
    known = tables.get(provider, {})
    return Fallback(
        provider,
        model,
        tuple(known.get("base_url", ())),
        known.get("key_file"),
        price_of(known.get("price")),
    )


def refuse_idle_server(ctx: click.Context, provider: str) -> None:
    """Raise `UsageError` for a server typed beside a provider that has none.

    Somebody who forgets --provider shall not have the answers of a model replaced by measures.
    """
    typed = [
        option
        for option, name in (("--base-url", "base_url"), ("--key-file", "key_file"))
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if typed and find_provider(provider).in_process:
        words = f"{provider} works on this machine and takes no {typed[0]}"
        raise UsageError(f"{words}: say who answers with --provider NAME")


def refuse_two_streams(sources: Iterable[str]) -> None:
    """Raise `UsageError` when more than one source can be read only once."""
    streams = [name for name in sources if is_stream(name)]
    if len(streams) > 1:
        raise UsageError(f"{' and '.join(streams)}: only one source may be stdin or a pipe")


def prompt_given(
    ctx: click.Context, prompt: str | None, path: str | None
) -> tuple[str | None, str]:
    """The prompt, and the name of the option that gave it: the one nearer to the user.

    Raises `UsageError` when both were given in one place.
    """
    if path is None:
        return prompt, "prompt"
    if prompt is not None:
        ours, other = (
            NEARNESS.index(ctx.get_parameter_source(name)) for name in ("prompt", "prompt_file")
        )
        if ours == other:
            raise UsageError("--prompt and --prompt-file are two ways to give one thing: give one")
        if ours < other:
            return prompt, "prompt"
    return prompt_from(path), "prompt_file"


def prompt_from(path: str) -> str:
    """The prompt in a file, without its last newlines."""
    try:
        text = Path(path).read_text("utf-8-sig").rstrip("\n")
    except OSError as error:
        raise UsageError(f"cannot read the prompt file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the prompt file {path} is not UTF-8: save it as UTF-8") from error
    if not text.strip():
        raise UsageError(f"the prompt file {path} is empty")
    return text


def price_of(table: Any) -> Price | None:
    """The price of a `[provider.NAME]` table: dollars for a million tokens in and out."""
    try:
        return None if table is None else msgspec.convert(table, Price, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"price = {{input = 0.15, output = 0.6}} is expected: {error}") from error


def command_to_go_on(ctx: click.Context) -> str:
    """What to type to go on, as a shell takes it: the typed command less its secrets.

    It is a `run` unless it was a `caption`.
    """
    name, *rest = ctx.meta.get("overnight.typed") or ("run",)
    options = [each for each in ctx.command.params if isinstance(each, click.Option)]
    valued = {name for each in options if not each.is_flag for name in each.opts}
    words = [name if name == "caption" else "run", *words_to_go_on(rest, valued)]
    return PASSWORD.sub(r"\1…@", shlex.join(words))


def words_to_go_on(words: Iterable[str], valued: Collection[str]) -> Iterator[str]:
    """The words without options that are unfit; `valued` are those that take the next word."""
    rest = iter(words)
    for word in rest:
        value = [next(rest, "")] if word in valued else []
        if word == "--":
            yield from (word, *rest)
        elif CLUSTER.fullmatch(word):
            yield from ["-v"] if "v" in word else []
        elif word.partition("=")[0] not in UNFIT:
            yield from (word, *value)
