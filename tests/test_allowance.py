"""What a reply's headers leave: every vendor's form, and the hostile ones."""

import math
from datetime import UTC, datetime

import pytest
from asking import connected, question
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server import Reply, Server, Status

from batch.errors import RateLimited
from batch.models import Allowance, Bucket, Usage
from batch.providers.allowance import LONGEST_RESET, MOST, allowance_of
from batch.providers.dynaspark import Dynaspark
from batch.providers.retry_after import retry_after

NOON = "Wed, 04 Nov 2026 12:00:00 GMT"
ANSWER = b'{"response": "hello"}'


def openai(kind, left, reset, limit=None):
    told = {f"x-ratelimit-remaining-{kind}": left, f"x-ratelimit-reset-{kind}": reset}
    return told | ({} if limit is None else {f"x-ratelimit-limit-{kind}": limit})


def anthropic(kind, left, reset, limit):
    name = f"anthropic-ratelimit-{kind}-".__add__
    return {name("remaining"): left, name("reset"): reset, name("limit"): limit, "date": NOON}


def plain(left, reset, prefix="x-ratelimit"):
    return {f"{prefix}-remaining": left, f"{prefix}-reset": reset, "date": NOON}


def test_most_servers_say_nothing():
    assert allowance_of({"content-type": "application/json", "date": NOON}) is None


def test_openai_tells_requests_and_tokens_with_a_reset_each():
    told = allowance_of(
        openai("requests", "59", "1s", "60") | openai("tokens", "120000", "6m0s", "150000")
    )
    assert told == Allowance(Bucket(59, 1.0, 1.0), Bucket(120_000, 360.0, 30_000 / 360))


def test_groq_tells_the_requests_of_a_day_whose_reset_is_when_all_are_back():
    told = allowance_of(openai("requests", "14370", "2m59.56s", "14400"))
    assert told.requests.refill == pytest.approx(14_400 / 86_400, rel=0.01)


@pytest.mark.parametrize(("reset", "seconds"), [("20ms", 0.02), ("1s", 1.0), ("1h2m3.5s", 3723.5)])
def test_a_reset_is_a_go_duration(reset, seconds):
    assert allowance_of(openai("tokens", "1", reset)).tokens.reset == pytest.approx(seconds)


def test_anthropic_tells_four_buckets_with_moments_on_its_own_clock():
    told = allowance_of(
        anthropic("requests", "40", "2026-11-04T12:00:30Z", "50")
        | anthropic("tokens", "90000", "2026-11-04T12:00:20Z", "100000")
        | anthropic("input-tokens", "70000", "2026-11-04T12:00:15Z", "80000")
        | anthropic("output-tokens", "16000", "2026-11-04T12:00:12+00:00", "20000")
    )
    assert told == Allowance(
        requests=Bucket(40, 30.0, 10 / 30),
        tokens=Bucket(90_000, 20.0, 500.0),
        input_tokens=Bucket(70_000, 15.0, 10_000 / 15),
        output_tokens=Bucket(16_000, 12.0, 4_000 / 12),
    )


@pytest.mark.parametrize("prefix", ["x-ratelimit", "ratelimit"])
@pytest.mark.parametrize(
    "reset", ["90", "90.0", "1793793690", "1793793690000", "2026-11-04T12:01:30Z", "1m30s"]
)
def test_a_plain_reset_is_seconds_or_a_moment(prefix, reset):
    assert allowance_of(plain("7", reset, prefix)) == Allowance(Bucket(7, 90.0))


def test_a_plain_window_begins_anew_at_its_end_and_not_before():
    told = allowance_of(plain("7", "60") | {"x-ratelimit-limit": "100"})
    assert told.requests.refill == 0.0


def test_the_bucket_with_a_name_goes_before_the_plain_one():
    told = allowance_of(plain("7", "60") | openai("requests", "3", "2s"))
    assert told == Allowance(Bucket(3, 2.0))


@pytest.mark.parametrize(
    "left", ["", "-1", "nan", "NaN", "inf", "-inf", "1e308", "1e13", "many", "\x00", "0x10"]
)
def test_a_number_that_cannot_be_counts_as_not_said(left):
    assert allowance_of(openai("requests", left, "1s")) is None
    assert allowance_of(plain(left, "1")) is None


@pytest.mark.parametrize(
    "reset", ["", "-1", "0", "nan", "inf", "1e308", "soon", "0s", "1" + "0" * 30, "1000000000"]
)
def test_a_reset_that_cannot_be_or_is_past_counts_as_not_said(reset):
    assert allowance_of(openai("requests", "1", reset)) is None
    assert allowance_of(plain("1", reset)) is None


def test_without_a_reset_nobody_knows_how_long_it_has_to_last():
    assert allowance_of({"x-ratelimit-remaining-requests": "5"}) is None


def test_a_moment_without_a_time_zone_counts_as_not_said():
    assert allowance_of(anthropic("requests", "4", "2026-11-04T12:00:30", "5")) is None


def test_no_reset_is_longer_than_a_day():
    told = allowance_of(openai("requests", "0", "9999h") | openai("tokens", "0", "86399s"))
    assert (told.requests.reset, told.tokens.reset) == (LONGEST_RESET, 86_399.0)


@pytest.mark.parametrize("limit", ["", "-5", "nan", "3", "1e308"])
def test_a_limit_that_cannot_be_tells_no_refill(limit):
    assert allowance_of(openai("requests", "4", "2s", limit)) == Allowance(Bucket(4, 2.0))


def test_an_empty_plain_bucket_is_waited_for_after_a_429():
    assert retry_after(plain("0", "1793793690000")) == 90.0
    assert retry_after({"RateLimit-Remaining": "0", "ratelimit-reset": "30"}) == 30.0
    assert retry_after(plain("1", "30")) is None


# What the lane makes of it


def test_what_is_left_may_go_out_at_once():
    assert Bucket(5, 60.0).until(5) == 0.0


def test_more_than_is_left_waits_for_what_comes_back():
    assert Bucket(5, 60.0, refill=0.5).until(10) == 10.0
    assert Bucket(5, 60.0, refill=0.5).until(1e9) == 60.0


def test_a_window_gives_nothing_before_its_end():
    assert Bucket(5, 60.0).until(6) == 60.0


def test_the_scarcest_bucket_decides():
    told = Allowance(
        requests=Bucket(10, 2.0),
        tokens=Bucket(10_000, 30.0),
        input_tokens=Bucket(9_000, 20.0, 100.0),
        output_tokens=Bucket(400, 10.0, 10.0),
    )
    assert told.until(1, Usage()) == 0.0
    assert told.until(11, Usage()) == 2.0
    assert told.until(5, Usage(100, 90)) == 5.0
    assert told.until(10, Usage(1_000, 1)) == 30.0
    assert told.until(10, Usage(950, None)) == 5.0


# On the wire


@pytest.mark.parametrize("spelled", [str.lower, str.title, str.upper])
async def test_a_reply_carries_what_its_headers_leave(spelled):
    headers = {spelled(name): value for name, value in openai("requests", "9", "3s", "12").items()}
    with Server(script=[Reply(ANSWER, headers), Reply(ANSWER)]) as server:
        async with connected(Dynaspark, server.url) as client:
            told, untold = [await client.complete(question()) for _ in range(2)]
    assert (told.text, told.allowance) == ("hello", Allowance(Bucket(9, 3.0, 1.0)))
    assert untold.allowance is None


async def test_an_error_waits_for_the_empty_bucket_however_its_header_is_written():
    headers = {"X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "6m0s"}
    with Server(script=[Status(429, b"{}", headers)]) as server:
        async with connected(Dynaspark, server.url) as client:
            with pytest.raises(RateLimited) as caught:
                await client.complete(question())
    assert caught.value.retry_after == 360.0


NAMES = [
    f"{head}-{which}{tail}"
    for head in ("x-ratelimit", "ratelimit")
    for which in ("remaining", "reset", "limit")
    for tail in ("", "-requests", "-tokens")
] + [
    f"anthropic-ratelimit-{kind}-{which}"
    for kind in ("requests", "output-tokens")
    for which in ("remaining", "reset", "limit")
]
VALUES = st.one_of(
    st.text(st.characters(max_codepoint=0x2FF), max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.sampled_from(["1s", "6m0s", "20ms", "1793793690000", NOON, "0", "T", "2026-11-04T"]),
)


@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["date", *NAMES]), VALUES))
def test_an_allowance_is_finite_whatever_is_sent(headers):
    told = allowance_of(headers)
    if told is None:
        return
    for bucket in (told.requests, told.tokens, told.input_tokens, told.output_tokens):
        if bucket is not None:
            assert 0 <= bucket.left <= MOST
            assert 0 < bucket.reset <= LONGEST_RESET
            assert bucket.refill >= 0
            assert math.isfinite(bucket.refill)
    assert 0 <= told.until(3, Usage(100, 100)) <= LONGEST_RESET
