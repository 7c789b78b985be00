"""Every vendor's errors, as Faults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.faults import (
    ContextTooLong,
    Fault,
    Then,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamQuota,
    UpstreamRejected,
)
from headgate.dialects.errors import MESSAGE_LIMIT, complaint, fault_for, fault_in_band, redact, seconds

SHAPES = {
    "openai": {"error": {"message": "Bad words.", "type": "invalid_request_error", "param": None, "code": None}},
    "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "Bad words."}},
    "gemini": {"error": {"code": 400, "message": "Bad words.", "status": "INVALID_ARGUMENT"}},
    "gemini stream": [{"error": {"code": 400, "message": "Bad words.", "status": "INVALID_ARGUMENT"}}],
    "mistral": {"object": "error", "message": "Bad words.", "type": "invalid_request_error", "code": "400"},
    "mistral detail": {"detail": "Bad words."},
    "cohere": {"id": "1", "message": "Bad words."},
    "ollama": {"error": "Bad words."},
    "hugging face": {"error": ["Bad words."], "error_type": "validation"},
    "responses": {"type": "error", "code": "invalid_prompt", "message": "Bad words.", "sequence_number": 1},
    "inner": {"message": "Bad words.", "type": "invalid_request_error"},
    "sentence": "Bad words.",
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_words_of_a_refused_request_are_found_in_every_shape(shape):
    fault = fault_in_band(shape, 400)
    assert type(fault) is UpstreamRejected
    assert fault.message == "Bad words."
    assert fault.status == 400


def test_a_validation_error_names_its_place():
    detail = [{"loc": ["body", "messages", 0], "msg": "Field required", "type": "missing"}, {"msg": "Too long"}]
    assert fault_in_band({"detail": detail}, 422).message == "body.messages.0: Field required; Too long"


@pytest.mark.parametrize(
    ("status", "kind", "then"),
    [
        (302, "UpstreamRedirected", Then.ELSEWHERE),
        (400, "UpstreamRejected", Then.STOP),
        (401, "UpstreamAuth", Then.ELSEWHERE),
        (402, "UpstreamQuota", Then.ELSEWHERE),
        (403, "UpstreamAuth", Then.ELSEWHERE),
        (404, "UpstreamMissing", Then.ELSEWHERE),
        (408, "UpstreamDown", Then.AGAIN),
        (409, "UpstreamDown", Then.AGAIN),
        (413, "ContextTooLong", Then.ELSEWHERE),
        (418, "UpstreamRejected", Then.STOP),
        (422, "UpstreamRejected", Then.STOP),
        (429, "UpstreamBusy", Then.AGAIN),
        (500, "UpstreamDown", Then.AGAIN),
        (502, "UpstreamDown", Then.AGAIN),
        (503, "UpstreamBusy", Then.AGAIN),
        (504, "UpstreamDown", Then.AGAIN),
        (529, "UpstreamBusy", Then.AGAIN),
    ],
)
def test_a_status_alone_says_what_to_do(status, kind, then):
    fault = fault_for(complaint(None), status)
    assert (type(fault).__name__, fault.then) == (kind, then)
    assert fault.message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"error": {"message": "m", "code": "context_length_exceeded"}}),
        (400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, you ..."}}),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}),
        (413, {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}),
        (400, {"error": {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}),
        (400, {"message": "Prompt contains 9 tokens ... too large for model with 8 maximum context length"}),
        (400, {"message": "too many tokens: size limit exceeded", "error_type": "TOO_MANY_TOKENS"}),
        (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 9 + 2 > 8"}}),
        (400, {"error": "This model's maximum prompt length is 8 but the request contains 9 tokens."}),
        (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8"}),
        (400, {"error": {"message": "Please reduce the length of the messages or completion."}}),
        (
            400,
            {
                "error": {
                    "message": "the request exceeds the available context size",
                    "type": "exceed_context_size_error",
                }
            },
        ),
    ],
)
def test_a_prompt_that_does_not_fit_is_known_by_every_vendors_words(status, error):
    assert type(fault_in_band(error, status)) is ContextTooLong


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "temperature: range: 0..1",
        "'context' is not a field",
    ],
)
def test_other_refusals_are_not_taken_for_a_long_prompt(message):
    assert type(fault_in_band({"error": {"message": message}}, 400)) is UpstreamRejected


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}}),
        (400, {"type": "error", "error": {"message": "Your credit balance is too low to access the API."}}),
        (400, {"type": "error", "error": {"message": "You have reached your specified API usage limits."}}),
        (402, {"error": {"message": "Insufficient Balance"}}),
        (429, {"error": {"message": "Your project has exceeded its monthly spending cap."}}),
        (403, {"error": "Your team has used all available credits or reached its monthly spending limit."}),
        (402, {"error": "You have exceeded your monthly included credits for Inference Providers."}),
        (429, {"error": {"code": "billing_hard_limit_reached", "message": "m"}}),
    ],
)
def test_used_up_money_is_never_tried_again(status, error):
    fault = fault_in_band(error, status)
    assert type(fault) is UpstreamQuota
    assert fault.then is Then.ELSEWHERE
    assert "credits" not in fault.message


def test_geminis_rate_limit_is_not_taken_for_used_up_money():
    message = "You exceeded your current quota, please check your plan and billing details."
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}]
    error = {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}
    fault = fault_in_band(error, 429)
    assert type(fault) is UpstreamBusy
    assert fault.retry_after == 37


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, {"error": {"message": "Incorrect API key provided: sk-live-secret123."}}),
        (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key. AIzaSecret123"}}),
        (400, {"error": {"message": "m", "details": [{"reason": "API_KEY_INVALID"}]}}),
        (403, {"error": {"message": "Key sk-live-secret123 lacks access", "status": "PERMISSION_DENIED"}}),
        (400, {"error": {"message": "User location is not supported for the API use."}}),
        (401, {"detail": "Invalid API Key"}),
    ],
)
def test_a_refused_credential_is_told_in_neutral_words(status, error):
    fault = fault_in_band(error, status)
    assert type(fault) is UpstreamAuth
    assert fault.message == "the provider refused Headgate's credential"


def test_flagged_words_are_the_callers_to_mend():
    fault = fault_in_band({"error": {"message": "Your input was flagged as violence", "code": 403}}, 403)
    assert type(fault) is UpstreamRejected
    assert "flagged" in fault.message


@pytest.mark.parametrize("status", [403, 404, None])
def test_a_model_that_is_missing_by_code_is_missing(status):
    error = {"error": {"message": "No model `x`.", "code": "model_not_found", "type": "invalid_request_error"}}
    fault = fault_in_band(error, status)
    assert type(fault) is UpstreamMissing
    assert fault.message == "No model `x`."


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, UpstreamBusy),
        ({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}, UpstreamBusy),
        ({"error": {"status": "RESOURCE_EXHAUSTED"}}, UpstreamBusy),
        ({"error": {"type": "invalid_request_error", "code": "rate_limit_exceeded"}}, UpstreamBusy),
        ({"error": {"message": "m", "type": "server_error", "code": None}}, UpstreamDown),
        ({"error": "an error was encountered while running the model"}, UpstreamDown),
        ({"error": {"message": "m", "type": "invalid_request_error"}}, UpstreamRejected),
        ({"error": {"message": "m", "type": "insufficient_quota"}}, UpstreamQuota),
        ({"error": {"message": "m", "code": "context_length_exceeded"}}, ContextTooLong),
        ({"type": "error", "error": {"type": "authentication_error", "message": "m"}}, UpstreamAuth),
        ({"type": "error", "code": "server_error", "message": "m"}, UpstreamDown),
        ({"error": {"code": "502", "message": "m"}}, UpstreamDown),
    ],
)
def test_an_error_inside_a_stream_is_known_by_its_words(error, kind):
    assert type(fault_in_band(error)) is kind


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_concerns_our_account_is_not_repeated(status):
    error = {"error": {"message": "Rate limit reached for m in organization org-abc123 on tokens per min"}}
    assert "org-" not in fault_in_band(error, status).message


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("Rate limit reached. Please try again in 1.2s. Visit https://x", 1.2),
        ("Please try again in 20ms.", 0.02),
        ("Please try again in 6m0s.", 360),
        ("Please try again in 7m12.5s.", 432.5),
        ("Please try again in 1h2m3s.", 3723),
        ("Please retry in 37.5s", 37.5),
        ("Retry after 59 seconds.", 59),
        ("Try again in 2 minutes", 120),
        ("Try again in a moment", None),
        ("Try again later", None),
    ],
)
def test_a_pause_asked_for_in_words_is_understood(message, wait):
    assert fault_in_band({"error": {"message": message}}, 429).retry_after == wait


def test_a_model_that_loads_says_how_long():
    error = {"error": "Model x is currently loading", "estimated_time": 20.5}
    fault = fault_in_band(error, 503)
    assert (type(fault), fault.retry_after) == (UpstreamBusy, 20.5)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("37s", 37),
        ("1m30.5s", 90.5),
        ("6ms", 0.006),
        ("12", 12),
        ("0.5", 0.5),
        (" 2 s ", 2),
        ("1d", 86400),
        ("", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("soon", None),
        ("5x", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_durations_are_read(text, wait):
    assert seconds(text) == wait


SECRETS = [
    "sk-proj-Abc123def456",
    "sk-ant-api03-xyz",
    "sk-fake-key",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "hf_abcdefghijk",
    "gsk_abc123",
    "hg_abcdef123",
    "xai-abc123def",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln",
    "org-abc123DEF",
    "0123456789abcdef0123456789abcdef",
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ1234567890abcd==",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_whatever_looks_like_a_key_is_redacted(secret):
    for text in (f"Key {secret} is bad", f'{{"key":"{secret}"}}', f"Bearer {secret}", f"https://h/?key={secret}&a=1"):
        assert secret not in redact(text)
        assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "The model `gpt-4o-mini-2024-07-18` does not exist or you do not have access to it.",
        "Model meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8 is not supported",
        "models/gemini-3.6-flahs is not found for API version v1beta",
        "messages.0.content.1.image.source.base64: invalid base64 data (ref: 96164522-08b2-4cbf-886e-e5a38961a688)",
        "This key-value pair and the user-defined tool are too long; see https://platform.openai.com/docs/guides/errors",
    ],
)
def test_ordinary_words_are_kept(text):
    assert redact(text) == text


def test_a_message_is_one_line_and_capped():
    assert redact("a\r\nb\x00\x1b[31mc\u2028d") == "a b [31mc d"
    long = redact("word " * 100_000)
    assert len(long) == MESSAGE_LIMIT
    assert long.endswith("…")


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["error", "400"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "type", "status", "details", "retryDelay", "loc"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(value=json, status=st.none() | st.integers(300, 599))
def test_no_error_is_too_odd_to_be_read(value, status):
    fault = fault_in_band(value, status)
    assert isinstance(fault, Fault)
    assert 0 < len(fault.message) <= MESSAGE_LIMIT
