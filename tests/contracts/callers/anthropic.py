"""A caller of `/v1/messages`: what it asks, and how it hears an answer. It insists on Anthropic's grammar."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs

from contracts._features import Answer, Called, Said, Used
from contracts.callers.openai import SCHEMA

PATH = "/v1/messages"
TITLE = "Anthropic messages"

TOOL = {"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}
CLOCK = {"name": "now", "description": "Tells the time.", "input_schema": {"type": "object"}}
LIMIT = 100


def user(*content: Any) -> dict[str, Any]:
    """A turn of the user, of one text or of blocks."""
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def called(id_: str, city: str) -> dict[str, Any]:
    """An earlier call of the weather."""
    return {"type": "tool_use", "id": id_, "name": "weather", "input": {"city": city}}


def result(id_: str, text: str) -> dict[str, Any]:
    """What the call brought."""
    return {"type": "tool_result", "tool_use_id": id_, "content": text}


def asking(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A question."""
    return {"max_tokens": LIMIT, "messages": list(messages), **fields}


def _media(kind: str, source: str, **more: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": source, **more}}


_HI = user("Say hello.")
_WHERE = user("How is the weather in Paris?")
_LOOK = {"type": "text", "text": "What is this?"}
_RESULTS = [
    user("How is the weather in Paris and in Rome?"),
    {"role": "assistant", "content": [called("callA0001", "Paris"), called("callB0002", "Rome")]},
    user(result("callA0001", "18 °C"), result("callB0002", "25 °C")),
]
_PDF = _media("document", "base64", media_type="application/pdf", data="cGRm")

QUESTIONS: dict[str, dict[str, Any]] = {
    "text": asking(_HI),
    "system": asking(_HI, system="Be brief."),
    "turns": asking(_HI, {"role": "assistant", "content": "Hello."}, user("Again.")),
    "sampling": asking(_HI, max_tokens=50, temperature=0.5),
    "top_p": asking(_HI, top_p=0.75),
    "stop": asking(user("Count."), stop_sequences=["END"]),
    "tools": asking(_WHERE, tools=[TOOL]),
    "words_and_tools": asking(_WHERE, tools=[TOOL]),
    "parallel_calls": asking(user("How is the weather in Paris and in Rome?"), tools=[TOOL]),
    "no_arguments": asking(user("What time is it?"), tools=[CLOCK]),
    "tool_results": asking(*_RESULTS, tools=[TOOL]),
    "tool_auto": asking(_WHERE, tools=[TOOL], tool_choice={"type": "auto"}),
    "tool_none": asking(_WHERE, tools=[TOOL], tool_choice={"type": "none"}),
    "tool_required": asking(_WHERE, tools=[TOOL], tool_choice={"type": "any"}),
    "tool_named": asking(_WHERE, tools=[TOOL], tool_choice={"type": "tool", "name": "weather"}),
    "one_call": asking(_WHERE, tools=[TOOL], tool_choice={"type": "auto", "disable_parallel_tool_use": True}),
    "image": asking(user(_LOOK, _media("image", "base64", media_type="image/png", data="cG5n"))),
    "image_url": asking(user(_LOOK, _media("image", "url", url="https://pics.example/cat.png"))),
    "file": asking(user(_LOOK, {**_PDF, "title": "a.pdf"})),
    "schema": asking(_HI, output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
    "reasoning": asking(_HI, thinking={"type": "enabled", "budget_tokens": 16384}, max_tokens=20000),
    "length": asking(_HI, max_tokens=5),
    "filter": asking(_HI),
    "refusal": asking(_HI),
    "cached": asking(_HI),
}

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool",
    "refusal": "filter",
}


def body(question: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    """The question as it is sent."""
    return {**question, "stream": True} if stream else question


def heard_as(answer: Answer) -> Answer:
    """What of an answer this surface has words for: one choice; a refusal is words."""
    first = answer.first
    said = structs.replace(first, text=first.text + first.refusal, refusal="", logprobs=())
    return structs.replace(answer, choices=(said,))


def going_on(question: dict[str, Any], heard: bytes, results: dict[str, str]) -> dict[str, Any]:
    """The next question of somebody whose tools brought these results: what was heard goes back as it is."""
    told = user(*(result(id_, text) for id_, text in results.items()))
    said = {"role": "assistant", "content": json.loads(heard)["content"]}
    return {**question, "messages": [*question["messages"], said, told]}


def hear_whole(data: bytes) -> Answer:
    """What a whole answer says."""
    told = json.loads(data)
    assert (told["type"], told["role"]) == ("message", "assistant")
    assert told["id"]
    assert told["model"]
    return _answer(told["content"], told, told["usage"])


def _answer(blocks: list[dict[str, Any]], end: dict[str, Any], usage: dict[str, Any]) -> Answer:
    said = {"text": "", "thinking": "", "signature": ""}
    calls = []
    for block in blocks:
        if block["type"] == "tool_use":
            assert set(block) == {"type", "id", "name", "input"}
            assert block["id"]
            assert isinstance(block["input"], dict)
            calls.append(Called(block["id"], block["name"], block["input"]))
        for name in {"text": ["text"], "thinking": ["thinking", "signature"]}.get(block["type"], ()):
            said[name] += block[name]
    cached, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    used = Used(
        usage["input_tokens"] + cached + written,
        usage["output_tokens"],
        cached,
        (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )
    reason, met = end["stop_reason"], end["stop_sequence"]
    assert (reason == "stop_sequence") == (met is not None)
    return Answer((Said(**said, calls=tuple(calls), finish=_FINISH[reason], stop=met or ""),), used)


_DELTAS = {
    "text": {"text_delta": "text"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "tool_use": {"input_json_delta": "partial_json"},
}


def hear_stream(data: bytes) -> Answer:
    """What a stream says that ended well."""
    start, *frames = _events(data)
    assert start["type"] == "message_start"
    assert start["message"]["content"] == []
    assert start["message"]["stop_reason"] is None
    assert frames.pop() == {"type": "message_stop"}
    end = frames.pop()
    assert end["type"] == "message_delta"
    usage = {**start["message"]["usage"], **end["usage"]}
    return _answer(_blocks(frames), end["delta"], usage)


def _events(data: bytes) -> list[dict[str, Any]]:
    *frames, last = data.decode().split("\n\n")
    assert last == "", "the last frame has no end"
    events = []
    for frame in frames:
        name, line = frame.split("\n")
        event = json.loads(line.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if event["type"] != "ping":
            events.append(event)
    return events


def _blocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content blocks, one after the other: none begins before the one before it has ended."""
    blocks: list[dict[str, Any]] = []
    pieces: list[str] | None = None
    for event in events:
        kind = event["type"]
        if kind == "content_block_start":
            assert pieces is None, "two blocks are open"
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"])
            pieces = []
            continue
        assert pieces is not None, "no block is open"
        assert event["index"] == len(blocks) - 1
        block = blocks[-1]
        if kind == "content_block_stop":
            if block["type"] == "tool_use":
                assert block["input"] == {}
                block["input"] = json.loads("".join(pieces) or "{}")
            pieces = None
            continue
        assert kind == "content_block_delta"
        if block["type"] in _DELTAS and event["delta"]["type"] != "citations_delta":
            name = _DELTAS[block["type"]][event["delta"]["type"]]
            pieces.append(event["delta"][name])
            if name in block:
                block[name] += event["delta"][name]
    assert pieces is None, "a block has no end"
    return blocks


def hear_failure(data: bytes) -> str:
    """The message of a stream that broke off; it must not look like an end."""
    *frames, last = _events(data)
    assert set(last) == {"type", "error", "request_id"}
    assert last["type"] == "error"
    assert not [frame for frame in frames if frame["type"] in {"message_delta", "message_stop"}]
    return last["error"]["message"]
