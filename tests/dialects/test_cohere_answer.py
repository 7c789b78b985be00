"""What Cohere answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects._vendors import CUTS, cut, fold, frames, read
from headgate.core.events import Begin, Done, Extra, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import Fault, UpstreamBroken, UpstreamBusy, UpstreamDown
from headgate.dialects.cohere_answer import AnswerReader, StreamReader

CITATION = {"start": 0, "end": 4, "text": "Gras", "sources": [{"type": "document", "id": "d"}]}
USAGE = {
    "billed_units": {"input_tokens": 12.0, "output_tokens": 30.0},
    "tokens": {"input_tokens": 508.0, "output_tokens": 41.0, "reasoning_tokens": 8.0},
    "cached_tokens": 144.0,
}
CALLS = [
    {"id": "paint_1", "type": "function", "function": {"name": "paint", "arguments": '{"c":"grün"}'}},
    {"id": "clock_2", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
]
LOGPROBS = [
    {"text": "Gras", "token_ids": [1], "logprobs": [-0.5]},
    {"text": " ist 🌱", "token_ids": [2, 3], "logprobs": [-0.25, -0.5]},
]
ANSWER = {
    "id": "a1",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "tool_plan": "I will paint, grün.",
        "content": [{"type": "thinking", "thinking": "Hm, grün."}, {"type": "text", "text": "Gras ist 🌱"}],
        "tool_calls": CALLS,
        "citations": [CITATION],
    },
    "logprobs": LOGPROBS,
    "usage": USAGE,
}
EVENTS = [
    Begin("a1"),
    Thinking("I will paint, grün."),
    Thinking("Hm, grün."),
    Text(
        "Gras ist 🌱",
        logprobs=[
            {"token": "Gras", "logprob": -0.5, "bytes": list(b"Gras"), "top_logprobs": []},
            {"token": " ist 🌱", "logprob": -0.75, "bytes": list(" ist 🌱".encode()), "top_logprobs": []},
        ],
    ),
    ToolCall(0, "paint_1", "paint"),
    ToolArgs(0, '{"c":"grün"}'),
    ToolCall(1, "clock_2", "clock"),
    ToolArgs(1, "{}"),
    Extra("cohere", "citations", CITATION),
    Usage(12, 30, cached=12, reasoning=8, raw=USAGE),
    Done("tool", 0, "TOOL_CALL"),
]


def event(kind, index=None, message=None, **more):
    found = {"type": kind} | ({} if index is None else {"index": index})
    return found | ({} if message is None else {"delta": {"message": message}}) | more


def end(reason="COMPLETE", **more):
    return event("message-end", delta={"finish_reason": reason, **more})


def begun(index, call, arguments=""):
    return event(
        "tool-call-start", index, {"tool_calls": call | {"function": call["function"] | {"arguments": arguments}}}
    )


def piece(index, text):
    return event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": text}}})


START = event("message-start", id="a1", message={"role": "assistant", "content": [], "tool_plan": "", "citations": []})
STREAM = (
    frames(
        START,
        event("tool-plan-delta", message={"tool_plan": "I will paint,"}),
        event("tool-plan-delta", message={"tool_plan": " grün."}),
        event("content-start", 0, {"content": {"type": "thinking", "thinking": ""}}),
        event("content-delta", 0, {"content": {"thinking": "Hm, "}}),
        event("content-delta", 0, {"content": {"thinking": "grün."}}),
        event("content-end", 0),
        event("content-start", 1, {"content": {"type": "text", "text": ""}}),
        event("content-delta", 1, {"content": {"text": "Gras"}}, logprobs=LOGPROBS[0]),
        event("content-delta", 1, {"content": {"text": " ist 🌱"}}, logprobs=LOGPROBS[1]),
        event("content-end", 1),
        begun(0, CALLS[0]),
        piece(0, '{"c":'),
        piece(0, '"grün"}'),
        event("tool-call-end", 0),
        begun(1, CALLS[1]),
        event("tool-call-end", 1),
        event("citation-start", 0, {"citations": CITATION}),
        event("citation-end", 0),
        end("TOOL_CALL", usage=USAGE),
        named=True,
    )
    + b"data: [DONE]\n\n"
)


def whole(body):
    return read(AnswerReader(), json.dumps(body).encode())


def streamed(*events):
    return read(StreamReader(), frames(*events, named=True))


def test_a_whole_answer():
    assert whole(ANSWER) == EVENTS


@given(CUTS, st.booleans())
def test_a_stream_folds_to_the_whole_answer_however_it_is_cut(cuts, crlf):
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    assert fold(read(StreamReader(), *cut(stream, cuts))) == fold(EVENTS)


@given(CUTS)
def test_any_cut_gives_the_same_events(cuts):
    assert read(StreamReader(), *cut(STREAM, cuts)) == read(StreamReader(), STREAM)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("ERROR_LIMIT", "length"),
        ("TOOL_CALL", "tool"),
        ("ERROR_TOXIC", "filter"),
        ("ERROR", "error"),
        ("TIMEOUT", "error"),
        ("USER_CANCEL", "other"),
        ("SOMETHING_NEW", "other"),
    ],
)
def test_every_reason_to_stop(finish, reason):
    assert streamed(START, end(finish))[-1] == Done(reason, 0, finish)
    assert whole(ANSWER | {"finish_reason": finish, "message": {"content": []}})[-1] == Done(reason, 0, finish)


def test_calls_are_counted_from_0_whatever_cohere_counts():
    events = streamed(START, begun(4, CALLS[0], "{"), piece(4, "}"), begun(7, CALLS[1]), end("COMPLETE"))
    assert events[1:] == [
        ToolCall(0, "paint_1", "paint"),
        ToolArgs(0, "{"),
        ToolArgs(0, "}"),
        ToolCall(1, "clock_2", "clock"),
        ToolArgs(1, "{}"),
        Done("tool", 0, "COMPLETE"),
    ]


def test_a_call_without_an_id_gets_one_of_its_own():
    nameless = [{"function": {"name": "now", "arguments": "{}"}}] * 2
    calls = fold(whole({"message": {"tool_calls": nameless}, "finish_reason": "TOOL_CALL"})).choices[0].calls
    assert all(call.id for call in calls)
    assert calls[0].id != calls[1].id


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"tokens": {"input_tokens": 5, "output_tokens": 7}}, (5, 7)),
        ({"billed_units": {"input_tokens": 2, "output_tokens": 0}, "tokens": {"output_tokens": 9}}, (2, 0)),
        ({"billed_units": {"output_tokens": 3}}, (0, 3)),
    ],
)
def test_what_is_billed_is_counted_else_what_was_used(usage, wanted):
    used = fold(streamed(START, end(usage=usage))).usage
    assert (used.tokens_in, used.tokens_out) == wanted


@pytest.mark.parametrize("usage", [None, {}, {"cached_tokens": 4}])
def test_without_counts_there_is_no_usage(usage):
    assert fold(streamed(START, end(usage=usage))).usage is None


def test_what_is_new_is_kept():
    debug = {"type": "debug", "prompt": "<BOS>"}
    odd = {"type": "picture", "data": "x"}
    assert streamed(START, debug, end())[1] == Extra("cohere", "debug", debug)
    assert whole({"message": {"content": [odd]}})[1] == Extra("cohere", "content", odd)


@pytest.mark.parametrize("stream", [STREAM[: STREAM.index(b"event: message-end")], b"", STREAM[:600], frames(START)])
def test_a_stream_without_an_end_is_broken(stream):
    with pytest.raises(UpstreamBroken):
        read(StreamReader(), stream)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"message": "You are using a Trial key: too many requests", "code": 429}, UpstreamBusy),
        ({"error": {"message": "overloaded", "code": 503}}, UpstreamBusy),
        (end("ERROR", error="the model failed"), UpstreamDown),
    ],
)
def test_an_error_in_a_stream_is_a_fault(said, fault):
    reader = StreamReader()
    assert list(reader.feed(frames(START))) == [Begin("a1")]
    with pytest.raises(fault):
        list(reader.feed(frames(said)))


def test_an_error_inside_a_200_is_a_fault():
    with pytest.raises(UpstreamBusy):
        whole({"id": "x", "message": "too many requests", "status": 429})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": 1},
        {"message": {"content": "text"}},
        {"message": {"content": [{"text": 5}]}},
        {"message": {"tool_calls": [{"id": "x"}]}},
        {"message": {}, "finish_reason": 1},
        {"message": {}, "usage": {"tokens": {"input_tokens": "many"}}},
        {"message": {}, "logprobs": [{"logprobs": ["x"]}]},
    ],
)
def test_nonsense_is_a_fault_and_no_crash(body):
    with pytest.raises(UpstreamBroken):
        whole(body)


words = ["type", "delta", "message", "content", "text", "tool_calls", "function", "usage", "index", "finish_reason"]
kinds = ["message-start", "content-delta", "tool-call-start", "tool-call-delta", "tool-call-end", "message-end"]
json_values = st.recursive(
    st.none() | st.integers() | st.sampled_from(kinds),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(words), inner, max_size=4),
    max_leaves=10,
)


@given(json_values)
def test_no_json_crashes_a_reader(value):
    for read_it in (whole, lambda each: read(StreamReader(), b"data: %b\n\n" % json.dumps(each).encode())):
        try:
            read_it(value)
        except Fault:
            continue
