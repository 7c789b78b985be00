"""Answers of the Responses API, made up for tests, and ways to read them."""

import json

from headgate.core.entry import Entry
from headgate.core.events import Receipt, Reply

USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 10},
    "total_tokens": 50,
}
HEAD = {"id": "resp_1", "object": "response", "model": "gpt-5", "status": "in_progress", "output": []}
ENTRY = Entry(id="1", at=0.0, request_id="r", tokens_in=20, tokens_out=30, cached=4, cache_write=2, reasoning=10)
ENTRY.cost = 1_500_000

REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "First,"}, {"type": "summary_text", "text": "then."}],
    "encrypted_content": "sealed",
}
LOGPROB = {"token": "H", "logprob": -0.1, "bytes": [72], "top_logprobs": []}
CITATION = {"type": "url_citation", "url": "https://example.com", "title": "E", "start_index": 0, "end_index": 2}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [
        {"type": "output_text", "text": "H\u00e9 \U0001f30d", "annotations": [CITATION], "logprobs": [LOGPROB]},
        {"type": "refusal", "refusal": "No."},
    ],
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_a",
    "name": "weather",
    "arguments": '{"city":"Z\u00fcrich"}',
}
CUSTOM = {"id": "ct_1", "type": "custom_tool_call", "call_id": "call_b", "name": "patch", "input": "free text"}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
ITEMS = [REASONING, SEARCH, MESSAGE, CALL, CUSTOM]


def response(status="completed", output=(), **more):
    return {**HEAD, "status": status, "output": list(output), "usage": USAGE, **more}


def frames(*events, names=True):
    """Events as a stream, numbered."""
    lines = []
    for number, event in enumerate(events):
        data = json.dumps({"sequence_number": number, **event}, ensure_ascii=False)
        lines.append((f"event: {event['type']}\n" if names else "") + f"data: {data}\n\n")
    return "".join(lines).encode()


def ev(kind, at=None, **more):
    """One event; `at` is the output index."""
    return {"type": f"response.{kind}", **({} if at is None else {"output_index": at}), **more}


def opening():
    return [ev("created", response=HEAD), ev("in_progress", response=HEAD)]


def streamed():
    """ITEMS as OpenAI streams them."""
    text, refusal = MESSAGE["content"]
    return [
        *opening(),
        ev("output_item.added", 0, item={**REASONING, "summary": []}),
        ev("reasoning_summary_part.added", 0, summary_index=0, part={"type": "summary_text", "text": ""}),
        ev("reasoning_summary_text.delta", 0, summary_index=0, delta="First"),
        ev("reasoning_summary_text.delta", 0, summary_index=0, delta=","),
        ev("reasoning_summary_text.done", 0, summary_index=0, text="First,"),
        ev("reasoning_summary_part.added", 0, summary_index=1, part={"type": "summary_text", "text": ""}),
        ev("reasoning_summary_text.delta", 0, summary_index=1, delta="then."),
        ev("output_item.done", 0, item=REASONING),
        ev("output_item.added", 1, item={**SEARCH, "status": "in_progress"}),
        ev("web_search_call.searching", 1, item_id="ws_1"),
        ev("output_item.done", 1, item=SEARCH),
        ev("output_item.added", 2, item={**MESSAGE, "content": []}),
        ev("content_part.added", 2, content_index=0, part={"type": "output_text", "text": ""}),
        ev("output_text.delta", 2, content_index=0, delta="H", logprobs=[LOGPROB]),
        ev("output_text.delta", 2, content_index=0, delta="\u00e9 \U0001f30d", logprobs=[]),
        ev("output_text.annotation.added", 2, content_index=0, annotation_index=0, annotation=CITATION),
        ev("output_text.done", 2, content_index=0, text=text["text"]),
        ev("content_part.done", 2, content_index=0, part=text),
        ev("refusal.delta", 2, content_index=1, delta="No."),
        ev("refusal.done", 2, content_index=1, refusal=refusal["refusal"]),
        ev("output_item.done", 2, item=MESSAGE),
        ev("output_item.added", 3, item={**CALL, "arguments": "", "status": "in_progress"}),
        ev("function_call_arguments.delta", 3, delta='{"city":'),
        ev("function_call_arguments.delta", 3, delta='"Z\u00fcrich"}'),
        ev("function_call_arguments.done", 3, arguments=CALL["arguments"]),
        ev("output_item.done", 3, item=CALL),
        ev("output_item.added", 4, item={**CUSTOM, "input": ""}),
        ev("custom_tool_call_input.delta", 4, delta="free text"),
        ev("output_item.done", 4, item=CUSTOM),
        ev("completed", response=response(output=ITEMS)),
    ]


def read(reader, *chunks):
    """The events of an answer that came in these pieces."""
    return [event for chunk in chunks for event in reader.feed(chunk)] + list(reader.close())


def fold(events):
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


def written(writer, events):
    """What a Writer makes of events, and of the Receipt after them."""
    return b"".join([writer.feed(event) for event in events] + [writer.feed(Receipt(ENTRY))])


def decoded(stream):
    """The events of a stream that was written."""
    return [json.loads(block.split(b"\ndata: ")[1]) for block in stream.split(b"\n\n") if block]
