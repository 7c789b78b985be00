"""OpenAI's older completions, written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.entry import Entry
from headgate.core.events import Begin, Done, Receipt, Refusal, Reply, Text, Thinking, ToolCall, Usage, Verbatim
from headgate.core.faults import UpstreamBroken
from headgate.dialects.openai_chat_watcher import Watcher
from headgate.dialects.openai_completions import parse
from headgate.dialects.openai_completions_writer import Writer, whole

ENTRY = Entry(id="e", at=0.0, request_id="r", target="m", tokens_in=3, tokens_out=2, cost=5000)
SAID = [Begin("id-1", "m-1"), Text("Hel"), Text("lo"), Done("length"), Usage(3, 2)]
DONE = b"data: [DONE]\n\n"


def call(**fields):
    fields = {"model": "asked", "prompt": "Say: ", **fields}
    return parse(fields, json.dumps(fields).encode())


def written(events, **fields):
    writer = Writer(call(**fields))
    return b"".join(map(writer.feed, [*events, Receipt(ENTRY)]))


def chunks(data):
    *frames, rest = data.split(b"\n\n")
    assert rest == b""
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames if frame != b"data: [DONE]"]


def text(found, index=0):
    return "".join(c["text"] for chunk in found for c in chunk["choices"] if c["index"] == index)


def folded(events):
    reply = Reply()
    for event in [*events, Receipt(ENTRY)]:
        reply.add(event)
    return reply


def test_a_stream_of_pieces():
    data = written(SAID)
    assert data.endswith(DONE)
    found = chunks(data)
    assert text(found) == "Hello"
    assert {(chunk["id"], chunk["object"], chunk["model"]) for chunk in found} == {("id-1", "text_completion", "m-1")}
    assert [chunk["choices"][0]["finish_reason"] for chunk in found] == [None, None, "length"]
    assert all("usage" not in chunk for chunk in found)


def test_the_usage_comes_last_where_it_is_wanted():
    *_, last = chunks(written(SAID, stream_options={"include_usage": True}))
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (3, 2)
    assert last["usage"]["cost_usd"] == 5e-6


def test_a_whole_answer():
    body = json.loads(whole(call(), folded(SAID)))
    assert (body["id"], body["object"], body["model"]) == ("id-1", "text_completion", "m-1")
    assert body["choices"] == [{"text": "Hello", "index": 0, "logprobs": None, "finish_reason": "length"}]
    assert body["usage"]["total_tokens"] == 5


def test_the_prompt_stands_before_each_answer_where_it_is_echoed():
    events = [Text("one"), Text("two", 1), Done("stop"), Done("stop", 1)]
    found = chunks(written(events, echo=True, n=2))
    assert (text(found), text(found, 1)) == ("Say: one", "Say: two")
    body = json.loads(whole(call(echo=True, n=2, prompt=["Say: "]), folded(events)))
    assert [choice["text"] for choice in body["choices"]] == ["Say: one", "Say: two"]


def test_an_answer_without_words_is_still_echoed():
    assert text(chunks(written([Done("stop")], echo=True))) == "Say: "


@pytest.mark.parametrize(
    ("reason", "word"),
    [("stop", "stop"), ("length", "length"), ("filter", "content_filter"), ("error", "error"), ("tool", "stop")],
)
def test_why_an_answer_ended(reason, word):
    events = [Text("x"), Done(reason)]
    assert chunks(written(events))[-1]["choices"][0]["finish_reason"] == word
    assert json.loads(whole(call(), folded(events)))["choices"][0]["finish_reason"] == word


def test_what_has_no_place_is_left_out_and_a_refusal_is_words():
    events = [Thinking("hm"), ToolCall(0, "i", "f"), Refusal("No."), Done("stop")]
    assert text(chunks(written(events))) == "No."
    assert json.loads(whole(call(), folded(events)))["choices"][0]["text"] == "No."


def test_a_failed_stream_has_an_error_and_no_end():
    writer = Writer(call())
    data = writer.feed(Text("Hel")) + writer.fail(b'{"error":{}}')
    assert DONE not in data
    assert chunks(data)[-1] == {"error": {}}


def test_what_came_in_this_dialect_is_passed_on():
    assert whole(call(echo=True), folded([Verbatim(b"{}"), Done()])) == b"{}"
    assert written([Verbatim(b"data: {}\n\n")], echo=True) == b"data: {}\n\n" + DONE


NATIVE = [
    {"id": "c", "object": "text_completion", "choices": [{"text": said, "index": index, "finish_reason": finish}]}
    for said, index, finish in [("Grüße, ", 0, None), ("\n\n", 1, None), ("世界 🌍", 0, None), ("", 1, "stop")]
]
END = {**NATIVE[0], "choices": [{"text": "", "index": 0, "finish_reason": "length"}]}
USAGE = {**NATIVE[0], "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
STREAM = (
    b"".join(b"data: %b\n\n" % json.dumps(each, ensure_ascii=False).encode() for each in (*NATIVE, END, USAGE)) + DONE
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_an_upstreams_stream_is_passed_on_however_it_is_split(cuts, line_end):
    stream = STREAM.replace(b"\n", line_end)
    places = [0, *sorted(cuts), len(stream)]
    reader, writer = Watcher(), Writer(call(stream=True, stream_options={"include_usage": True}))
    events = [event for at, to in zip(places, [*places[1:], None], strict=True) for event in reader.feed(stream[at:to])]
    events += reader.close()
    data = b"".join(map(writer.feed, [*events, Receipt(ENTRY)]))
    *found, usage = chunks(data)
    assert found == [*NATIVE, END]
    assert usage["usage"] == {**USAGE["usage"], "cost_usd": 5e-6}
    assert [event.reason for event in events if isinstance(event, Done)] == ["stop", "length"]


@given(st.integers(0, STREAM.index(b'"length"')))
def test_a_stream_that_is_cut_is_never_taken_for_finished(cut):
    reader = Watcher()
    list(reader.feed(STREAM[:cut]))
    with pytest.raises(UpstreamBroken):
        list(reader.close())
