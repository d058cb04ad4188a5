"""With -v the program tells where it stands while its event loop is held up."""

from server import Reply, Server

PROVIDER = """
import threading
import time
from batch import AsyncGeneratorProvider, Call, ProviderModelMixin, Reply

class Slow(AsyncGeneratorProvider, ProviderModelMixin):
    name = "slow"
    summary = "a server whose wire takes long to write"
    default_model = "slow-1"

    def encode(self, request):
        waits_for_ever_so_long()
        return Call("/slow", "text/plain", (b"x",))

    def decode(self, body):
        return Reply("an answer")

def waits_for_ever_so_long():
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        pass
"""


def run_of_slow(shell, *words):
    """A run through a provider of somebody else's that holds up the loop."""
    shell.write("slow.py", PROVIDER)
    shell.write(
        "slow-1.0.dist-info/METADATA", "Metadata-Version: 2.1", "Name: slow", "Version: 1.0"
    )
    shell.write("slow-1.0.dist-info/entry_points.txt", "[batch.providers]", "slow = slow:Slow")
    shell.monkeypatch.setenv("PYTHONPATH", str(shell.folder))
    shell.jobs(1)
    with Server(script=[Reply(b"an answer")]) as server:
        given = ("--provider", "slow", "--base-url", server.url)
        return shell.process("run", "jobs.jsonl", *given, *words)


def test_with_v_the_stacks_are_told_while_the_loop_is_held_up(shell):
    done = run_of_slow(shell, "-v")
    assert done.code == 0, done.err
    assert "waits_for_ever_so_long" in done.err
    assert "Timeout (0:00:01)!" in done.err


def test_without_v_nothing_is_told_of_it(shell):
    done = run_of_slow(shell)
    assert done.code == 0, done.err
    assert "waits_for_ever_so_long" not in done.err
