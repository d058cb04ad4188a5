"""About how many tokens a request takes."""

import pytest

from batch.estimate import ANSWER_TOKENS, IMAGE_TOKENS, TRUSTED, TokenEstimate
from batch.models import Image, ImageLink, Message, Picture, Reply, Request, Text, Usage

PICTURE = Picture(Image(b"\x89PNG" * 9999, "image/png"))
INLINE = "data:image/png;base64," + "iVBO" * 9999


def request(*contents, body=None):
    return Request("model-1", tuple(Message("user", each) for each in contents), body=body)


def said(given, taken):
    return Reply("yes", usage=Usage(given, taken))


PLAIN = request("x" * 400)  # 100 tokens by the rule of thumb, and 200 of an answer


def taught(replies, estimate=None):
    """An estimate that learned from these replies to the plain request."""
    estimate = estimate or TokenEstimate()
    for reply in replies:
        estimate.learn(PLAIN, reply)
    return estimate


def test_four_characters_are_a_token_and_an_answer_is_200():
    estimate = TokenEstimate()
    assert estimate.of(PLAIN) == 100 + ANSWER_TOKENS == 300
    assert estimate.of(request("x" * 40, (Text("x" * 30), Text("x" * 10)))) == 20 + ANSWER_TOKENS
    assert estimate.of(request()) == ANSWER_TOKENS


def test_a_picture_is_a_thousand_tokens_however_many_bytes_it_has():
    content = (Text("x" * 40), PICTURE, PICTURE, ImageLink("https://pictures.example/1.png"))
    assert TokenEstimate().of(request(content)) == 10 + 3 * IMAGE_TOKENS + ANSWER_TOKENS


def test_the_text_of_a_verbatim_body_counts():
    def tokens(text):
        body = {"messages": [{"role": "user", "content": text}]}
        return TokenEstimate().of(request(body=body))

    assert tokens("x" * 400) - tokens("") == 100


def test_a_picture_inside_a_verbatim_body_is_a_thousand_tokens_too():
    def tokens(*parts):
        body = {"messages": [{"role": "user", "content": list(parts)}]}
        return TokenEstimate().of(request(body=body))

    part = {"type": "image_url", "image_url": {"url": INLINE}}
    assert tokens(part) - tokens() == pytest.approx(IMAGE_TOKENS, abs=50)


def test_nine_answers_change_nothing_and_from_the_tenth_on_they_are_believed():
    estimate = taught([said(500, 100)] * (TRUSTED - 1))
    assert estimate.of(PLAIN) == 300
    taught([said(500, 100)], estimate)
    assert estimate.of(PLAIN) == 600
    assert estimate.of(request("x" * 4000)) == 2400
    assert repr(estimate) == "TokenEstimate(2 of the rule of thumb)"


def test_an_estimate_learns_both_ways_and_from_all_answers():
    assert taught([said(20, 10)] * 50).of(PLAIN) == pytest.approx(30)
    assert taught([said(100, 0)] * 10 + [said(200, 300)] * 10).of(PLAIN) == pytest.approx(300)


def test_what_a_reply_used_is_told_also_when_only_one_half_is_known():
    estimate = TokenEstimate()
    assert estimate.learn(PLAIN, said(7, 5)) == 12
    assert estimate.learn(PLAIN, said(None, 5)) == 5
    assert estimate.learn(PLAIN, said(7, None)) == 7
    assert estimate.learn(PLAIN, said(0, 0)) == 0


def test_a_reply_that_tells_of_no_tokens_teaches_nothing():
    estimate = TokenEstimate()
    assert estimate.learn(PLAIN, Reply("yes")) is None
    taught([Reply("yes")] * 50 + [said(500, 100)] * (TRUSTED - 1), estimate)
    assert estimate.of(PLAIN) == 300


def test_a_server_that_counts_nothing_leaves_the_rule_of_thumb():
    assert taught([said(0, 0)] * 50).of(PLAIN) == 300
