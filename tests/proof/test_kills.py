"""The real command is killed with -9 at random moments and run again: nothing is lost or doubled."""

from night import ATTEMPTS
from oracle import paid, recorded


def test_random_kills_lose_nothing_double_nothing_and_tear_nothing(night, chance, many, count):
    rounds, each = many((1, 4), (20, 100))
    for _ in range(rounds):
        made = night(400, latency=0.004)
        kills = 0
        while kills < each:
            kills += made.kill_after(chance.randrange(20))
            verdict = made.judge(finished=False)
            assert not verdict.doubled + verdict.strange + verdict.swapped + verdict.shapeless
            assert made.server.answers - len(recorded(made.results)) <= ATTEMPTS * kills
        assert made.run()[0] == 0
        assert made.judge()
        assert max(paid(made.server, made.prompts).values()) <= 1 + kills
        count(cases=kills)
