"""Fixtures that several test files share."""

import pytest
from night import Night, answer
from server import Server
from shell import Shell


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long version of tests/proof")
    parser.addoption("--seed", type=int, help="what the random cases of tests/proof begin with")


@pytest.fixture
def shell(tmp_path, capfd, monkeypatch):
    """The command in a folder of its own, with nothing of this machine's environment."""
    return Shell(tmp_path, capfd, monkeypatch)


@pytest.fixture
def server():
    """The scripted server without a script: it gives the right answers."""
    with Server() as one:
        yield one


@pytest.fixture
def night(tmp_path):
    """Make a night of so many jobs against a server that `options` describe."""
    made = []

    def make(jobs=0, **options):
        server = Server(**({"answer": answer} | options)).__enter__()
        made.append(server)
        folder = tmp_path / str(len(made))
        folder.mkdir()
        return Night(folder, server, jobs)

    yield make
    for server in made:
        server.__exit__(None, None, None)
