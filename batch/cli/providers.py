"""`overnight providers`: what can answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ..credentials import key_variable
from ..errors import UsageError
from ..media.formats import FORMATS
from ..providers.base import AsyncGeneratorProvider
from ..providers.registry import find_provider, provider_names
from .out import put_text

EXEC = "exec:COMMAND"


def work(_ctx: click.Context, values: dict[str, Any]) -> int:
    """Print a line a provider, or all about one."""
    if values["name"] is None:
        told = {name: summary(name) for name in provider_names()}
    else:
        told = facts(find_provider(EXEC if values["name"] in ("exec", "exec:") else values["name"]))
    width = max(map(len, told)) + 2
    put_text("\n".join(f"{label:<{width}}{text}" for label, text in told.items()))
    return 0


def summary(name: str) -> str:
    """What a provider is, in a line; of a plug-in that cannot be used, why."""
    try:
        return find_provider(name).summary
    except UsageError as error:
        return str(error)


def facts(provider: type[AsyncGeneratorProvider]) -> dict[str, str]:
    """What a provider needs and can do, in words."""
    name = provider.name
    images = "any number of images" if provider.max_images is None else str(provider.max_images)
    if provider.in_process:
        server = "none: works on this machine"
        key = "none"
    else:
        server = provider.default_base_url or "yours: --base-url URL"
        need = "needed, optional with --base-url" if provider.needs_auth else "optional"
        key = f"{need}: --key-file FILE or {key_variable(name)}"
    return {
        "name": name,
        "summary": provider.summary,
        "server": server,
        "key": key,
        **model_facts(provider),
        "images": f"{images} a job",
        **image_facts(provider),
        "schema": "yes" if provider.supports_schema else "no",
    }


def model_facts(provider: type[AsyncGeneratorProvider]) -> dict[str, str]:
    """What models a provider has, and which one is asked when none is named."""
    models = ", ".join(provider.get_models()) or "any that the server has"
    default = provider.default_model or "none: name one with -m"
    if provider.name == EXEC:
        models, default = "any: -m stands in place of {model} in the command", "none"
    return {"models": models, "default": default}


def image_facts(provider: type[AsyncGeneratorProvider]) -> dict[str, str]:
    """What a provider takes of each picture; nothing of one that takes none."""
    if provider.max_images == 0:
        return {}
    limits = provider.image_limits
    facts = {"as they are": listed(limits.types)}
    elsewhere = provider().limits_at(["http://127.0.0.1"])
    if not provider.in_process and elsewhere.types != limits.types:
        facts["as they are"] += f" (with --base-url: {listed(elsewhere.types)})"
    facts["converted"] = listed([kind for kind in FORMATS if kind not in limits.types]) or "none"
    facts["animations"] = "as they are" if limits.animations else "their first picture"
    sizes = {
        "bytes an image": limits.max_bytes,
        "bytes a job": limits.max_total_bytes,
        "pixels a side": limits.max_side,
    }
    told = [f"{size:,} {unit}" for unit, size in sizes.items() if size is not None]
    facts["at most"] = "; ".join(told) or "what the server takes"
    return facts


def listed(types: Sequence[str]) -> str:
    """Media types by the names that people use."""
    return ", ".join(FORMATS[kind].name if kind in FORMATS else kind for kind in types)
