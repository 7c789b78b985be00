"""What Ollama answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects._vendors import CUTS, cut, fold, lines, read
from headgate.core.events import Begin, Done, Extra, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import Fault, UpstreamBroken, UpstreamDown
from headgate.dialects.ollama_answer import AnswerReader, StreamReader

CALLS = [
    {"id": "call_1", "function": {"index": 0, "name": "paint", "arguments": {"c": "grün"}}},
    {"id": "call_2", "function": {"index": 1, "name": "clock", "arguments": {}}},
]
STEPS = [
    {"token": "Gras", "logprob": -0.5, "bytes": [71], "top_logprobs": [{"token": "Heu", "logprob": -1.5}]},
    {"token": " 🌱", "logprob": -0.25},
]
METRICS = {"prompt_eval_count": 20, "eval_count": 9, "total_duration": 123}
END = {"model": "m:1b", "done": True, "done_reason": "stop", **METRICS}
MESSAGE = {"role": "assistant", "content": "Gras 🌱", "thinking": "Hm, grün.", "tool_calls": CALLS}
ANSWER = END | {"message": MESSAGE, "logprobs": STEPS}
EVENTS = [
    Begin("", "m:1b"),
    Thinking("Hm, grün."),
    Text(
        "Gras 🌱",
        logprobs=[
            {
                "token": "Gras",
                "logprob": -0.5,
                "bytes": [71],
                "top_logprobs": [{"token": "Heu", "logprob": -1.5, "bytes": list(b"Heu")}],
            },
            {"token": " 🌱", "logprob": -0.25, "bytes": list(" 🌱".encode()), "top_logprobs": []},
        ],
    ),
    ToolCall(0, "call_1", "paint"),
    ToolArgs(0, '{"c":"grün"}'),
    ToolCall(1, "call_2", "clock"),
    ToolArgs(1, "{}"),
    Usage(20, 9, raw=METRICS),
    Done("tool", 0, "stop"),
]


def said(**message):
    logprobs = message.pop("logprobs", None)
    body = {"model": "m:1b", "message": {"role": "assistant", "content": "", **message}, "done": False}
    return body | ({"logprobs": logprobs} if logprobs else {})


STREAM = lines(
    said(thinking="Hm, "),
    said(thinking="grün."),
    said(content="Gras", logprobs=STEPS[:1]),
    said(content=" 🌱", logprobs=STEPS[1:]),
    said(tool_calls=CALLS[:1]),
    said(tool_calls=CALLS[1:]),
    END | {"message": {"role": "assistant", "content": ""}},
)


def whole(body):
    return read(AnswerReader(), json.dumps(body).encode())


def streamed(*objects):
    return read(StreamReader(), lines(*objects))


def test_a_whole_answer():
    assert whole(ANSWER) == EVENTS


@given(CUTS, st.booleans())
def test_a_stream_folds_to_the_whole_answer_however_it_is_cut(cuts, crlf):
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    assert fold(read(StreamReader(), *cut(stream, cuts))) == fold(EVENTS)


@given(CUTS)
def test_any_cut_gives_the_same_events(cuts):
    assert read(StreamReader(), *cut(STREAM, cuts)) == read(StreamReader(), STREAM)


def test_generated_text_is_read_too():
    told = {"model": "m:1b", "response": "Gras", "thinking": "Hm", "done": False}
    events = streamed(told, END | {"response": "", "context": [1, 2]})
    assert events == [
        Begin("", "m:1b"),
        Thinking("Hm"),
        Text("Gras"),
        Extra("ollama", "context", [1, 2]),
        Usage(20, 9, raw=METRICS),
        Done("stop", 0, "stop"),
    ]


@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", "stop"), ("length", "length"), ("load", "other"), ("", "stop")]
)
def test_every_reason_to_stop(finish, reason):
    assert whole(END | {"message": {"content": "a"}, "done_reason": finish})[-1] == Done(reason, 0, finish)


def test_an_old_server_gives_no_reason_and_no_ids():
    call = {"function": {"name": "now", "arguments": {}}}
    events = whole({"model": "m", "message": {"tool_calls": [call, call]}, "done": True})
    assert events[-1] == Done("tool", 0, "")
    calls = fold(events).choices[0].calls
    assert all(call.id for call in calls)
    assert calls[0].id != calls[1].id


def test_pictures_are_kept():
    assert whole(END | {"message": {"images": ["aW1n"]}})[1] == Extra("ollama", "images", ["aW1n"])


def test_a_prompt_that_was_not_counted_makes_an_estimate():
    used = fold(whole({"message": {"content": "a"}, "done": True, "eval_count": 3})).usage
    assert used == Usage(0, 3, raw={"eval_count": 3}, estimated=True)
    assert fold(whole({"message": {"content": "a"}, "done": True})).usage is None


def test_a_last_line_without_its_line_break_is_read():
    assert read(StreamReader(), STREAM.rstrip())[-1] == Done("tool", 0, "stop")


@pytest.mark.parametrize("stream", [b"", lines(said(content="a")), STREAM[:-60], lines({"done": False})])
def test_a_stream_without_an_end_is_broken(stream):
    with pytest.raises(UpstreamBroken):
        read(StreamReader(), stream)


def test_a_whole_answer_that_is_not_done_is_broken():
    with pytest.raises(UpstreamBroken):
        whole(ANSWER | {"done": False})


def test_an_error_in_a_stream_is_a_fault():
    reader = StreamReader()
    assert list(reader.feed(lines(said(content="a"))))[1] == Text("a")
    with pytest.raises(UpstreamDown):
        list(reader.feed(lines({"error": "an error was encountered while running the model"})))


def test_an_error_inside_a_200_is_a_fault():
    with pytest.raises(UpstreamDown):
        whole({"error": "the model failed"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": "a", "done": True},
        {"message": {"content": 5}, "done": True},
        {"message": {"tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}, "done": True},
        {"message": {"tool_calls": [{"id": "x"}]}, "done": True},
        {"message": {}, "done": True, "done_reason": 1},
        {"message": {}, "done": True, "eval_count": "many"},
        {"message": {}, "done": True, "logprobs": [{"token": "a"}]},
    ],
)
def test_nonsense_is_a_fault_and_no_crash(body):
    with pytest.raises(UpstreamBroken):
        whole(body)


words = ["model", "message", "content", "tool_calls", "function", "name", "arguments", "done", "error", "eval_count"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(words), inner, max_size=4),
    max_leaves=10,
)


@given(json_values)
def test_no_json_crashes_a_reader(value):
    for read_it in (whole, streamed):
        try:
            read_it(value)
        except Fault:
            continue


def test_arguments_that_are_text_already_stay_so():
    said = {"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": '{"a":1}'}}]}
    assert ToolArgs(0, '{"a":1}') in whole({"message": said, "done": True})


def test_what_follows_the_end_says_nothing():
    assert streamed({"message": {"content": "a"}, "done": True}, {"status": "bye"})[-1] == Done("stop", 0, "")
