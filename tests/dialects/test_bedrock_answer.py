"""What Bedrock's answers say: streams of binary messages cut anywhere, and whole."""

import json

import pytest
from hypothesis import given

from headgate.core.events import Begin, Done, Extra, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import (
    ContextTooLong,
    UpstreamAuth,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamRejected,
)
from headgate.dialects.bedrock_converse_answer import AnswerReader, StreamReader, status_of

from ._eventstream import event, failure, header, message
from ._vendors import CUTS, cut, fold, read

RAW = {"inputTokens": 9, "outputTokens": 7, "totalTokens": 22, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 2}
USAGE = Usage(15, 7, 4, 2, raw=RAW)
CITED = {"title": "T", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}
TRACE = {"guardrail": {"actionReason": "No action."}}


def delta(block, **said):
    return event("contentBlockDelta", contentBlockIndex=block, delta=said)


def stop(block):
    return event("contentBlockStop", contentBlockIndex=block)


def use(block, id_, **more):
    start = {"toolUse": {"toolUseId": id_, "name": "weather", **more}}
    return event("contentBlockStart", contentBlockIndex=block, start=start)


START = event("messageStart", role="assistant", p="abcdefgh")
END = event("messageStop", stopReason="tool_use")
METADATA = event("metadata", usage=RAW, metrics={"latencyMs": 551}, trace=TRACE)
STREAM = b"".join(
    [
        START,
        delta(0, reasoningContent={"text": "Hm, "}),
        delta(0, reasoningContent={"text": "Ösló?"}),
        delta(0, reasoningContent={"signature": "sig"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "b3Bh"}),
        stop(1),
        delta(2, text="I shall "),
        delta(2, text="look. ☂"),
        delta(2, citation=CITED),
        stop(2),
        use(3, "tooluse_1"),
        delta(3, toolUse={"input": '{"city": '}),
        delta(3, toolUse={"input": '"Ósló"}'}),
        stop(3),
        use(4, "tooluse_2"),
        stop(4),
        END,
        METADATA,
    ]
)
WHOLE = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm, Ösló?", "signature": "sig"}}},
                {"reasoningContent": {"redactedContent": "b3Bh"}},
                {"citationsContent": {"content": [{"text": "I shall look. ☂"}], "citations": [CITED]}},
                {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Ósló"}}},
                {"toolUse": {"toolUseId": "tooluse_2", "name": "weather", "input": {}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": RAW,
    "metrics": {"latencyMs": 551},
    "trace": TRACE,
}


def streamed(*chunks):
    return read(StreamReader(), *chunks)


def whole(body):
    return read(AnswerReader(), json.dumps(body).encode())


def answer(reason, *content, **more):
    return {"output": {"message": {"content": list(content)}}, "stopReason": reason, **more}


def test_a_stream_says_it_all():
    events = streamed(STREAM)
    assert events[0] == Begin()
    assert [e for e in events if isinstance(e, Thinking)][-2:] == [Thinking("", "sig"), Thinking(redacted="b3Bh")]
    assert [e for e in events if isinstance(e, ToolCall)] == [
        ToolCall(0, "tooluse_1", "weather"),
        ToolCall(1, "tooluse_2", "weather"),
    ]
    assert ToolArgs(1, "{}") in events
    assert Extra("bedrock", "citation", CITED) in events
    assert events[-3:] == [Done("tool", 0, "tool_use"), Extra("bedrock", "trace", TRACE), USAGE]


@given(CUTS)
def test_any_split_says_the_same(cuts):
    assert streamed(*cut(STREAM, cuts)) == streamed(STREAM)


def test_a_stream_folds_to_the_whole_answer():
    stream, single = fold(streamed(STREAM)), fold(whole(WHOLE))
    for reply in (stream, single):
        for call in reply.choices[0].calls:
            call.arguments = json.loads(call.arguments)
    assert stream == single


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool"),
        ("guardrail_intervened", "filter"),
        ("content_filtered", "filter"),
        ("malformed_tool_use", "error"),
        ("malformed_model_output", "error"),
        ("something_new", "other"),
    ],
)
def test_each_reason_to_stop(raw, reason):
    body = START + delta(0, text="x") + event("messageStop", stopReason=raw)
    assert streamed(body)[-1] == Done(reason, 0, raw)
    assert whole(answer(raw, {"text": "x"}))[-1] == Done(reason, 0, raw)


def test_an_answer_that_called_tools_ended_for_them():
    use_ = {"toolUse": {"toolUseId": "i", "name": "n", "input": {}}}
    assert whole(answer("end_turn", use_))[-1] == Done("tool", 0, "end_turn")
    assert streamed(START + use(0, "i") + event("messageStop", stopReason="end_turn"))[-2:] == [
        ToolArgs(0, "{}"),
        Done("tool", 0, "end_turn"),
    ]


def test_which_sequence_stopped_it():
    more = {"additionalModelResponseFields": {"stop_sequence": "X"}}
    wanted = Done("stop", 0, "stop_sequence", "X")
    assert streamed(START + event("messageStop", stopReason="stop_sequence", **more))[-1] == wanted
    assert whole(answer("stop_sequence", {"text": "a"}, **more))[-1] == wanted


def test_tools_that_bedrock_runs_itself_are_no_calls():
    body = START + use(0, "i", type="server_tool_use") + delta(0, toolUse={"input": "{}"}) + stop(0)
    events = streamed(body + event("messageStop", stopReason="end_turn"))
    assert not [e for e in events if isinstance(e, ToolCall | ToolArgs)]
    assert [e.name for e in events if isinstance(e, Extra)] == ["toolUse", "toolUse"]
    assert events[-1].reason == "stop"


def test_events_that_are_new_are_told_under_their_name():
    events = streamed(START + event("novelty", a=1) + delta(0, image={"source": {}}) + END)
    assert [e.name for e in events if isinstance(e, Extra)] == ["novelty", "image"]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("throttlingException", "Too many requests", UpstreamBusy),
        ("serviceUnavailableException", "later", UpstreamBusy),
        ("internalServerException", "oops", UpstreamDown),
        ("modelStreamErrorException", "oops", UpstreamDown),
        ("modelTimeoutException", "slow", UpstreamDown),
        ("validationException", "messages.0 is wrong", UpstreamRejected),
        ("validationException", "Input is too long for requested model.", ContextTooLong),
        ("novelException", "?", UpstreamDown),
    ],
)
def test_an_exception_in_the_stream_is_its_fault_and_comes_after_what_was_said(name, text, fault):
    reader, told = StreamReader(), []
    events = reader.feed(START + delta(0, text="x") + failure(name, text))
    told += [next(events), next(events)]
    with pytest.raises(fault):
        next(events)
    assert told == [Begin(), Text("x")]


def test_an_error_message_is_a_fault_too():
    said = header(":message-type", "error") + header(":error-code", "InternalError") + header(":error-message", "bad")
    with pytest.raises(UpstreamDown):
        streamed(START + message(b"", said))


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("ValidationException:http://internal.amazon.com/coral/", b"{}", 400),
        ("com.amazonaws#ThrottlingException", b"{}", 429),
        ("ServiceQuotaExceededException", b"{}", 429),
        ("ModelErrorException", b"{}", 500),
        ("ValidationException", b'{"message": "The provided model identifier is invalid."}', 404),
        ("Novel", b"{}", 418),
        ("", b"", 418),
    ],
)
def test_what_exceptions_mean(name, body, status):
    assert status_of(name, body, 418) == status


@pytest.mark.parametrize("body", [STREAM[: STREAM.index(END)], START, b"", STREAM[:-5]])
def test_a_stream_that_breaks_off_is_broken(body):
    with pytest.raises(UpstreamBroken):
        streamed(body)


def test_usage_may_be_missing():
    assert streamed(START + END)[-1] == Done("tool", 0, "tool_use")


@pytest.mark.parametrize(
    "frame",
    [
        message(b"{}", header(":message-type", "event") + header(":event-type", "contentBlockDelta")),
        message(b"no", header(":message-type", "event") + header(":event-type", "messageStart")),
        delta(0, text=5),
        event("messageStop"),
        event("metadata", usage={"inputTokens": "9"}),
        event("contentBlockStart", contentBlockIndex=0, start=[]),
        event("contentBlockDelta", contentBlockIndex=[], delta={"toolUse": {}}),
    ],
)
def test_events_of_other_shapes_are_broken(frame):
    with pytest.raises(UpstreamBroken):
        streamed(START + frame)


@pytest.mark.parametrize("body", [{}, {"output": []}, answer("end_turn", 5), {"output": {"message": {"content": []}}}])
def test_whole_answers_of_other_shapes_are_broken(body):
    with pytest.raises(UpstreamBroken):
        whole(body)


def test_an_error_inside_an_answer_is_its_fault():
    with pytest.raises(UpstreamDown):
        whole({"message": "boom"})
    with pytest.raises(UpstreamAuth):
        whole({"error": {"code": 403, "message": "no"}})


def test_missing_models_may_be_elsewhere():
    said = failure("validationException", "The provided model identifier is invalid.")
    with pytest.raises(UpstreamMissing):
        streamed(said)
