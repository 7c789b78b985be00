"""What a call's spans say."""

import pytest

from headgate.core.entry import Attempt, Entry
from headgate.core.trace import begun, continued
from headgate.telemetry.traces import spans_of

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def entry(**fields):
    said = {
        "surface": "openai.chat",
        "model": "assistant",
        "provider": "gemini",
        "target": "gemini-2.5-flash",
        "tries": 1,
        "tokens_in": 14,
        "tokens_out": 13,
        "first_ms": 250.0,
        "total_ms": 1500.0,
        "finish": "STOP",
    }
    return Entry(id="1", at=1000.0, request_id="req_1", **{**said, **fields})


def spans(entry, trace=None):
    call, *tries = spans_of(entry, trace or begun(sampled=True))
    return call, tries


def test_a_span_says_in_the_conventions_words_what_happened():
    call, [attempt] = spans(entry(stream=True, cached=4, reasoning=2, cost=5_000_000, tier="free", key_id="key_1"))
    assert call.name == "chat assistant"
    assert dict(call.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "assistant",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "gemini-2.5-flash",
        "gen_ai.response.finish_reasons": ("STOP",),
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 14,
        "gen_ai.usage.output_tokens": 13,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "headgate.request_id": "req_1",
        "headgate.surface": "openai.chat",
        "headgate.provider": "gemini",
        "headgate.status": "ok",
        "headgate.tier": "free",
        "headgate.key_id": "key_1",
        "headgate.estimated": False,
        "headgate.cost_usd": 0.005,
    }
    assert (call.start_time, call.end_time) == (1000 * 10**9, 1001_500_000_000)
    assert call.status.is_ok or call.status.is_unset
    assert attempt.name == "chat gemini-2.5-flash"
    assert attempt.parent == call.context
    assert attempt.kind.name == "CLIENT"


def test_each_try_is_a_span_of_its_own():
    tried = (
        Attempt("openai/gpt", 1000.0, 300.0, "upstream_busy"),
        Attempt("openai/gpt", 1000.5, 200.0, "upstream_timeout"),
        Attempt("gemini/flash", 1000.7, 800.0),
    )
    call, tries = spans(entry(tries=3, attempts=tried))
    assert [one.attributes.get("error.type") for one in tries] == ["upstream_busy", "upstream_timeout", None]
    assert [one.attributes["headgate.try"] for one in tries] == [1, 2, 3]
    assert [one.start_time for one in tries] == [1000 * 10**9, 1000_500_000_000, 1000_700_000_000]
    assert len({one.context.span_id for one in (call, *tries)}) == 4
    assert {one.context.trace_id for one in tries} == {call.context.trace_id}
    assert not tries[0].status.is_ok
    assert call.status.status_code.name == "UNSET"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [("failed", "upstream_busy", "ERROR"), ("partial", "upstream_error", "ERROR"), ("cancelled", "", "UNSET")],
)
def test_what_failed_is_marked(status, error, code):
    call, _ = spans(entry(status=status, error=error))
    assert call.status.status_code.name == code
    assert call.attributes.get("error.type", "") == error


def test_a_refused_call_is_one_span_with_the_limit_that_refused():
    refused = {"provider": "", "target": "", "tries": 0, "first_ms": None, "finish": "", "total_ms": 0.0}
    call, tries = spans(entry(**refused, status="refused", error="rate_limited", limit="tier-free-requests-60s"))
    assert tries == []
    assert call.attributes["headgate.limit"] == "tier-free-requests-60s"
    assert call.status.status_code.name == "UNSET"  # the caller's doing
    assert "gen_ai.usage.input_tokens" not in call.attributes


def test_a_callers_trace_goes_on():
    trace = continued(PARENT)
    call, [attempt] = spans(entry(), trace)
    assert f"{call.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{call.parent.span_id:016x}" == "b7ad6b7169203331"
    assert f"{call.context.span_id:016x}" == trace.span
    assert trace.header == f"00-0af7651916cd43dd8448eb211c80319c-{trace.span}-01"
    assert attempt.parent.span_id == call.context.span_id


def test_the_caller_decides_whether_its_trace_is_sampled():
    assert continued(PARENT).sampled
    assert not continued(PARENT[:-1] + b"0").sampled
    assert continued(b"cc-" + PARENT[3:] + b"-of-a-later-version").sampled


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"00",
        b"ff" + PARENT[2:],
        PARENT + b"-more",
        PARENT.upper(),
        b"00-" + b"0" * 32 + PARENT[35:],
        PARENT[:36] + b"0" * 16 + b"-01",
        PARENT.replace(b"0af", b"\xc3\xa9f"),
        b"00-" + b"a" * 100_000,
    ],
)
def test_a_header_that_is_none_begins_nothing(header):
    assert continued(header) is None
