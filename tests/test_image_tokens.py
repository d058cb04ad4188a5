"""How many tokens a picture counts, by the formulas that vendors publish."""

import pytest

from batch.providers.image_tokens import (
    OPENAI_MODELS,
    Patches,
    Tiles,
    find_formulas,
    image_tokens,
    patches,
)


@pytest.mark.parametrize(
    ("size", "budget", "count"),
    [
        ((1024, 1024), 1536, 1024),
        ((1800, 2400), 1536, 1452),
        ((2400, 1800), 1536, 1452),
        ((1800, 2400), None, 57 * 75),
        ((1, 1), 1536, 1),
        ((33, 32), 1536, 2),
        ((100_000, 1), 1536, 1536),
    ],
)
def test_a_picture_is_covered_by_patches_within_the_budget(size, budget, count):
    assert patches(*size, budget) == count


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),
        ("gpt-4o", (2048, 4096), 1105),
        ("gpt-4o", (512, 512), 255),
        ("gpt-4o-mini", (1024, 1024), 2833 + 4 * 5667),
        ("gpt-5", (1024, 1024), 70 + 4 * 140),
        ("o1", (1024, 1024), 75 + 4 * 150),
        ("gpt-4.1-mini", (1024, 1024), 1659),
        ("o4-mini", (1800, 2400), 2498),
    ],
)
def test_a_model_counts_by_its_own_formula(model, size, tokens):
    assert image_tokens(find_formulas(model), *size) == (tokens, tokens)


def test_a_model_that_chooses_is_told_as_a_range():
    # 2048 pixels of the longer side and 2,500 patches, or the picture as it is.
    assert image_tokens(find_formulas("gpt-5.5"), 3000, 2000) == (2400, 94 * 63)


def test_dated_and_tuned_models_are_their_family_and_others_are_unknown():
    assert find_formulas("gpt-4o-2024-08-06") == OPENAI_MODELS["gpt-4o"]
    assert find_formulas("ft:gpt-4o-2024-08-06:us::1") == OPENAI_MODELS["gpt-4o"]
    assert find_formulas("gpt-4o-audio-preview") == ()
    assert find_formulas("llava") == ()


def test_low_detail_is_the_base_of_tiles_and_at_least_few_patches():
    assert image_tokens((Tiles(85, 170),), 1024, 1024, "low") == (85, 85)
    assert image_tokens((Patches(1536),), 1024, 1024, "low") == (256, 1024)


def test_an_unknown_model_is_somewhere_between_all_formulas():
    low, high = image_tokens((), 1024, 1024)
    known = [image_tokens(find_formulas(name), 1024, 1024) for name in OPENAI_MODELS]
    assert low == min(least for least, _ in known)
    assert high == 2520  # 1,024 patches of a nano model
    assert image_tokens((), 8, 6) == (1, 1120)
