"""The program is broken on purpose: every such mutant is noticed by a test."""

import pytest
from mutants import MUTANTS, ROOT, house, is_dead


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_has_its_place_in_the_program_and_tests_that_exist(mutant):
    assert mutant.changed() != (ROOT / "batch" / mutant.path).read_text("utf-8")
    assert all((ROOT / "tests" / tests.split()[0]).is_file() for tests in mutant.tests)


def test_no_mutant_lives(tmp_path, chance, many, count):
    copy = house(tmp_path)
    chosen = chance.sample(MUTANTS, many(2, len(MUTANTS)))
    assert [mutant.name for mutant in chosen if not is_dead(mutant, copy)] == []
    count(mutants=len(chosen))
