"""How the tests of the provider core ask: one question, through one provider, of one server."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from server import Server

from batch.errors import BatchError
from batch.models import Message, Request
from batch.providers.connection import Connection
from batch.providers.dynaspark import Dynaspark
from batch.providers.openai import OpenAI
from batch.providers.registry import BUILT_IN, find_provider

over_http = pytest.mark.parametrize("kind", [Dynaspark, OpenAI], ids=lambda kind: kind.name)
COMMAND = "exec:env MODEL={model} cat"
NAMES = [name.replace("exec:COMMAND", COMMAND) for name in BUILT_IN]
over_all = pytest.mark.parametrize("kind", [find_provider(name) for name in NAMES], ids=BUILT_IN)


def question(text="hi"):
    return Request("model-1", (Message("user", text),))


@asynccontextmanager
async def connected(kind, base_url, **options):
    completer = kind().connect(Connection(**{"base_url": base_url, "timeout": 5.0, **options}))
    try:
        yield completer
    finally:
        await completer.close()


async def error_of(kind, *script, **options):
    """The error that the only request of a run through the script ends in."""
    with Server(script=script) as server:
        async with connected(kind, server.url, **options) as client:
            with pytest.raises(BatchError) as caught:
                await client.complete(question())
        await asyncio.to_thread(server.settle)
        assert server.arrived == 1
    return caught.value
