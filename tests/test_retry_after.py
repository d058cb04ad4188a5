"""Every form in which a server asks to wait, and the hostile ones."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from batch.providers.retry_after import LONGEST, retry_after

NOON = "Wed, 04 Nov 2026 12:00:00 GMT"
DELAY = b'{"error": {"details": [{"retryDelay": "0.5s"}]}}'


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Wed, 04 Nov 2026 12:01:30 GMT", "date": NOON}, 90.0),
        ({"retry-after": "Wednesday, 04-Nov-26 12:01:30 GMT", "date": NOON}, 90.0),
    ],
)
def test_a_server_can_tell_seconds_milliseconds_or_a_date(headers, seconds):
    assert retry_after(headers) == seconds


def test_a_date_is_measured_on_our_clock_when_the_server_tells_no_time():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < retry_after({"retry-after": soon}) <= 60


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "0",
        "NaN",
        "inf",
        "-inf",
        "soon",
        "1e999",
        "5 minutes",
        "0x10",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Wed, 99 Nov 2026 99:00:00 GMT",
        "Wed, 04 Nov 99999 12:00:00 GMT",
        "2026-11-04T13:00:00",
        "\x00",
    ],
)
def test_what_is_past_or_no_time_counts_as_not_said(value):
    assert retry_after({"retry-after": value, "date": NOON}) is None
    assert retry_after({"retry-after-ms": value, "date": NOON}) is None


@pytest.mark.parametrize("value", ["1e308", "1" + "0" * 30, "Wed, 04 Nov 2090 12:00:00 GMT"])
def test_no_wait_is_longer_than_a_year(value):
    assert retry_after({"retry-after": value, "date": NOON}) == LONGEST


def test_gemini_tells_its_delay_in_the_body():
    assert retry_after({}, DELAY) == 0.5
    assert retry_after({}, b'{"retryDelay" : "22s"}') == 22.0
    assert retry_after({"retry-after": "3"}, DELAY) == 3.0
    assert retry_after({"retry-after": "soon"}, DELAY) == 0.5
    assert retry_after({}, b'{"retryDelay": "99999999999999999999s"}') is None


def bucket(left, reset, **more):
    return {"x-ratelimit-remaining-tokens": left, "x-ratelimit-reset-tokens": reset, **more}


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("1s", 1.0), ("6m0s", 360.0), ("20ms", 0.02), ("1h2m3.5s", 3723.5), ("7.66s", 7.66)],
)
def test_an_empty_bucket_of_openai_tells_its_reset_as_a_duration(reset, seconds):
    assert retry_after(bucket("0", reset)) == pytest.approx(seconds)


def test_a_bucket_that_is_not_empty_is_no_reason_to_wait():
    assert retry_after(bucket("12", "6m0s")) is None
    assert retry_after({"x-ratelimit-reset-tokens": "6m0s"}) is None


@pytest.mark.parametrize("reset", ["", "6", "1741305600000", "-5s", "s", "1d", "1s!", "1T", "T"])
def test_a_reset_in_no_known_unit_counts_as_not_said(reset):
    assert retry_after(bucket("0", reset)) is None


def test_an_empty_bucket_of_anthropic_tells_its_reset_as_a_moment():
    name = "anthropic-ratelimit-{}-{}".format
    headers = {
        "date": NOON,
        name("requests", "remaining"): "0",
        name("requests", "reset"): "2026-11-04T12:00:30Z",
        name("input-tokens", "remaining"): "0",
        name("input-tokens", "reset"): "2026-11-04T12:00:45Z",
        name("output-tokens", "remaining"): "8000",
        name("output-tokens", "reset"): "2026-11-04T13:00:00Z",
    }
    assert retry_after(headers) == 45.0


def test_what_is_said_outright_goes_before_any_bucket():
    assert retry_after(bucket("0", "6m0s", **{"retry-after": "2"})) == 2.0
