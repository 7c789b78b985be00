"""What Anthropic's answers mean, however their bytes are cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects._anthropic_samples import ANSWER, CITATION, EVENTS, FOUND, SEARCH, fold, frames, meaning, read, sse
from headgate.core.events import Begin, Done, Extra, Text, Thinking, ToolArgs, ToolCall, Usage, Verbatim
from headgate.core.faults import UpstreamBroken, UpstreamBusy
from headgate.dialects.anthropic_messages_reader import (
    AnswerReader,
    StreamReader,
    Watcher,
    WholeWatcher,
    read_count,
)

STREAM = sse(EVENTS)
BODY = json.dumps(ANSWER).encode()
START = sse(EVENTS[:1])


def cuts(stream, places):
    places = [0, *sorted(places), len(stream)]
    return [stream[a:b] for a, b in pairwise(places)]


def passed(events):
    return b"".join(event.data for event in events if isinstance(event, Verbatim))


def bare(events):
    return [event for event in events if not isinstance(event, Verbatim)]


def test_a_stream_is_read_into_its_full_meaning():
    events = read(StreamReader(), STREAM)
    assert [event for event in events if not isinstance(event, Usage)] == [
        Begin("msg_1", "claude-sonnet-4-5-20250929"),
        Thinking("Let me think."),
        Thinking(" Grün."),
        Thinking(signature="c2ln"),
        Thinking(redacted="b3BhcXVl"),
        Extra("anthropic", "server_tool_use", SEARCH),
        Extra("anthropic", "web_search_tool_result", FOUND),
        Text("Gras ist"),
        Text(" grün. 🌱"),
        Extra("anthropic", "citation", CITATION),
        ToolCall(0, "toolu_1", "paint"),
        ToolArgs(0, '{"colour": "gr'),
        ToolArgs(0, 'ün", "layers": [1, 2]}'),
        ToolCall(1, "toolu_2", "clock"),
        ToolArgs(1, "{}"),
        Done("tool", raw="tool_use"),
    ]


def test_usage_counts_the_cached_prompt_and_the_last_word_wins():
    first, last = [event for event in read(StreamReader(), STREAM) if isinstance(event, Usage)]
    assert (first.tokens_in, first.tokens_out) == (116, 1)
    assert (last.tokens_in, last.tokens_out, last.cached, last.cache_write, last.reasoning) == (116, 42, 100, 5, 9)


def test_a_stream_folds_to_the_same_reply_as_the_whole_answer():
    streamed, answered = meaning(fold(read(StreamReader(), STREAM))), meaning(fold(read(AnswerReader(), BODY)))
    blocks = sorted(streamed[1][0][4], key=str), sorted(answered[1][0][4], key=str)
    assert blocks[0] == blocks[1]
    assert streamed == answered


@given(st.lists(st.integers(0, len(STREAM)), max_size=40), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_cutting_of_the_bytes_changes_nothing(places, crlf, bom):
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    stream = (b"\xef\xbb\xbf" if bom else b"") + stream
    chunks = cuts(stream, [min(place, len(stream)) for place in places])
    assert read(StreamReader(), *chunks) == read(StreamReader(), STREAM)
    watched, whole = read(Watcher(), *chunks), read(Watcher(), STREAM)
    assert passed(watched) == passed(whole)
    assert bare(watched) == bare(whole)


def test_a_whole_answer_may_come_byte_by_byte():
    assert read(AnswerReader(), *(bytes([b]) for b in BODY)) == read(AnswerReader(), BODY)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool"),
        ("refusal", "filter"),
        ("pause_turn", "pause"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "other"),
    ],
)
def test_every_stop_reason_has_a_meaning(raw, reason):
    said = {"type": "message_delta", "delta": {"stop_reason": raw, "stop_sequence": "END"}, "usage": {}}
    done = Done(reason, raw=raw, stop_sequence="END")
    assert read(StreamReader(), START, sse([said]))[-1] == done
    assert read(Watcher(), START, sse([said]))[-1] == done
    assert read(AnswerReader(), json.dumps({**ANSWER, **said["delta"]}).encode())[-1] == done


def test_details_of_the_end_are_extras():
    details = {"type": "refusal", "category": "bio"}
    delta = {"stop_reason": "refusal", "stop_details": details}
    managed = {"applied_edits": []}
    said = {"type": "message_delta", "delta": delta, "usage": {}, "context_management": managed}
    streamed = read(StreamReader(), START, sse([said]))
    answered = read(AnswerReader(), json.dumps({**ANSWER, **delta, "context_management": managed}).encode())
    for events in (streamed, answered):
        assert Extra("anthropic", "stop_details", details) in events
        assert Extra("anthropic", "context_management", managed) in events


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
def test_a_stream_that_stops_in_the_middle_is_broken(reader):
    with pytest.raises(UpstreamBroken, match="in the middle"):
        read(reader(), sse(EVENTS[:-2]))


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
@pytest.mark.parametrize("last", [EVENTS[-2], EVENTS[-1]])
def test_a_stop_reason_or_the_stop_event_finishes_a_stream(reader, last):
    assert any(isinstance(event, Done) for event in read(reader(), START, sse([last])))


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
def test_the_last_blank_line_may_be_missing(reader):
    assert any(isinstance(event, Done) for event in read(reader(), STREAM.rstrip(b"\n")))


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
def test_an_error_in_the_stream_is_a_fault_after_what_was_said(reader):
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    before = list(reader().feed(sse(EVENTS[:5])))
    feed = iter(reader().feed(sse([*EVENTS[:5], error])))
    assert [next(feed) for _ in before] == before
    with pytest.raises(UpstreamBusy):
        next(feed)


@pytest.mark.parametrize("reader", [AnswerReader, WholeWatcher])
def test_an_error_with_status_200_is_a_fault(reader):
    with pytest.raises(UpstreamBusy):
        read(reader(), b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
@pytest.mark.parametrize(
    "frame",
    [
        b'data: {"type": "message_de\n\n',
        b"data: <html>\n\n",
        b"data: []\n\n",
        b'event: content_block_delta\ndata: {"type": 5}\n\n',
        b'data: {"type":"message_delta"}\n\n',
    ],
)
def test_nonsense_in_the_stream_is_broken(reader, frame):
    with pytest.raises(UpstreamBroken):
        read(reader(), START, frame, sse(EVENTS[-2:]))


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
def test_a_stream_of_another_dialect_is_broken_before_anything_is_passed_on(reader):
    feed = iter(reader().feed(b'data: {"id":"chatcmpl-1","choices":[]}\n\n'))
    with pytest.raises(UpstreamBroken):
        next(feed)


@pytest.mark.parametrize("reader", [AnswerReader, WholeWatcher])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"type":"message","content":"hi","stop_reason":"end_turn"}',
        b'{"type":"message","content":[],"stop_reason":null}',
    ],
)
def test_a_body_that_is_no_finished_message_is_broken(reader, body):
    with pytest.raises(UpstreamBroken):
        read(reader(), body)


def test_the_input_of_an_unnamed_tool_is_broken():
    piece = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}}
    with pytest.raises(UpstreamBroken, match="did not name"):
        read(StreamReader(), START, sse([piece]))


def test_a_tool_call_whose_input_comes_at_once_is_read():
    block = {"type": "tool_use", "id": "toolu_1", "name": "paint", "input": {"colour": "red"}}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    stop = {"type": "content_block_stop", "index": 0}
    assert ToolArgs(0, '{"colour":"red"}') in read(StreamReader(), START, sse([start, stop, *EVENTS[-2:]]))


def test_a_watcher_passes_frames_on_and_keeps_the_end_for_the_writer():
    events = read(Watcher(), STREAM)
    assert [data for _, data in frames(passed(events))] == EVENTS[:-2]
    begin, first, last, end, done = bare(events)
    assert begin == Begin("msg_1", "claude-sonnet-4-5-20250929")
    assert (first.tokens_out, last.tokens_out) == (1, 42)
    assert end == Extra("anthropic", "message_delta", EVENTS[-2])
    assert done == Done("tool", raw="tool_use")


def test_a_watcher_says_one_verbatim_for_each_read():
    chunks = cuts(STREAM, [len(STREAM) // 3, len(STREAM) // 2])
    events = read(Watcher(), *chunks)
    assert [event.frames for event in events if isinstance(event, Verbatim)] == [
        len(frames(event.data)) for event in events if isinstance(event, Verbatim)
    ]
    assert sum(isinstance(event, Verbatim) for event in events) == 3


def test_a_watcher_names_events_that_came_without_a_name():
    nameless = b"".join(line + b"\n" for line in STREAM.split(b"\n") if not line.startswith(b"event:"))
    assert passed(read(Watcher(), nameless)) == passed(read(Watcher(), STREAM))


def test_a_whole_answer_is_passed_on_untouched():
    body = b" " + BODY
    events = read(WholeWatcher(), body[:20], body[20:])
    assert events[0] == Verbatim(body)
    assert [type(event) for event in events[1:]] == [Begin, Usage, Done]


def test_a_count_of_tokens_is_read():
    assert read_count(b'{"input_tokens": 641}') == 641
    with pytest.raises(UpstreamBroken):
        read_count(b'{"input_tokens": null}')


@pytest.mark.parametrize("reader", [StreamReader, Watcher])
def test_an_end_mark_of_another_dialect_says_nothing(reader):
    mark = b"event: data\ndata: [DONE]\n\n"
    assert read(reader(), STREAM + mark) == read(reader(), STREAM)


def test_a_tool_call_without_an_id_gets_one():
    block = {"type": "tool_use", "name": "f", "input": {}}
    reader = StreamReader()
    events = list(reader.feed(START + sse([{"type": "content_block_start", "index": 0, "content_block": block}])))
    assert events[-1].id.startswith("toolu_")


@pytest.mark.parametrize("name", ["keep-alive", "vendor.Note-1"])
def test_an_event_that_nobody_knows_is_passed_over(name):
    note = sse([{"type": name}])
    assert read(StreamReader(), START + note + STREAM[len(START) :]) == read(StreamReader(), STREAM)


def test_a_refusal_may_come_without_content():
    body = json.dumps(ANSWER | {"content": None, "stop_reason": "refusal"}).encode()
    assert Done("filter", raw="refusal") in read(AnswerReader(), body)
