"""`overnight providers`: what can answer."""

from __future__ import annotations

import click

from ..providers.base import AsyncGeneratorProvider
from ..providers.registry import find_provider, provider_names


@click.command("providers")
@click.argument("name", required=False)
def command(name: str | None) -> int:
    """List the providers, or tell what one of them needs and can do."""
    if name is None:
        names = provider_names()
        width = max(map(len, names))
        for each in names:
            click.echo(f"{each:<{width}}  {find_provider(each).summary}")
        return 0
    for label, text in facts(find_provider(name)).items():
        click.echo(f"{label:<12}{text}")
    return 0


def facts(provider: type[AsyncGeneratorProvider]) -> dict[str, str]:
    """What a provider needs and can do, in words."""
    name = provider.name
    images = "no limit" if provider.max_images is None else str(provider.max_images)
    if provider.in_process:
        server = "none: works on this machine"
        key = "none"
    else:
        server = provider.default_base_url or "yours: --base-url URL"
        need = "needed" if provider.needs_auth else "optional"
        key = f"{need}: --key-file FILE or {name.upper()}_API_KEY"
    return {
        "name": name,
        "summary": provider.summary,
        "server": server,
        "key": key,
        "models": ", ".join(provider.get_models()) or "any: -m MODEL",
        "default": provider.default_model or "none",
        "images": f"{images} a job",
        "schema": "yes" if provider.supports_schema else "no",
    }
