"""The Responses API, written: what the caller's stream and the whole answer look like, and that SDKs take them."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai
import pytest
from pydantic import BaseModel

from dialects._responses_samples import ENTRY, ITEMS, decoded, ev, fold, frames, opening, read, response, written
from headgate.core.events import (
    Begin,
    Done,
    Extra,
    Receipt,
    Refusal,
    Text,
    Thinking,
    ToolArgs,
    ToolCall,
    Usage,
)
from headgate.dialects.openai_responses import parse
from headgate.dialects.openai_responses_reader import AnswerReader, StreamReader, Watcher
from headgate.dialects.openai_responses_writer import Writer, whole

LOGPROB = {"token": "Hé", "logprob": -0.1, "bytes": [72], "top_logprobs": []}
PLACE = {"url": "https://example.com", "title": "E", "start_index": 0, "end_index": 2}
CITED = {"type": "url_citation", "url_citation": PLACE}
ANSWER = [
    Begin("chatcmpl-1", "gpt-5"),
    Thinking("First, "),
    Thinking("then."),
    Thinking(signature="sealed"),
    Thinking(redacted="opaque"),
    Text("Hé", logprobs=[LOGPROB]),
    Text(" 🌍"),
    Extra("openai", "annotations", [CITED]),
    Refusal("No."),
    ToolCall(0, "call_a", "weather", signature="thought"),
    ToolArgs(0, '{"city":'),
    ToolArgs(0, '"Paris"}'),
    ToolCall(1, "call_b", "clock"),
    Done("tool", raw="tool_calls"),
    Usage(20, 30, 4, 2, 10),
]
ASKED = {
    "model": "assistant",
    "input": "hi",
    "instructions": "Be brief.",
    "tools": [{"type": "function", "name": "weather", "parameters": {}, "strict": False}],
    "tool_choice": "required",
    "temperature": 0.2,
    "text": {"format": {"type": "json_object"}},
    "reasoning": {"effort": "low"},
    "metadata": {"k": "v"},
    "store": False,
    "previous_response_id": "resp_0",
    "user": "u",
}


def call_of(**fields):
    call = parse({"model": "assistant", "input": "hi", **fields}, b"")
    call.id = "req_1"
    return call


def stream_of(events, **fields):
    return written(Writer(call_of(stream=True, **fields)), events)


def kinds(stream):
    return [event["type"].removeprefix("response.") for event in decoded(stream)]


def unnamed(value):
    """Without ids and times, which differ from answer to answer."""
    text = json.dumps({**value, "created_at": 0, "completed_at": None})
    return text.replace(value["id"].removeprefix("resp_"), "KEY")


def test_the_events_of_an_answer_come_in_their_order():
    assert kinds(stream_of(ANSWER)) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_events_are_numbered_and_named():
    stream = stream_of(ANSWER)
    events = decoded(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [line.removeprefix("event: ") for line in stream.decode().splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]


def test_the_last_event_holds_the_whole_response():
    end = decoded(stream_of(ANSWER, **ASKED))[-1]["response"]
    key = end["id"].removeprefix("resp_")
    message = end["output"][2]
    assert [item["id"] for item in end["output"]] == [
        f"rs_{key}_0",
        f"rs_{key}_1",
        f"msg_{key}_2",
        f"fc_{key}_3",
        f"fc_{key}_4",
    ]
    assert end["output"][0]["summary"] == [{"type": "summary_text", "text": "First, then."}]
    assert [item.get("encrypted_content") for item in end["output"][:2]] == ["sealed", "redacted:opaque"]
    assert message["content"] == [
        {
            "type": "output_text",
            "text": "Hé 🌍",
            "annotations": [{"type": "url_citation", **PLACE}],
            "logprobs": [LOGPROB],
        },
        {"type": "refusal", "refusal": "No."},
    ]
    assert [item["arguments"] for item in end["output"][3:]] == ['{"city":"Paris"}', "{}"]
    assert end["output"][3]["extra_content"] == {"google": {"thought_signature": "thought"}}
    assert {item["status"] for item in end["output"][2:]} == {"completed"}
    assert end["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 50,
        "cost_usd": 0.0015,
    }


def test_the_request_is_echoed():
    for stream_event in decoded(stream_of(ANSWER, **ASKED))[:1] + decoded(stream_of(ANSWER, **ASKED))[-1:]:
        said = stream_event["response"]
        echoed = {name: said[name] for name in ASKED if name not in {"input", "model", "text", "reasoning"}}
        assert echoed == {name: ASKED[name] for name in echoed}
        assert said["text"] == {"format": {"type": "json_object"}, "verbosity": "medium"}
        assert said["reasoning"] == {"effort": "low", "summary": None}
        assert said["model"] == "gpt-5"


def test_what_was_left_out_is_echoed_as_openais_default():
    said = decoded(stream_of(ANSWER))[-1]["response"]
    assert (said["temperature"], said["top_p"], said["tool_choice"], said["tools"]) == (1.0, 1.0, "auto", [])
    assert (said["store"], said["parallel_tool_calls"], said["truncation"]) == (True, True, "disabled")
    assert said["text"]["format"] == {"type": "text"}


def test_a_whole_answer_is_what_the_stream_ends_with():
    end = decoded(stream_of(ANSWER, **ASKED))[-1]["response"]
    body = json.loads(whole(call_of(**ASKED), fold([*ANSWER, Receipt(ENTRY)])))
    assert unnamed(body) == unnamed(end)


@pytest.mark.parametrize(
    "events", [ANSWER, [Begin("x", "m"), Text("Hi"), Done("stop")], [Begin("x", "m"), Done("stop")]]
)
def test_what_was_written_is_read_as_it_was_said(events):
    said = fold([event for event in events if not isinstance(event, Extra)])
    read_again = fold(read(StreamReader(), stream_of(events)))
    read_whole = fold(read(AnswerReader(), whole(call_of(), fold([*events, Receipt(ENTRY)]))))
    for reply in (read_again, read_whole):
        before, after = said.choice(0), reply.choice(0)
        assert (after.text, after.thinking, after.refusal) == (before.text, before.thinking, before.refusal)
        assert after.thoughts == before.thoughts
        assert [(c.id, c.name, c.signature) for c in after.calls] == [(c.id, c.name, c.signature) for c in before.calls]
        assert [json.loads(c.arguments) for c in after.calls] == [json.loads(c.arguments or "{}") for c in before.calls]
        assert after.done.reason == before.done.reason


def test_calls_whose_arguments_come_mixed_stay_apart():
    events = [ToolCall(0, "a", "f"), ToolCall(1, "b", "g"), ToolArgs(1, '{"n":'), ToolArgs(0, "{}"), ToolArgs(1, "1}")]
    end = decoded(stream_of([*events, Done("tool")]))[-1]["response"]
    assert [(item["call_id"], item["arguments"]) for item in end["output"]] == [("a", "{}"), ("b", '{"n":1}')]


def test_other_choices_than_the_first_are_not_told():
    assert b"second" not in stream_of([Text("first"), Text("second", 1), Done("stop"), Done("stop", 1)])


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("filter", "incomplete", {"reason": "content_filter"}),
        ("error", "failed", None),
        ("pause", "completed", None),
    ],
)
def test_an_answer_that_is_not_complete_says_so(reason, status, why):
    events = [Text("Hi"), Done(reason)]
    end = decoded(stream_of(events))[-1]
    body = json.loads(whole(call_of(), fold([*events, Receipt(ENTRY)])))
    assert end["type"] == f"response.{status}"
    assert (end["response"]["status"], end["response"]["incomplete_details"]) == (status, why)
    assert bool(end["response"]["error"]) == (status == "failed")
    assert end["response"]["output"][0]["status"] == ("completed" if status == "completed" else "incomplete")
    assert unnamed(body) == unnamed(end["response"])


def test_a_failure_is_an_error_event_after_which_nothing_ends():
    writer = Writer(call_of(stream=True))
    stream = writer.feed(Text("Hi")) + writer.fail(b'{"error":{"message":"oops","type":"t","param":null,"code":"c"}}')
    last = decoded(stream)[-1]
    assert (last["type"], last["message"], last["code"], last["param"]) == ("error", "oops", "c", None)
    assert last["sequence_number"] == len(decoded(stream)) - 1
    assert b"response.completed" not in stream


def test_a_stream_begins_even_where_it_fails_at_once():
    writer = Writer(call_of(stream=True))
    writer.feed(Begin("x", "m"))
    assert kinds(writer.fail(b'{"error":{"message":"oops"}}')) == ["created", "in_progress", "error"]


def test_a_watched_stream_ends_with_the_upstreams_own_end_and_the_cost():
    events = read(Watcher(), frames(*opening(), ev("completed", response=response(output=ITEMS, brand_new=1.5))))
    events += [Receipt(ENTRY)]
    writer = Writer(call_of(stream=True))
    end = decoded(b"".join(map(writer.feed, events)))[-1]
    expected = response(output=ITEMS, brand_new=1.5)
    assert end["response"] == {**expected, "usage": {**expected["usage"], "cost_usd": 0.0015}}


def test_a_watched_stream_that_breaks_is_numbered_on():
    writer = Writer(call_of(stream=True))
    for event in Watcher().feed(frames(*opening(), ev("output_text.delta", 0, delta="Hi"))):
        writer.feed(event)
    (error,) = decoded(writer.fail(b'{"error":{"message":"oops"}}'))
    assert error["sequence_number"] == 3


# the official SDK, over a real socket


@contextmanager
def serving(body, content_type):
    """A client of OpenAI's SDK whose server answers everything with this body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="k", max_retries=0) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Person(BaseModel):
    """What a structured answer is to be."""

    name: str


def test_the_sdk_streams_an_answer():
    with (
        serving(stream_of(ANSWER, **ASKED), "text/event-stream") as client,
        client.responses.stream(model="assistant", input="hi") as stream,
    ):
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert (text, final.output_text) == ("Hé 🌍", "Hé 🌍")
    assert [item.type for item in final.output] == [
        "reasoning",
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert final.usage.total_tokens == 50


def test_the_sdk_reads_a_whole_answer():
    body = whole(call_of(**ASKED), fold([*ANSWER, Receipt(ENTRY)]))
    with serving(body, "application/json") as client:
        answer = client.responses.create(model="assistant", input="hi")
    assert answer.output_text == "Hé 🌍"
    assert openai.types.responses.Response.model_validate(answer.model_dump(exclude_unset=True), strict=False)


def test_the_sdk_parses_a_structured_answer():
    body = stream_of([Text('{"name":'), Text('"Ada"}'), Done("stop")])
    with (
        serving(body, "text/event-stream") as client,
        client.responses.stream(model="assistant", input="hi", text_format=Person) as stream,
    ):
        assert stream.get_final_response().output_parsed == Person(name="Ada")


def test_the_sdk_raises_where_a_stream_breaks():
    writer = Writer(call_of(stream=True))
    body = writer.feed(Text("Hi")) + writer.fail(b'{"error":{"message":"oops","type":"t","code":"c","param":null}}')
    with serving(body, "text/event-stream") as client, pytest.raises(openai.APIError, match="oops"):
        list(client.responses.create(model="assistant", input="hi", stream=True))
