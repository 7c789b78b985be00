"""The Responses API, the upstream's side: answers become events, whole, streamed, split anywhere, or broken."""

import json

import pytest

from dialects._responses_samples import (
    CALL,
    CITATION,
    ITEMS,
    LOGPROB,
    MESSAGE,
    REASONING,
    SEARCH,
    USAGE,
    ev,
    fold,
    frames,
    opening,
    read,
    response,
    streamed,
)
from headgate.core.events import (
    Begin,
    Done,
    Extra,
    Refusal,
    SaidCall,
    Text,
    Thinking,
    ToolArgs,
    ToolCall,
    Usage,
    Verbatim,
)
from headgate.core.faults import UpstreamBroken, UpstreamBusy, UpstreamDown, UpstreamRejected
from headgate.dialects.openai_responses_reader import AnswerReader, StreamReader, Watcher, WholeWatcher

CITED = Extra(
    "openai",
    "annotations",
    [{"type": "url_citation", "url_citation": {k: v for k, v in CITATION.items() if k != "type"}}],
)
COUNTED = Usage(20, 30, 4, 2, 10, raw=USAGE)
WHOLE = json.dumps(response(output=ITEMS)).encode()


def test_a_stream_is_read_event_by_event():
    assert read(StreamReader(), frames(*streamed())) == [
        Begin("resp_1", "gpt-5"),
        Thinking("First"),
        Thinking(","),
        Thinking("\n\n"),
        Thinking("then."),
        Thinking(signature="sealed"),
        Extra("openai-responses", "item", SEARCH),
        Text("H", logprobs=[LOGPROB]),
        Text("é 🌍"),
        CITED,
        Refusal("No."),
        ToolCall(0, "call_a", "weather"),
        ToolArgs(0, '{"city":'),
        ToolArgs(0, '"Zürich"}'),
        ToolCall(1, "call_b", "patch"),
        ToolArgs(1, "free text"),
        Done("tool", raw="completed"),
        COUNTED,
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("crlf", [False, True])
def test_any_split_gives_the_same_events(size, crlf):
    body = frames(*streamed())
    whole = read(StreamReader(), body)
    if crlf:
        body = body.replace(b"\n", b"\r\n")
    assert read(StreamReader(), *(body[at : at + size] for at in range(0, len(body), size))) == whole


def test_a_stream_folds_to_what_the_whole_answer_says():
    stream, whole = fold(read(StreamReader(), frames(*streamed()))), fold(read(AnswerReader(), WHOLE))
    assert stream == whole
    choice = whole.choices[0]
    assert (choice.text, choice.thinking, choice.refusal) == ("Hé 🌍", "First,\n\nthen.", "No.")
    assert choice.calls == [
        SaidCall("call_a", "weather", '{"city":"Zürich"}'),
        SaidCall("call_b", "patch", "free text"),
    ]


def test_servers_that_name_no_events_are_understood():
    body = frames(*streamed(), names=False)
    assert read(StreamReader(), body) == read(StreamReader(), frames(*streamed()))


def test_items_that_came_without_deltas_are_read_from_their_ends():
    ends = [ev("output_item.done", at, item=item) for at, item in enumerate(ITEMS)]
    told = fold(read(StreamReader(), frames(*opening(), *ends, ev("completed", response=response()))))
    assert told == fold(read(AnswerReader(), WHOLE))


def test_an_answer_that_only_its_last_frame_tells_is_read_from_there():
    told = read(StreamReader(), frames(ev("completed", response=response(output=ITEMS))))
    assert told[0] == Begin("resp_1", "gpt-5")
    assert fold(told) == fold(read(AnswerReader(), WHOLE))


def test_thoughts_that_are_told_both_ways_are_read_once():
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}
    told = [
        ev("output_item.added", 0, item=item),
        ev("reasoning_text.delta", 0, content_index=0, delta="Hm"),
        ev("reasoning_summary_text.delta", 0, summary_index=0, delta="Hm"),
        ev("output_item.done", 0, item=item),
        ev("completed", response=response(output=[item])),
    ]
    assert fold(read(StreamReader(), frames(*opening(), *told))).choices[0].thinking == "Hm"
    assert fold(read(AnswerReader(), json.dumps(response(output=[item])).encode())).choices[0].thinking == "Hm"


def test_a_thought_signature_comes_back_with_its_call():
    item = {**CALL, "extra_content": {"google": {"thought_signature": "sig"}}}
    told = read(AnswerReader(), json.dumps(response(output=[item])).encode())
    assert ToolCall(0, "call_a", "weather", signature="sig") in told


@pytest.mark.parametrize(
    ("status", "details", "output", "done"),
    [
        ("completed", None, [MESSAGE], Done("stop", raw="completed")),
        ("completed", None, [CALL], Done("tool", raw="completed")),
        ("incomplete", {"reason": "max_output_tokens"}, [MESSAGE], Done("length", raw="max_output_tokens")),
        ("incomplete", {"reason": "content_filter"}, [CALL], Done("filter", raw="content_filter")),
        ("incomplete", None, [], Done("other", raw="incomplete")),
    ],
)
def test_an_answer_ends_for_its_reason(status, details, output, done):
    last = response(status, output, incomplete_details=details)
    for events in (
        read(AnswerReader(), json.dumps(last).encode()),
        read(WholeWatcher(), json.dumps(last).encode()),
        read(StreamReader(), frames(*opening(), ev(status, response=last))),
        read(Watcher(), frames(*opening(), ev(status, response=last))),
    ):
        assert done in events
        assert COUNTED in events


FAILED = response("failed", error={"code": "rate_limit_exceeded", "message": "slow down"})
BROKEN_OFF = [
    (ev("failed", response=FAILED), UpstreamBusy),
    (ev("failed", response=response("failed", error=None)), UpstreamDown),
    ({"type": "error", "code": "server_error", "message": "oops", "param": None}, UpstreamDown),
    ({"type": "error", "error": {"type": "invalid_request_error", "message": "bad image"}}, UpstreamRejected),
    (ev("completed", response={**response(), "output": None}), UpstreamBroken),
    (ev("cancelled", response=response("cancelled")), UpstreamBroken),
    ({"type": ""}, UpstreamBroken),
]


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
@pytest.mark.parametrize(("last", "fault"), BROKEN_OFF)
def test_a_failure_that_comes_first_is_clean(reader, last, fault):
    seen = []
    with pytest.raises(fault):
        seen.extend(reader().feed(frames(*opening(), last)))
    assert seen == []


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
def test_what_came_before_a_failure_is_not_lost(reader):
    seen = []
    body = frames(*opening(), ev("output_text.delta", 0, delta="Hi"), {"type": "error", "message": "oops"})
    with pytest.raises(UpstreamDown):
        seen.extend(reader().feed(body))
    assert Text("Hi") in seen or b'"Hi"' in seen[0].data


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
def test_a_cut_stream_is_broken(reader):
    body = frames(*streamed()[:-1])
    with pytest.raises(UpstreamBroken):
        read(reader(), body)


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
@pytest.mark.parametrize(
    "junk", [b"data: {bro\n\n", b"data: []\n\n", b"data: \xff\n\n", b"data: " + b"[" * 9999 + b"\n\n"]
)
def test_nonsense_is_broken(reader, junk):
    with pytest.raises(UpstreamBroken):
        read(reader(), frames(*opening()) + junk)


@pytest.mark.parametrize("reader", [AnswerReader, WholeWatcher])
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", UpstreamBroken),
        (b"[]", UpstreamBroken),
        (b"{}", UpstreamBroken),
        (json.dumps(response(output=["x"])).encode(), UpstreamBroken),
        (json.dumps(response("in_progress")).encode(), UpstreamBroken),
        (json.dumps({"error": {"message": "no", "code": "server_error"}}).encode(), UpstreamDown),
        (json.dumps(FAILED).encode(), UpstreamBusy),
    ],
)
def test_a_whole_answer_that_is_none_is_a_fault(reader, body, fault):
    with pytest.raises(fault):
        read(reader(), body)


def test_a_watched_stream_is_passed_on_frame_by_frame_but_for_its_end():
    body = frames(*streamed())
    events = read(Watcher(), *(body[at : at + 50] for at in range(0, len(body), 50)))
    passed = [event for event in events if isinstance(event, Verbatim)]
    assert b"".join(event.data for event in passed) == frames(*streamed()[:-1])
    assert sum(event.frames for event in passed) == len(streamed()) - 1
    *_, done, usage, final = events
    assert (done, usage) == (Done("tool", raw="completed"), COUNTED)
    assert final.name == "final"
    assert final.value["response"] == response(output=ITEMS)


def test_a_watched_streams_opening_waits_for_what_follows():
    watcher = Watcher()
    assert list(watcher.feed(frames(*opening()))) == []
    (event,) = watcher.feed(frames(ev("output_item.added", 0, item=REASONING)))
    assert event.frames == 3


def test_nothing_is_passed_on_after_the_end():
    watcher = Watcher()
    list(watcher.feed(frames(*streamed())))
    assert list(watcher.feed(b"data: [DONE]\n\n" + frames(ev("output_text.delta", 0, delta="more")))) == []
    assert list(watcher.close()) == []


def test_a_frame_of_several_lines_is_passed_on_as_one():
    watcher = Watcher()
    (event,) = watcher.feed(b'event: response.queer\ndata: {"type":\ndata: "response.queer"}\n\n')
    assert event.data == b'event: response.queer\ndata: {"type": "response.queer"}\n\n'


def test_a_watched_whole_answer_is_passed_on_untouched():
    body = b'{ "id":"resp_1", "model":"gpt-5", "status":"completed", "output":[], "brand_new": 1.50 }'
    assert read(WholeWatcher(), body) == [Verbatim(body), Begin("resp_1", "gpt-5"), Done("stop", raw="completed")]


def test_cached_tokens_are_never_more_than_were_sent():
    usage = {"input_tokens": 5, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 9}}
    told = read(AnswerReader(), json.dumps({**response(), "usage": usage}).encode())
    assert told[-1] == Usage(5, 1, 5, raw=usage)
