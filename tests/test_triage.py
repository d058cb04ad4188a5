"""Pictures that somebody should look at: the hash, the bands, and the words at the end of a run."""

import random
import re

import pytest
from PIL import Image, ImageDraw, ImageFilter

from batch.providers.offline.picture import difference_hash
from batch.providers.triage import (
    ALIKE,
    BEYOND,
    BLANK,
    CROWD,
    TINY,
    Finding,
    Signs,
    Triage,
    lookalikes,
)


def scene(seed, size=(320, 240)):
    """Sharp shapes, other ones for another seed."""
    chance = random.Random(seed)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y = chance.randrange(size[0]), chance.randrange(size[1])
        colour = tuple(chance.randrange(256) for _ in range(3))
        draw.rectangle((x, y, x + chance.randrange(8, 60), y + chance.randrange(8, 60)), colour)
    return picture


def turned(value, *bits):
    for bit in bits:
        value ^= 1 << bit
    return value


def words_about(told, words):
    return [line for line in told.err.splitlines() if words in line]


def findings(told):
    return [line for line in told.err.splitlines() if re.match(r"\d+ pictures? ", line)]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    return path


# The hash and the bands


def test_the_hash_has_a_bit_for_each_step_to_the_right_that_rises():
    rising = Image.new("L", (9, 8))
    rising.putdata([x * 20 for _ in range(8) for x in range(9)])
    assert difference_hash(rising) == (1 << 64) - 1
    assert difference_hash(rising.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0
    one = Image.new("L", (9, 8))
    one.putpixel((8, 7), 255)
    assert difference_hash(one) == 1 << 63


def test_a_copy_that_is_smaller_and_lossy_keeps_nearly_its_hash(folder):
    picture = scene(1)
    picture.resize((200, 150)).save(folder / "copy.jpg", quality=60)
    copy = Image.open(folder / "copy.jpg")
    assert (difference_hash(picture) ^ difference_hash(copy)).bit_count() <= 4
    assert (difference_hash(picture) ^ difference_hash(scene(2))).bit_count() > 12


@pytest.mark.parametrize("bits", [(), (5,), (0, 1, 2, 3), (0, 16, 32, 48), (15, 31, 47, 63)])
def test_up_to_four_bits_are_found_wherever_they_are(bits):
    value = 0x0123_4567_89AB_CDEF
    assert lookalikes([value, turned(value, *bits)]) == [(1, 0)]


def test_five_bits_are_too_many():
    value = 0x0123_4567_89AB_CDEF
    assert lookalikes([value, turned(value, 0, 16, 32, 48, 49)]) == []


def test_bands_find_what_comparing_all_with_all_finds():
    chance = random.Random(7)
    hashes = [chance.getrandbits(64) for _ in range(150)]
    hashes += [turned(chance.choice(hashes), *chance.sample(range(64), n % 7)) for n in range(150)]
    chance.shuffle(hashes)
    slow = {
        later
        for later, value in enumerate(hashes)
        if any((hashes[n] ^ value).bit_count() <= 4 for n in range(later))
    }
    found = lookalikes(hashes)
    assert [later for later, _ in found] == sorted(slow)
    assert all(first < later for later, first in found)
    assert all((hashes[first] ^ hashes[later]).bit_count() <= 4 for later, first in found)


def test_of_a_crowd_that_shares_a_band_only_the_last_are_compared():
    chance = random.Random(7)
    crowd = [chance.getrandbits(48) << 16 | 0xABCD for _ in range(CROWD * 3)]
    assert lookalikes([*crowd, turned(crowd[-1], 16, 32, 48)]) == [(len(crowd), len(crowd) - 1)]
    assert lookalikes([*crowd, turned(crowd[0], 16, 32, 48)]) == []
    assert lookalikes([*crowd, crowd[0]]) == [(len(crowd), 0)]


# What is collected


def test_the_first_five_by_id_are_named_in_whatever_order_they_come():
    triage = Triage()
    for n in (7, 3, 9, 1, 8, 2, 6):
        triage.add(f"p{n}", Signs((TINY,)))
    assert triage.findings() == (Finding(TINY, 7, ("p1", "p2", "p3", "p6", "p7")),)


def test_a_picture_that_is_asked_about_again_counts_once():
    triage = Triage()
    for _ in range(3):
        triage.add("a", Signs((BLANK,), 77))
    assert triage.findings() == (Finding(BLANK, 1, ("a",)),)


def test_the_one_with_the_first_id_is_the_one_that_others_look_like():
    triage = Triage()
    for name in ("c", "a", "b"):
        triage.add(name, Signs(hash=77))
    assert triage.findings() == (Finding(ALIKE, 2, ("b = a", "c = a")),)


def test_what_has_nothing_to_compare_looks_like_nothing():
    triage = Triage()
    for name in "abc":
        triage.add(name, Signs())
    assert triage.findings() == ()


def test_beyond_the_bound_pictures_are_only_counted():
    triage = Triage(most=2)
    for name in "abcd":
        triage.add(name, Signs((TINY,)))
    assert triage.findings() == (Finding(TINY, 2, ("a", "b")), Finding(BEYOND, 2))


# The words at the end of a run


def test_the_summary_names_the_pictures_to_look_at(shell, folder):
    scene(1).save(folder / "a.png")
    scene(1).resize((200, 150)).save(folder / "a2.jpg", quality=70)
    scene(2).save(folder / "b.png")
    scene(3).filter(ImageFilter.GaussianBlur(12)).save(folder / "soft.png")
    scene(4, (60, 40)).save(folder / "small.png")
    Image.new("RGB", (300, 200), "navy").save(folder / "night.png")
    Image.new("RGB", (300, 200), "white").save(folder / "page.png")
    (folder / "torn.png").write_bytes((folder / "b.png").read_bytes()[:300])
    told = shell("run", "photos", "-p", "Describe it.")
    assert told.code == 1
    assert "\n7 of 8 jobs answered by offline (measured and extracted, no model)" in told.err
    assert findings(told) == [
        "1 picture tiny (under 64 pixels): small.png",
        "2 pictures blank (one colour nearly everywhere): night.png, page.png",
        "1 picture blurred (no fine detail): soft.png",
        "1 picture nearly like another one: a2.jpg = a.png",
    ]
    assert shell.failures("photos.failed.jsonl") == {"torn.png": "image_invalid"}


def test_more_than_five_are_told_as_a_number(shell):
    for n in range(7):
        shell.picture(f"photos/{n}.png")
    told = shell("run", "photos", "-p", "Describe it.")
    assert words_about(told, "tiny") == [
        "7 pictures tiny (under 64 pixels): 0.png, 1.png, 2.png, 3.png, 4.png and 2 more"
    ]


def test_pictures_without_flaws_and_texts_are_told_no_findings(shell, folder):
    scene(1).save(folder / "a.png")
    scene(2).save(folder / "b.png")
    told = shell("run", "photos", "-p", "Describe it.")
    assert told.code == 0
    assert findings(told) == []
    shell.write(
        "t.jsonl", {"id": "t", "prompt": "List the dates in this text: We met on 2 May 2024."}
    )
    told = shell("run", "t.jsonl")
    assert told.code == 0, told.err
    assert findings(told) == []


def test_copies_byte_for_byte_are_named_when_each_is_asked_about(shell, folder):
    for name in "abc":
        scene(1).save(folder / f"{name}.png")
    spared = shell("caption", "photos", "-o", "one.jsonl", "--sidecar", "none")
    assert words_about(spared, "2 requests spared")
    assert not words_about(spared, "nearly like")
    told = shell("caption", "photos", "-o", "two.jsonl", "--sidecar", "none", "--no-dedupe")
    assert words_about(told, "nearly like") == [
        "2 pictures nearly like another one: b.png = a.png, c.png = a.png"
    ]
