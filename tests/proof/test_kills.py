"""The real command is killed with -9 at random moments: nothing is lost, nothing is doubled."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from album import one_album
from killing import Killed, Unkind, sized_answer

SITUATIONS = {
    "plain": (),
    "every answer synced": ("--sync", "each"),
    "jobs edited meanwhile": (),
    "failures": ("--retries", "0"),
}
A_ROUND = 20
"""Kills of one night before it may end: it has jobs enough for all of them."""


def killed_night(made, chance, situation, kills):
    """The numbers of one night that was killed so often."""
    killed = Killed(made, chance, *SITUATIONS[situation])
    if situation == "jobs edited meanwhile":
        killed.spoil = lambda killed: killed.edit(3)
    if situation == "failures":
        made.server.faults = Unkind()
        killed.extra = len(made.prompts)  # those that fail once, and again at the end
    while killed.kills < kills and len(killed.answers) < len(made.prompts):
        killed.kill()
    killed.finish(code=1 if situation == "failures" else 0)
    return killed.numbers()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_random_kills_lose_nothing_double_nothing_and_tear_nothing(
    night, chance, many, count, situation
):
    nights, kills = many((2, 13), (24, A_ROUND))
    jobs = 20 * kills
    work = [
        (
            night(jobs, latency=0.004, answer=lambda request: sized_answer(request.prompt)),
            random.Random(chance.getrandbits(32)),
            situation,
            kills,
        )
        for _ in range(nights)
    ]
    with ThreadPoolExecutor(2) as threads:
        for numbers in threads.map(lambda each: killed_night(*each), work):
            count(**numbers)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("existing", ["skip", "append"])
def test_kills_leave_no_sidecar_half_or_missing_and_no_edit_lost(
    tmp_path, chance, many, count, existing
):
    albums, kills = many((2, 4), (20, 5))
    work = []
    for number in range(albums):
        folder = tmp_path / str(number)
        folder.mkdir()
        work.append((folder, kills, 12 * kills, existing, random.Random(chance.getrandbits(32))))
    with ThreadPoolExecutor(2) as threads:
        for died, wrong in threads.map(lambda each: one_album(*each), work):
            assert not wrong
            count(cases=died)
