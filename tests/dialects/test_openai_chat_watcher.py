"""Answers passed on to callers of the same dialect: untouched, unless no client could read them."""

import json

import pytest

from headgate.core.events import Done, Usage, Verbatim
from headgate.core.faults import UpstreamDown
from headgate.dialects.openai_chat_watcher import Watcher, WholeWatcher

from ._vendors import fold, frames, read

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chunk(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def answer(message, **more):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


def passed(*chunks):
    body = fold(read(Watcher(), frames(*chunks, chunk({}, "stop")) + b"data: [DONE]\n\n")).verbatim
    return [json.loads(line.removeprefix(b"data: ")) for line in body.split(b"\n\n") if line]


@pytest.mark.parametrize(
    "body",
    [
        answer({"content": "hi"}, vendor={"x": 1}),
        answer({"content": None, "tool_calls": [CALL]}),
        answer({"content": "", "tool_calls": None}),
    ],
)
def test_an_answer_that_lacks_nothing_is_passed_on_untouched(body):
    data = json.dumps(body, indent=1).encode()
    assert read(WholeWatcher(), data)[0] == Verbatim(data)


def test_an_answer_gets_the_fields_that_it_lacks():
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop", "padding": "x"}], "vendor": 1}
    got = json.loads(read(WholeWatcher(), json.dumps(body).encode())[0].data)
    assert got["object"] == "chat.completion"
    assert got["created"] > 0
    assert got["id"].startswith("chatcmpl-")
    assert (got["model"], got["vendor"]) == ("", 1)
    assert got["choices"] == [{"index": 0, **body["choices"][0]}]


def test_a_tool_call_gets_an_id_a_type_and_its_arguments_as_text():
    calls = [{"function": {"name": "f", "arguments": {"x": 1}}}, {"id": "b", "function": {"name": "g"}}]
    body = answer({"content": None, "tool_calls": calls})
    got = json.loads(read(WholeWatcher(), json.dumps(body).encode())[0].data)
    first, second = got["choices"][0]["message"]["tool_calls"]
    assert first == {"id": "call_0_0", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    assert second == {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}


def test_a_stream_that_lacks_nothing_is_passed_on_untouched():
    first = {"index": 0, **CALL, "function": {"name": "f", "arguments": ""}}
    chunks = [
        chunk({"role": "assistant", "content": ""}, vendor=1),
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
    ]
    assert passed(*chunks) == [*chunks, chunk({}, "stop")]


@pytest.mark.parametrize(
    "pieces",
    [
        [{"id": "a", "function": {"name": "f"}}, {"function": {"arguments": "{}"}}],
        [{"index": 3, "id": "a", "function": {"name": "f"}}, {"index": 3, "function": {"arguments": "{}"}}],
        [{"index": "0", "id": "a", "function": {"name": "f"}}, {"index": "0", "function": {"arguments": "{}"}}],
    ],
)
def test_pieces_of_tool_calls_get_the_number_that_they_belong_to(pieces):
    first, second, _ = passed(*(chunk({"tool_calls": [piece]}) for piece in pieces))
    assert first["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    ]
    assert second["choices"][0]["delta"]["tool_calls"] == [{"index": 0, "function": {"arguments": "{}"}}]


def test_signs_of_life_are_not_passed_on():
    body = b"event: ping\ndata: {}\n\ndata:\n\n" + frames(chunk({"content": "hi"}, "stop")) + b"data: [DONE] \n\n"
    assert fold(read(Watcher(), body)).verbatim == frames(chunk({"content": "hi"}, "stop"))


def test_a_chunk_that_tells_something_else_is_passed_on_with_no_choices():
    other = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "vendor": 1}
    assert passed(other)[0] == {**other, "choices": []}


def test_tokens_told_in_a_choice_are_counted():
    told = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    events = read(Watcher(), frames({"id": "c", "choices": [told]}))
    assert Usage(3, 2, raw=told["usage"]) in events
    assert Done("stop", 0, "stop") in events


def test_a_choice_that_ended_with_an_error_is_a_fault():
    failed = {"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "gone"}}
    with pytest.raises(UpstreamDown):
        read(Watcher(), frames(chunk({"content": "hi"}), {"id": "c", "choices": [failed]}))
    with pytest.raises(UpstreamDown):
        read(WholeWatcher(), json.dumps({"choices": [failed]}).encode())
