"""What a provider takes of pictures, and what several takers have in common."""

from batch.image_limits import GIF, JPEG, PNG, WEBP, ImageLimits, least


def test_a_total_is_divided_among_the_pictures_of_a_request():
    limits = ImageLimits(max_bytes=10, max_total_bytes=24)
    assert limits.share(1).max_bytes == 10
    assert limits.share(2).max_bytes == 10
    assert limits.share(3).max_bytes == 8
    assert ImageLimits(max_total_bytes=24).share(4) == ImageLimits(max_bytes=6)
    assert limits.share(0).max_bytes == 10


def test_without_a_total_each_picture_has_the_limits_as_they_are():
    limits = ImageLimits(max_bytes=10, max_side=5)
    assert limits.share(100) is limits


def test_two_providers_take_what_both_take():
    one = ImageLimits((JPEG, PNG, WEBP), animations=True, max_bytes=10)
    other = ImageLimits((GIF, PNG, JPEG), animations=False, max_bytes=20, max_side=8000)
    both = ImageLimits((JPEG, PNG), animations=False, max_bytes=10, max_side=8000)
    assert one.narrowed(other) == both
    assert set(other.narrowed(one).types) == set(both.types)


def test_a_missing_limit_is_larger_than_any():
    assert least(None, 3, 2, None) == 2
    assert least(None, None) is None
