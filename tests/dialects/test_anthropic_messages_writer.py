"""What Anthropic's clients are sent: every event in its place, and an end only when the answer ended."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects._anthropic_samples import ANSWER, EVENTS, USAGE, fold, frames, lint, meaning, read, receipt, sse
from headgate.core.call import Call
from headgate.core.events import Begin, Done, Extra, Reply, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.anthropic_messages import NAME, understand
from headgate.dialects.anthropic_messages_reader import AnswerReader, StreamReader, Watcher, WholeWatcher
from headgate.dialects.anthropic_messages_writer import Writer, whole, write_count

BEGIN = Begin("chatcmpl-1", "gpt-4o-mini")
USED = Usage(30, 7, cached=10, reasoning=2)


def call(**fields):
    return Call(model="assistant", understand=understand, dialect=NAME, id="call-1", **fields)


def written(*events, end=True, **entry):
    writer = Writer(call())
    return b"".join(writer.feed(event) for event in [*events, *([receipt(**entry)] if end else [])])


texts = st.builds(Text, st.text(min_size=1, max_size=20))
json_texts = st.dictionaries(st.text(max_size=5), st.integers(), min_size=1, max_size=3).map(json.dumps)


@st.composite
def said(draw):
    """What a model says, in the order that readers give: tool calls numbered from 0, arguments in pieces."""
    events, calls = [], 0
    for kind in draw(st.lists(st.sampled_from(["text", "thought", "redacted", "tool", "block"]), max_size=6)):
        match kind:
            case "text":
                events.extend(draw(st.lists(texts, min_size=1, max_size=3)))
            case "thought":
                events.append(Thinking(draw(st.text(min_size=1, max_size=9))))
                events.append(Thinking(signature="c2ln"))
            case "redacted":
                events.append(Thinking(redacted="b3BhcXVl"))
            case "tool":
                arguments = draw(json_texts)
                cut = draw(st.integers(1, len(arguments) - 1))
                events.append(ToolCall(calls, f"toolu_{calls}", draw(st.sampled_from(["paint", "clock"]))))
                events += [ToolArgs(calls, arguments[:cut]), ToolArgs(calls, arguments[cut:])]
                calls += 1
            case "block":
                found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
                events.append(Extra("anthropic", "web_search_tool_result", found))
    return events


@given(said(), st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn"]))
@settings(deadline=None, max_examples=80)
def test_what_is_written_reads_back_the_same_and_obeys_the_grammar(events, raw):
    done = Done({"end_turn": "stop", "max_tokens": "length"}.get(raw, "tool"), raw=raw)
    stream = written(Begin("msg_1", "claude-x"), *events, done, USED)
    assert lint(stream) == []
    back = read(StreamReader(), stream)
    assert [event for event in back if not isinstance(event, Begin | Usage | Done)] == events
    assert back[0] == Begin("msg_1", "claude-x")
    assert back[-1].raw == raw
    last = next(event for event in reversed(back) if isinstance(event, Usage))
    assert (last.tokens_in, last.tokens_out, last.cached, last.reasoning) == (30, 7, 10, 2)


def test_a_message_starts_with_the_upstreams_own_name_and_usage():
    _, start = frames(written(BEGIN, USED, Text("Hi"), Done()))[0]
    assert start["message"] == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "gpt-4o-mini",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 10,
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    }


def test_an_answer_without_a_name_is_given_one():
    _, start = frames(written(Text("Hi"), Done()))[0]
    assert (start["message"]["id"], start["message"]["model"]) == ("msg_call-1", "assistant")


def test_the_receipt_says_what_the_call_used_and_cost():
    stream = written(BEGIN, Text("Hi"), Done(), tokens_in=30, tokens_out=7, cost=1_500_000)
    _, delta = frames(stream)[-2]
    assert delta["usage"]["input_tokens"] == 30
    assert delta["usage"]["cost_usd"] == 0.0015


@pytest.mark.parametrize(
    ("done", "stop_reason"),
    [
        (Done("stop", raw="STOP"), "end_turn"),
        (Done("stop", raw="stop", stop_sequence="END"), "stop_sequence"),
        (Done("length", raw="length"), "max_tokens"),
        (Done("filter", raw="SAFETY"), "refusal"),
        (Done("pause"), "pause_turn"),
        (Done("length", raw="model_context_window_exceeded"), "model_context_window_exceeded"),
        (Done("other", raw="whatever"), "end_turn"),
        (Done("other"), None),
    ],
)
def test_every_reason_to_end_has_a_word(done, stop_reason):
    _, delta = frames(written(BEGIN, Text("Hi"), done))[-2]
    assert delta["delta"]["stop_reason"] == stop_reason
    reply = fold([BEGIN, Text("Hi"), done])
    assert json.loads(whole(call(), reply))["stop_reason"] == stop_reason


def test_an_answer_with_tool_calls_stopped_for_them():
    _, delta = frames(written(BEGIN, ToolCall(0, "c", "clock"), ToolArgs(0, "{}"), Done("stop", raw="stop")))[-2]
    assert delta["delta"]["stop_reason"] == "tool_use"


def test_mixed_arguments_of_parallel_calls_are_put_in_order():
    stream = written(
        BEGIN,
        ToolCall(0, "a", "paint"),
        ToolArgs(0, '{"x":'),
        ToolCall(1, "b", "clock"),
        ToolArgs(1, '{"y":'),
        ToolArgs(0, "1}"),
        ToolArgs(1, "2}"),
        Done("tool"),
    )
    assert lint(stream) == []
    calls = fold(read(StreamReader(), stream)).choices[0].calls
    assert [(said.id, said.arguments) for said in calls] == [("a", '{"x":1}'), ("b", '{"y":2}')]


def test_arguments_that_come_after_their_block_are_not_lost_in_silence():
    writer = Writer(call())
    writer.feed(ToolCall(0, "a", "paint"))
    writer.feed(ToolArgs(0, "{"))
    writer.feed(Text("Hi"))
    with pytest.raises(UpstreamBroken):
        writer.feed(ToolArgs(0, "}"))


def test_a_second_choice_has_no_place():
    assert written(BEGIN, Text("no", choice=1), Text("yes"), Done()).count(b"text_delta") == 1


def test_a_failure_is_an_error_event_and_no_end():
    writer = Writer(call())
    stream = writer.feed(BEGIN) + writer.feed(Text("Hi"))
    stream += writer.fail(b'{"type":"error","error":{"type":"api_error","message":"it broke"}}')
    names = [name for name, _ in frames(stream)]
    assert names[-1] == "error"
    assert "message_stop" not in names
    assert "message_delta" not in names


def test_nothing_looks_like_an_end_before_the_receipt():
    names = [name for name, _ in frames(written(BEGIN, Text("Hi"), Done(), USED, end=False))]
    assert names == ["message_start", "content_block_start", "content_block_delta"]


def test_a_ping_is_a_comment_until_the_message_has_started():
    writer = Writer(call())
    assert writer.ping().startswith(b":")
    writer.feed(Text("Hi"))
    assert writer.ping() == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_a_watched_stream_is_passed_on_with_nothing_lost():
    last = {**EVENTS[-2], "context_management": {"applied_edits": []}}
    writer = Writer(call())
    events = read(Watcher(), sse([*EVENTS[:-2], last, EVENTS[-1]]))
    stream = b"".join(writer.feed(event) for event in [*events, receipt(cost=2_000_000_000)])
    sent = [data for _, data in frames(stream)]
    assert sent[:-2] == EVENTS[:-2]
    assert sent[-1] == EVENTS[-1]
    assert sent[-2]["delta"] == last["delta"]
    assert sent[-2]["context_management"] == last["context_management"]
    assert sent[-2]["usage"] == {**USAGE, "cost_usd": 2.0}


def test_a_whole_answer_reads_back_the_same():
    reply = fold(read(AnswerReader(), json.dumps(ANSWER).encode()))
    body = whole(call(), reply)
    back = fold(read(AnswerReader(), body))
    assert meaning(back)[:3] == meaning(reply)[:3]
    assert (back.usage.tokens_in, back.usage.tokens_out) == (reply.usage.tokens_in, reply.usage.tokens_out)


def test_a_whole_answer_of_the_dialect_is_passed_on_untouched():
    body = json.dumps(ANSWER, indent=1).encode()
    assert whole(call(), fold(read(WholeWatcher(), body))) == body


def test_an_empty_answer_is_still_a_message():
    body = json.loads(whole(call(), Reply()))
    assert body["content"] == []
    assert body["usage"]["output_tokens"] == 0


def test_arguments_that_are_no_object_are_kept_raw():
    events = [BEGIN, ToolCall(0, "c", "clock"), ToolArgs(0, "{oops"), Done("tool")]
    block = json.loads(whole(call(), fold(events)))["content"][0]
    assert block["input"] == {"__raw__": "{oops"}


def test_a_count_is_written():
    assert json.loads(write_count(12)) == {"input_tokens": 12}


@contextmanager
def client_of(body, kind):
    """The official client of a real HTTP server that answers everything with this body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            with anthropic.Anthropic(base_url=url, api_key="test", max_retries=0) as client:
                yield client
        finally:
            server.shutdown()
            thread.join()


SAID = [
    BEGIN,
    Thinking("Hmm."),
    Thinking(signature="c2ln"),
    Text("It is "),
    Text("grün."),
    ToolCall(0, "call_a", "paint"),
    ToolArgs(0, '{"colour":'),
    ToolArgs(0, '"red"}'),
    ToolCall(1, "call_b", "clock"),
    ToolArgs(1, "{}"),
    USED,
    Done("tool", raw="tool_calls"),
]


def check_message(message):
    assert (message.id, message.model, message.stop_reason) == ("chatcmpl-1", "gpt-4o-mini", "tool_use")
    thought, text, paint, clock = message.content
    assert (thought.thinking, thought.signature) == ("Hmm.", "c2ln")
    assert text.text == "It is grün."
    assert (paint.id, paint.name, paint.input) == ("call_a", "paint", {"colour": "red"})
    assert (clock.id, clock.input) == ("call_b", {})
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (
        20,
        10,
        7,
    )


ASKED = {"model": "assistant", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


def test_the_official_client_reads_our_streams():
    body = written(*SAID, tokens_in=30, tokens_out=7)
    with client_of(body, "text/event-stream") as client, client.messages.stream(**ASKED) as stream:
        assert "".join(stream.text_stream) == "It is grün."
        check_message(stream.get_final_message())


def test_the_official_client_reads_our_answers():
    with client_of(whole(call(), fold(SAID)), "application/json") as client:
        check_message(client.messages.create(**ASKED))


def test_the_official_client_notices_our_failures():
    writer = Writer(call())
    body = writer.feed(BEGIN) + writer.feed(Text("Hi"))
    body += writer.fail(b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')
    with (
        client_of(body, "text/event-stream") as client,
        client.messages.stream(**ASKED) as stream,
        pytest.raises(anthropic.APIStatusError, match="busy"),
    ):
        stream.get_final_message()
