"""What Azure's answers say beside OpenAI's words: what its content filters found, wherever it stands."""

import json

import pytest
from hypothesis import given

from headgate.core.events import Begin, Done, Extra, Text
from headgate.core.faults import UpstreamBroken, UpstreamBusy
from headgate.dialects.azure_answer import AnswerReader, StreamReader, Watcher

from ._vendors import CUTS, cut, fold, frames, read

SAFE = {"hate": {"filtered": False, "severity": "safe"}}
BAD = {"violence": {"filtered": True, "severity": "high"}}
PROMPT = [{"prompt_index": 0, "content_filter_results": SAFE}]
NAME = {"id": "chatcmpl-1", "model": "gpt-4o-2024-11-20", "object": "chat.completion.chunk", "created": 1}
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


def piece(delta, finish=None, **more):
    return {**NAME, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


STREAM = [
    {"id": "", "model": "", "object": "", "created": 0, "choices": [], "prompt_filter_results": PROMPT},
    piece({"role": "assistant", "content": ""}, content_filter_results={}),
    piece({"content": "Hé"}, content_filter_results=SAFE),
    piece({"content": "llo"}, content_filter_results=SAFE),
    piece({}, "stop", content_filter_results={}),
    {**NAME, "choices": [], "usage": USAGE},
]
WHOLE = {
    **NAME,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Héllo"},
            "finish_reason": "stop",
            "content_filter_results": SAFE,
        }
    ],
    "prompt_filter_results": PROMPT,
    "usage": USAGE,
}
ASYNCHRONOUS = [
    *STREAM[:2],
    piece({"content": "bad"}),
    piece({}, "stop"),
    {
        "id": "",
        "model": "",
        "choices": [
            {
                "index": 0,
                "finish_reason": None,
                "content_filter_results": BAD,
                "content_filter_offsets": {"check_offset": 0, "start_offset": 0, "end_offset": 3},
            }
        ],
    },
]


def streamed(*chunks):
    return read(StreamReader(), *chunks)


def said(events):
    return [event for event in events if isinstance(event, Extra)]


@given(CUTS)
def test_any_split_of_a_stream_says_the_same(cuts):
    body = frames(*STREAM) + b"data: [DONE]\n\n"
    assert streamed(*cut(body, cuts)) == streamed(body)


def test_a_stream_folds_to_the_whole_answer():
    stream, whole = fold(streamed(frames(*STREAM))), fold(read(AnswerReader(), frames_of(WHOLE)))
    assert (stream.begin, stream.text, stream.usage) == (whole.begin, whole.text, whole.usage)
    assert stream.choices[0].done == whole.choices[0].done
    assert whole.choices[0].extras == [
        Extra("azure", "prompt_filter_results", PROMPT),
        Extra("azure", "content_filter_results", SAFE),
    ]


def frames_of(body):
    return frames(body).removeprefix(b"data: ")


def test_the_answer_is_named_by_its_own_chunks_not_by_the_one_about_the_prompt():
    events = streamed(frames(*STREAM))
    assert [event for event in events if isinstance(event, Begin)] == [Begin("chatcmpl-1", "gpt-4o-2024-11-20")]
    assert said(events)[0] == Extra("azure", "prompt_filter_results", PROMPT)


def test_findings_that_come_after_the_end_are_told():
    events = streamed(frames(*ASYNCHRONOUS))
    assert Extra("azure", "content_filter_results", BAD) in events
    assert any(event.name == "content_filter_offsets" for event in said(events))
    assert [event.reason for event in events if isinstance(event, Done)] == ["stop"]


def passed(*chunks):
    """The chunks that a caller of the dialect gets."""
    data = fold(read(Watcher(), *chunks)).verbatim
    return [json.loads(frame.removeprefix(b"data: ")) for frame in data.split(b"\n\n") if frame]


def test_a_caller_of_the_dialect_gets_every_finding_in_chunks_of_one_name():
    told = passed(frames(*ASYNCHRONOUS), b"data: [DONE]\n\n")
    assert {(chunk["id"], chunk["model"]) for chunk in told} == {("chatcmpl-1", "gpt-4o-2024-11-20")}
    assert told[0] == {**ASYNCHRONOUS[1], "prompt_filter_results": PROMPT}
    assert told[1:3] == ASYNCHRONOUS[2:4]
    assert told[3]["choices"] == [{"delta": {}, **ASYNCHRONOUS[4]["choices"][0]}]


def test_what_a_caller_of_the_dialect_can_have_as_it_is_stays_as_it_is():
    rest = frames(*STREAM[2:5])
    assert fold(read(Watcher(), frames(*STREAM))).verbatim.endswith(rest)
    assert fold(read(Watcher(), frames(*STREAM[1:]))).verbatim == frames(*STREAM[1:5])


@given(CUTS)
def test_any_split_passes_the_same_on(cuts):
    assert passed(*cut(frames(*ASYNCHRONOUS), cuts)) == passed(frames(*ASYNCHRONOUS))


def test_an_error_is_a_fault_for_a_caller_of_the_dialect_too():
    for before in ([], STREAM[:1], STREAM[:3]):
        with pytest.raises(UpstreamBusy):
            list(read(Watcher(), frames(*before, {"id": "", "error": {"code": "429", "message": "Rate limit."}})))
    with pytest.raises(UpstreamBroken):
        read(Watcher(), frames(STREAM[0]))


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool"), ("content_filter", "filter"), ("new", "other")],
)
def test_each_reason_to_stop(finish, reason):
    events = streamed(frames(piece({"content": "x"}, finish, content_filter_results=BAD)))
    assert [event for event in events if isinstance(event, Done)] == [Done(reason, 0, finish)]
    assert Extra("azure", "content_filter_results", BAD) in events
    assert Text("x") in events


def test_an_error_in_the_stream_is_its_fault():
    with pytest.raises(UpstreamBusy):
        streamed(frames(STREAM[0], {"error": {"code": "429", "message": "Rate limit is exceeded."}}))


def test_a_stream_that_breaks_off_is_broken():
    with pytest.raises(UpstreamBroken):
        streamed(frames(*STREAM[:3]))
