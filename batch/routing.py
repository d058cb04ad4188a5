"""From settings to the ways that requests take: providers, servers, lanes, the fallback."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from .completers.fleet import Fleet
from .completers.hedge import Hedge
from .credentials import check_address, check_proxy, find_key, is_local, key_variable
from .errors import Halt, UsageError
from .limits.clock import Clock, Sleep
from .limits.lane import Lane
from .models import Job
from .providers.base import AsyncGeneratorProvider
from .providers.connection import Completer, Connection
from .providers.registry import find_provider
from .routes import Route
from .settings import Settings


class Way(Struct, frozen=True):
    """A route that was checked and is not open yet: nothing was connected."""

    settings: Settings
    provider: AsyncGeneratorProvider
    connections: tuple[Connection, ...]
    model: str = ""
    """What a fallback asks for in place of the jobs' own models."""

    def open(self, clock: Clock, sleep: Sleep) -> Route:
        """The route, with a lane of its own."""
        settings = self.settings
        lane = Lane(settings.concurrency, settings.rpm, clock, sleep, tpm=settings.tpm)
        completer = make_completer(self.provider, self.connections, clock)
        return Route(
            settings.provider,
            Hedge(completer, lane) if settings.hedge else completer,
            lane,
            model=self.model,
            price=settings.price,
            reason_unsupported=reason_unfit(self.provider, self.model),
        )


def make_provider(settings: Settings) -> AsyncGeneratorProvider:
    """The provider named by the settings; raises `UsageError`."""
    return find_provider(settings.provider)()


def make_ways(settings: Settings, provider: AsyncGeneratorProvider) -> tuple[Way, ...]:
    """The way of the provider that was named, and that of its fallback.

    Raises `UsageError` for a bad address or key file, `Halt` when a key is needed and missing.
    """
    ways = [Way(settings, provider, make_connections(provider, settings))]
    if settings.fallback is not None:
        ways.append(fallback_way(settings))
    return tuple(ways)


def fallback_way(settings: Settings) -> Way:
    """The way of the fallback; raises `UsageError` or `Halt`."""
    other = settings.fallback
    assert other is not None
    if other.provider == "offline":
        raise UsageError("--fallback offline: it measures and cannot stand in for a model")
    settings = replace(
        settings,
        provider=other.provider,
        base_urls=other.base_urls,
        key_file=other.key_file,
        price=other.price,
    )
    provider = make_provider(settings)
    model = provider.get_model(other.model)
    if provider.needs_model and not model:
        raise UsageError(f"--fallback {other.provider}: {other.provider} needs a model after a :")
    try:
        connections = make_connections(provider, settings)
    except Halt as error:
        raise UsageError(f"--fallback {other.provider}: {error}") from error
    return Way(settings, provider, connections, model)


def reason_unfit(provider: AsyncGeneratorProvider, model: str) -> Callable[[Job], str]:
    """Why a fallback cannot do a job, as a function of the job."""

    def reason(job: Job) -> str:
        if job.body is not None:
            return "a batch line goes out as it is written, its model too"
        return provider.reason_unsupported(replace(job, model=model or job.model))

    return reason


def make_connections(
    provider: AsyncGeneratorProvider, settings: Settings
) -> tuple[Connection, ...]:
    """How to reach each server of the provider; one unless several addresses are given.

    Raises `UsageError` for a bad or doubled address or a bad key file, `Halt` when a key is
    needed and missing.
    """
    provider.check_usable()
    if provider.in_process:
        return (
            Connection(
                timeout=settings.timeout,
                concurrency=settings.concurrency,
                max_response_bytes=settings.max_response_bytes,
            ),
        )
    key = find_key(settings.provider, settings.key_file, os.environ)
    base_urls = settings.base_urls or tuple(filter(None, [provider.default_base_url]))
    if not base_urls:
        raise UsageError(f"{settings.provider} has no server of its own: give --base-url URL")
    for base_url in base_urls:
        check_address(base_url, has_key=bool(key))
    refuse_doubled(provider, base_urls)
    if provider.needs_auth and not key and not settings.base_urls:
        variable = key_variable(settings.provider)
        raise Halt(f"{settings.provider} needs a key: give --key-file FILE or set {variable}")
    for base_url in base_urls:
        check_proxy(settings.proxy, base_url, has_key=bool(key))
    return tuple(
        Connection(
            base_url=base_url,
            key=key,
            key_variable=key_variable(settings.provider),
            timeout=settings.timeout,
            # All of them, because the others may be away.
            concurrency=settings.concurrency,
            max_response_bytes=settings.max_response_bytes,
            # What goes to this machine has no business in a proxy that the environment names.
            proxy="" if settings.proxy is None and is_local(base_url) else settings.proxy,
        )
        for base_url in base_urls
    )


def refuse_doubled(provider: AsyncGeneratorProvider, base_urls: Sequence[str]) -> None:
    """Raise `UsageError` for two addresses that lead to one place.

    Its server would get twice the share of the others.
    """
    seen = set()
    for base_url in base_urls:
        parts = urlsplit(provider.address(base_url))
        place = parts._replace(netloc=parts.netloc.lower())
        if place in seen:
            raise UsageError(f"--base-url {base_url} is given twice: name each server once")
        seen.add(place)


def make_completer(
    provider: AsyncGeneratorProvider, connections: Sequence[Connection], clock: Clock
) -> Completer:
    """What answers over the connections: a client, or a fleet of them."""
    clients = {each.base_url: provider.connect(each) for each in connections}
    return Fleet(clients, clock) if len(clients) > 1 else clients[connections[0].base_url]
