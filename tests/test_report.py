"""What a report counts and finds: groups of like answers, histograms, first words."""

import random

import pytest

from batch.views.report.alike import alike
from batch.views.report.figures import BARS, beginnings, histogram
from batch.views.report.items import address, cut
from batch.views.report.report import span

BOAT = "a red boat lies on a calm lake under low clouds at noon"


def drawn(numbers, *, whole=True):
    return histogram("Length", numbers, lambda n: f"{n:g}", whole=whole)


@pytest.mark.parametrize(
    ("texts", "groups"),
    [
        ([], []),
        ([BOAT], [0]),
        ([BOAT, BOAT.upper() + "!"], [1, 1]),
        ([BOAT, "a dog sleeps on the mat by the door", BOAT.replace("red", "green")], [1, 0, 1]),
        (["yes", "yes", "no"], [0, 0, 0]),
        (["湖の上に赤い船が浮かぶ", "湖の上に赤い船が浮かび"], [1, 1]),
        ([BOAT, "one two three four five", BOAT, "five four three two one"], [1, 2, 1, 2]),
    ],
)
def test_answers_with_nearly_the_same_words_are_one_group(texts, groups):
    assert alike(texts) == groups


def test_each_of_many_texts_finds_its_twin_and_nobody_else():
    chance = random.Random(5)
    words = [f"word{n}" for n in range(300)]
    texts = [" ".join(chance.sample(words, chance.randint(5, 12))) for _ in range(200)]
    twins = [f"{text} more" for text in texts[:50]]
    assert alike([*texts, *twins]) == [*range(1, 51), *[0] * 150, *range(1, 51)]


def test_every_number_stands_in_one_bar():
    numbers = [n % 37 for n in range(1000)]
    figure = drawn(numbers)
    assert sum(int(bar.label.rpartition(": ")[2].replace(",", "")) for bar in figure.bars) == 1000
    assert max(bar.height for bar in figure.bars) == 56
    assert all(0 <= bar.x < figure.width <= BARS for bar in figure.bars)
    assert (figure.low, figure.middle, figure.high) == ("0", "median 18", "36")


def test_a_straggler_does_not_press_the_others_together():
    figure = drawn([*range(1, 200), 90_000])
    assert len(figure.bars) > 10
    assert figure.bars[-1].label.endswith("208 and more: 1")
    assert figure.high == "208 and more"


@pytest.mark.parametrize("numbers", [[], [3], [3, 3, 3]])
def test_numbers_that_do_not_differ_are_not_drawn(numbers):
    assert drawn(numbers) is None


def test_first_words_are_counted_without_case():
    texts = [
        "The image shows a cat",
        "the  image shows\na dog",
        "The image shows",
        "A cat sits here",
    ]
    found = beginnings(texts)
    assert [(each.words, each.number) for each in found] == [("The image shows", 2)]
    assert found[0].share == pytest.approx(66.7)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("a b/ü#?.png", "pics/a%20b/%C3%BC%23%3F.png"),
        ("./http:x.png", "pics/http%3Ax.png"),
        ("./~a.png", "pics/~a.png"),
        ("\udcff.png", "pics/%FF.png"),
    ],
)
def test_an_image_address_is_relative_and_quoted(tmp_path, reference, found):
    assert address(str(tmp_path / "pics"), reference, tmp_path) == found


def test_a_long_text_says_how_much_is_missing():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 2) == "ab… (4 more characters)"


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:30.500Z"), 90.5),
        (("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z"), 0),
        (("2026-01-01T00:00:00", "2026-01-01T00:00:01Z"), 0),
        (("", "yesterday"), 0),
    ],
)
def test_odd_times_count_for_nothing(times, seconds):
    assert span(times) == seconds
