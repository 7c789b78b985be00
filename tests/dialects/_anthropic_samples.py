"""Answers of the Messages API, written by hand, streamed and whole; and helpers to read what we write."""

import json

from headgate.core.entry import Entry
from headgate.core.events import Receipt, Reply

USAGE = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 5,
    "cache_read_input_tokens": 100,
    "output_tokens": 42,
    "output_tokens_details": {"thinking_tokens": 9},
}
CITATION = {"type": "char_location", "cited_text": "grass", "document_index": 0, "start_char_index": 0}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "grass"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"url": "https://example.org"}]}

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [
        {"type": "thinking", "thinking": "Let me think. Grün.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        SEARCH,
        FOUND,
        {"type": "text", "text": "Gras ist grün. 🌱", "citations": [CITATION]},
        {"type": "tool_use", "id": "toolu_1", "name": "paint", "input": {"colour": "grün", "layers": [1, 2]}},
        {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": USAGE,
}


def _delta(index, kind, **fields):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def _block(index, start, *deltas):
    yield {"type": "content_block_start", "index": index, "content_block": start}
    yield from deltas
    yield {"type": "content_block_stop", "index": index}


EVENTS = [
    {
        "type": "message_start",
        "message": {
            **ANSWER,
            "content": [],
            "stop_reason": None,
            "usage": {**USAGE, "output_tokens": 1, "output_tokens_details": None},
        },
    },
    {"type": "ping"},
    *_block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        _delta(0, "thinking_delta", thinking="Let me think."),
        _delta(0, "thinking_delta", thinking=" Grün."),
        _delta(0, "signature_delta", signature="c2ln"),
    ),
    *_block(1, {"type": "redacted_thinking", "data": "b3BhcXVl"}),
    *_block(
        2,
        {**SEARCH, "input": {}},
        _delta(2, "input_json_delta", partial_json='{"query":'),
        _delta(2, "input_json_delta", partial_json=' "grass"}'),
    ),
    *_block(3, FOUND),
    *_block(
        4,
        {"type": "text", "text": ""},
        _delta(4, "text_delta", text="Gras ist"),
        _delta(4, "text_delta", text=" grün. 🌱"),
        _delta(4, "citations_delta", citation=CITATION),
        _delta(4, "shine_delta", shine="unknown kinds of deltas are passed over"),
    ),
    {"type": "weather_report", "note": "unknown events are passed over"},
    *_block(
        5,
        {"type": "tool_use", "id": "toolu_1", "name": "paint", "input": {}},
        _delta(5, "input_json_delta", partial_json=""),
        _delta(5, "input_json_delta", partial_json='{"colour": "gr'),
        _delta(5, "input_json_delta", partial_json='ün", "layers": [1, 2]}'),
    ),
    *_block(6, {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}}),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 42, "output_tokens_details": {"thinking_tokens": 9}},
    },
    {"type": "message_stop"},
]


def sse(events):
    """Events as Anthropic streams them."""
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode() for event in events
    )


def read(reader, *chunks):
    """All events of an answer that came in these chunks."""
    events = []
    for chunk in chunks:
        events.extend(reader.feed(chunk))
    events.extend(reader.close())
    return events


def fold(events):
    """The Reply of the events."""
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


def meaning(reply):
    """A Reply without what depends on how it came: raw objects and the spelling of JSON."""
    calls = [(call.id, call.name, json.loads(call.arguments)) for choice in reply.choices for call in choice.calls]
    said = [
        (c.text, c.thinking, c.thoughts, c.refusal, [(e.name, e.value) for e in c.extras], c.done)
        for c in reply.choices
    ]
    return reply.begin, said, calls, reply.usage


def receipt(**fields):
    """The last event of an answer that ended well."""
    return Receipt(Entry(id="entry-1", at=0.0, request_id="request-1", **fields))


def frames(stream):
    """The decoded frames of a stream that we wrote: [(event name, data)]."""
    assert stream.endswith(b"\n\n")
    out = []
    for frame in stream.decode().removesuffix("\n\n").split("\n\n"):
        name, _, data = frame.partition("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        out.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return out


def lint(stream):
    """What is wrong with the grammar of a stream; it shares no code with the Writer."""
    wrong = []
    seen = frames(stream)
    if any(name != data["type"] for name, data in seen):
        wrong.append("an event's name is not its type")
    names = [name for name, _ in seen if name != "ping"]
    if names[0] != "message_start" or names[-2:] != ["message_delta", "message_stop"]:
        wrong.append(f"begins or ends wrong: {names[0]}, {names[-2:]}")
    if names.count("message_start") != 1 or names.count("message_stop") != 1 or names.count("message_delta") != 1:
        wrong.append("an event that comes once comes otherwise")
    message = seen[0][1]["message"]
    wanted = {"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "usage"}
    if wanted - message.keys() or message["content"] or message["role"] != "assistant":
        wrong.append("message_start is not a message")
    if {"input_tokens", "output_tokens"} - message["usage"].keys():
        wrong.append("message_start has no usage")
    is_open, count = None, 0
    fits = {"text": {"text", "citations"}, "thinking": {"thinking", "signature"}, "tool_use": {"input_json"}}
    for name, data in seen:
        match name:
            case "content_block_start":
                if is_open is not None or data["index"] != count:
                    wrong.append(f"block {data['index']} starts out of turn")
                is_open, count = data["content_block"]["type"], count + 1
            case "content_block_delta":
                kind = data["delta"]["type"].removesuffix("_delta")
                if data["index"] != count - 1 or kind not in fits.get(is_open, ()):
                    wrong.append(f"a {kind} in a block of {is_open}")
            case "content_block_stop":
                if is_open is None or data["index"] != count - 1:
                    wrong.append(f"block {data['index']} stops out of turn")
                is_open = None
            case "message_delta" if is_open is not None:
                wrong.append("the message ends in an open block")
    return wrong
