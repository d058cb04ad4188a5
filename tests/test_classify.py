"""The bodies that vendors and servers were seen to send, each sorted into what the run does.

Those that stop a run, and those that only look so, stand with their words in `golden/stops`.
"""

import json

import pytest

from batch.errors import Denied, Halt, RateLimited, Rejected, Retryable
from batch.providers.base import AsyncGeneratorProvider
from batch.providers.classify import RULES, Rule, classify, error_words, is_html, plain

HTML = "<!DOCTYPE html><html><head><title>503</title><style>p{}</style></head><p>Sorry</html>"


def openai(message, kind=None, code=None, **more):
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def anthropic(kind, message, **details):
    error = {"type": kind, "message": message, **({"details": details} if details else {})}
    return {"type": "error", "error": error, "request_id": "req_1"}


def gemini(code, status, message, *details):
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return {"error": error}


def quota(quota_id, delay="22s"):
    rpc = "type.googleapis.com/google.rpc."
    violation = {"quotaMetric": "generate_content_requests", "quotaId": quota_id}
    return (
        {"@type": rpc + "QuotaFailure", "violations": [violation]},
        {"@type": rpc + "RetryInfo", "retryDelay": delay},
    )


QUOTA = "You exceeded your current quota, please check your plan and billing details."
IN_FLIGHT = {"limit_source": "openrouter_in_flight_budget"}
FLAGGED = {"code": 403, "message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}
UPSTREAM = {"code": 502, "message": "Provider returned error", "metadata": {"raw": "overloaded"}}
TOO_LONG = "This model's maximum context length is 4096 tokens."
VLLM_OLD = {"object": "error", "message": TOO_LONG, "type": "BadRequestError", "code": 400}
LLAMA_LONG = {
    "code": 400,
    "message": "too long",
    "type": "exceed_context_size_error",
    "n_ctx": 4096,
}
FASTAPI = {"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required"}]}
HUGE = "Request too large for gpt-5 on tokens per min (TPM): Limit 30000, Requested 43512."
CUT = "The request body is not valid JSON: unexpected end of data: line 1 column 9"
BUSY = "server busy, please try again. maximum pending requests exceeded"
PER_MINUTE = quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
PER_DAY = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
SCHEMA = "Invalid schema: 'billing_address' needs a type"

GOLDEN = [
    # OpenAI
    (429, openai("Resource unavailable", "requests", "resource_unavailable"), RateLimited),
    (429, openai(HUGE, "tokens", "rate_limit_exceeded"), "rejected"),
    (400, openai("The model `gpt-0` does not exist", code="model_not_found"), Halt),
    (400, openai("Invalid image.", "image_parse_error"), "rejected"),
    (400, openai(TOO_LONG, "invalid_request_error", "context_length_exceeded"), "rejected"),
    (400, openai("flagged", "invalid_request_error", "content_policy_violation"), "refused"),
    (400, openai(SCHEMA, "invalid_request_error", "invalid_json_schema"), "rejected"),
    (503, openai("Slow down", "server_error", "slow_down"), RateLimited),
    (503, openai("Overloaded", "server_error", "server_is_overloaded"), RateLimited),
    (500, openai("The server had an error", "server_error"), Retryable),
    # Anthropic
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), "rejected"),
    (400, anthropic("invalid_request_error", "temperature: Extra inputs"), "rejected"),
    (400, anthropic("invalid_request_error", CUT), Retryable),
    (529, anthropic("overloaded_error", "Overloaded"), Retryable),
    (504, anthropic("timeout_error", "Request timed out"), Retryable),
    # Gemini
    (429, [gemini(429, "RESOURCE_EXHAUSTED", QUOTA, *PER_DAY)], Halt),
    (400, gemini(400, "INVALID_ARGUMENT", "Unable to process input image"), "rejected"),
    (503, gemini(503, "UNAVAILABLE", "The model is overloaded."), Retryable),
    (503, gemini(503, "RESOURCE_EXHAUSTED", "Resource has been exhausted"), RateLimited),
    # OpenRouter
    (402, {"error": {"code": 402, "message": "in flight", "metadata": IN_FLIGHT}}, RateLimited),
    (403, {"error": FLAGGED}, "refused"),
    (403, {"error": {"code": 403, "message": "Your account was flagged"}}, Denied),
    (408, {"error": {"code": 408, "message": "Request timed out"}}, Retryable),
    (502, {"error": UPSTREAM}, Retryable),
    (503, {"error": {"code": 503, "message": "No provider available"}}, Retryable),
    # vLLM, llama.cpp, Ollama, LM Studio and others
    (400, VLLM_OLD, "rejected"),
    (422, FASTAPI, "rejected"),
    (400, {"error": LLAMA_LONG}, "rejected"),
    (500, {"error": LLAMA_LONG}, "rejected"),
    (503, {"error": BUSY}, RateLimited),
    (400, {"error": "invalid image input"}, "rejected"),
    (400, {"error": "Model does not support images"}, "rejected"),
    (413, HTML, "rejected"),
    (503, HTML, Retryable),
    (403, HTML, RateLimited),
    (403, "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", Denied),
    (520, "error code: 520", Retryable),
    (999, "", Retryable),
    (418, "", "rejected"),
]


def sort(status, body, **headers):
    data = body if isinstance(body, str) else json.dumps(body)
    return classify(status, {k.replace("_", "-"): v for k, v in headers.items()}, data.encode())


@pytest.mark.parametrize(("status", "body", "expected"), GOLDEN)
def test_a_known_body_is_sorted_as_the_vendor_means_it(status, body, expected):
    told = sort(status, body)
    if isinstance(expected, str):
        assert (type(told), told.code) == (Rejected, expected)
    else:
        assert type(told) is expected


def test_a_402_that_names_a_time_to_wait_is_a_rate_limit():
    told = sort(402, {"error": {"message": "later"}}, retry_after="9")
    assert (type(told), told.retry_after) == (RateLimited, 9.0)


def test_a_per_minute_quota_of_gemini_waits_as_long_as_its_body_says():
    assert sort(429, gemini(429, "RESOURCE_EXHAUSTED", QUOTA, *PER_MINUTE)).retry_after == 22.0


def test_the_quota_of_a_day_is_told_as_such():
    told = sort(429, gemini(429, "RESOURCE_EXHAUSTED", QUOTA, *PER_DAY))
    assert "quota of this day" in str(told)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_a_server_that_says_retry_is_believed(status):
    assert type(sort(status, {"error": "odd"}, x_should_retry="true")) is Retryable


@pytest.mark.parametrize("status", [408, 409, 425, 500, 503, 529])
def test_a_server_that_says_do_not_retry_is_believed(status):
    told = sort(status, {"error": "odd"}, x_should_retry="false")
    assert (type(told), told.code, told.http_status) == (Rejected, "server_error", status)


def test_a_spent_quota_is_final_whatever_the_header_says():
    told = sort(429, openai(QUOTA, "insufficient_quota"), x_should_retry="true")
    assert type(told) is Halt


def test_a_429_not_to_be_retried_stops_the_run_unless_it_names_a_time():
    assert type(sort(429, {"error": "limit"}, x_should_retry="false")) is Halt
    told = sort(429, {"error": "limit"}, x_should_retry="false", retry_after="5")
    assert type(told) is RateLimited


def test_what_a_user_wrote_is_never_taken_for_a_code():
    echo = {"detail": [{"type": "missing", "msg": "no", "input": {"code": "insufficient_quota"}}]}
    assert type(sort(422, echo)) is Rejected


def test_a_provider_can_put_rules_before_the_shared_ones():
    class Gateway(AsyncGeneratorProvider):
        rules = (Rule(Rejected, "rejected", {404}), *RULES)

    assert type(Gateway().classify(404, {}, b"no such picture")) is Rejected
    assert type(Gateway().classify(405, {}, b"")) is Halt


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"null", "null"),
        (b"7", "7"),
        (b'"just text"', "just text"),
        (b"plain\r\n\x1b[31mtext\x00", "plain \ufffd[31mtext\ufffd"),
        (b'{"error": {}}', '{"error": {}}'),
        (b'{"error": {"message": {"error": "deep"}}}', "deep"),
        (b'{"errors": [{"message": "first"}, {"message": "second"}]}', "first"),
        (b'{"detail": [{"msg": "Field required"}]}', "Field required"),
        (b'[{"error": {"message": "in a list"}}]', "in a list"),
        (b'{"error": 5, "message": ""}', '{"error": 5, "message": ""}'),
        (HTML.encode(), "<page> 503 Sorry"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 4096),
    ],
)
def test_the_words_are_found_in_every_form_of_body(body, words):
    assert error_words(body)[0] == words


def test_a_page_full_of_open_tags_is_read_in_no_time():
    assert error_words(b"<" * 8_000_000)[0].startswith("<page>")
    assert error_words(b"<script" * 1_000_000)[0].startswith("<page>")


def test_a_page_is_known_by_its_start():
    assert is_html(b"\xef\xbb\xbf \n<HTML>")
    assert is_html(b'<?xml version="1.0"?><!DOCTYPE html><html>')
    assert not is_html(b"<?xml version='1.0'?><Error/>")
    assert not is_html(b"a < b")


def test_words_are_one_printable_line():
    assert plain("a\n\tb\u2028c\x07") == "a b c\ufffd"
    assert len(plain("x" * 10_000_000)) == 4096
