"""Which providers there are, and how another distribution adds one."""

import importlib
import sys

import pytest
from server import Server, expected_answer

from batch.errors import UsageError
from batch.models import Message, Request
from batch.providers.connection import Connection
from batch.providers.registry import BUILT_IN, find_provider, provider_names

PLUGIN = '''
from batch.models import Reply
from batch.providers.base import AsyncGeneratorProvider
from batch.providers.wire import form_call


class Upper(AsyncGeneratorProvider):
    """Asks a Dynaspark server in capitals."""

    name = "upper"
    summary = "capitals"

    def encode(self, request):
        words = request.messages[-1].text.upper()
        return form_call("/generate_response", {"user_input": words, "ai_model": request.model})

    def decode(self, body):
        return Reply(body.decode())


NO_PROVIDER = 5
'''

POINTS = """[batch.providers]
upper = tiny_plugin:Upper
fake = tiny_plugin:Upper
nothing = tiny_plugin:NO_PROVIDER
missing = tiny_plugin:Missing
unknown = no_such_module_here:Any
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A distribution with entry points, installed for one test."""
    (tmp_path / "tiny_plugin.py").write_text(PLUGIN)
    info = tmp_path / "tiny_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("tiny_plugin", None)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_provider_bears_the_name_that_finds_it(name):
    assert find_provider(name).name == name


def test_the_built_in_providers_are_told_first():
    assert provider_names()[: len(BUILT_IN)] == list(BUILT_IN)
    assert provider_names()[0] == "offline"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("opnai", "did you mean openai?"),
        ("dinaspark", "did you mean dynaspark?"),
        ("zzz", "there are offline, dynaspark, openai, fake"),
        ("", "there are offline"),
        ("execute", "exec:COMMAND"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, words):
    with pytest.raises(UsageError) as caught:
        find_provider(name)
    assert f"there is no provider {name!r}" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.usefixtures("plugin")
async def test_a_provider_of_another_distribution_is_found_and_answers():
    assert "upper" in provider_names()
    provider = find_provider("upper")()
    with Server() as server:
        client = provider.connect(Connection(base_url=server.url))
        reply = await client.complete(Request("m", (Message("user", "quiet"),)))
        await client.close()
    assert expected_answer("QUIET") in reply.text


@pytest.mark.usefixtures("plugin")
def test_a_plugin_is_named_among_the_nearest():
    with pytest.raises(UsageError, match="did you mean upper"):
        find_provider("uper")


@pytest.mark.usefixtures("plugin")
def test_no_plugin_takes_the_name_of_a_built_in_provider():
    assert find_provider("fake").__module__ == "batch.providers.fake"
    assert provider_names().count("fake") == 1


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "is no AsyncGeneratorProvider"),
        ("missing", "cannot be loaded"),
        ("unknown", "cannot be loaded: No module named 'no_such_module_here'"),
    ],
)
def test_a_plugin_that_is_broken_is_told_and_not_raised(name, words):
    with pytest.raises(UsageError) as caught:
        find_provider(name)
    assert repr(name) in str(caught.value)
    assert words in str(caught.value)
