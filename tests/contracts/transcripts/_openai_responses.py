"""OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses), as OpenAI answers it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contracts._features import Answer, Said, Used, pieces
from contracts._vendor import Api, Special, sse
from contracts.transcripts._openai import call, logprobs

_HEAD = {"id": "resp_1", "object": "response", "created_at": 1_750_000_000, "model": "gpt-4o-mini-2024-07-18"}
_REASONS = {"length": "max_output_tokens", "filter": "content_filter"}


def _usage(used: Used) -> dict[str, Any]:
    return {
        "input_tokens": used.tokens_in,
        "input_tokens_details": {"cached_tokens": used.cached},
        "output_tokens": used.tokens_out,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.tokens_in + used.tokens_out,
    }


def _items(said: Said) -> Iterator[dict[str, Any]]:
    if said.thinking:
        summary = [{"type": "summary_text", "text": said.thinking}]
        yield {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": said.signature}
    if said.text or said.refusal:
        probable = (logprobs(said) or {}).get("content", [])
        part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": probable}
        if said.refusal:
            part = {"type": "refusal", "refusal": said.refusal}
        yield {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    for index, each in enumerate(map(call, said.calls)):
        head = {"id": f"fc_{index}", "type": "function_call", "status": "completed", "call_id": each["id"]}
        yield {**head, **each["function"]}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object."""
    said = answer.first
    reason = _REASONS.get(said.finish)
    return {
        **_HEAD,
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": list(_items(said)),
        "usage": _usage(answer.used),
    }


def _told(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of one item."""
    empty = {"content": [], "summary": [], "arguments": "", "status": "in_progress"}
    begun = {name: empty.get(name, value) for name, value in item.items()}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    place = {"item_id": item["id"], "output_index": index}
    if "arguments" in item:
        for piece in pieces(item["arguments"], 4):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
        yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
    for kind, name in (("content", "content_index"), ("summary", "summary_index")):
        for at, part in enumerate(item.get(kind, ())):
            yield from _part(part, {**place, name: at})
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part(part: dict[str, Any], place: dict[str, Any]) -> Iterator[dict[str, Any]]:
    events = {"output_text": "output_text", "refusal": "refusal", "summary_text": "reasoning_summary_text"}
    event = f"response.{events[part['type']]}"
    around = "response.reasoning_summary_part" if part["type"] == "summary_text" else "response.content_part"
    name = "refusal" if "refusal" in part else "text"
    steps = [[step["token"], [step]] for step in part.get("logprobs", ())]
    steps = steps or [[piece, []] for piece in pieces(part[name])]
    told = "logprobs" in part
    yield {"type": f"{around}.added", **place, "part": {**part, name: "", **({"logprobs": []} if told else {})}}
    for piece, probable in steps:
        yield {"type": f"{event}.delta", **place, "delta": piece, **({"logprobs": probable} if told else {})}
    yield {"type": f"{event}.done", **place, name: part[name], **({"logprobs": part["logprobs"]} if told else {})}
    yield {"type": f"{around}.done", **place, "part": part}


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream."""
    last = whole(answer)
    begun = {**last, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *(event for index, item in enumerate(last["output"]) for event in _told(index, item)),
        {"type": f"response.{last['status']}", "response": last},
    ]
    return [_frame(number, event) for number, event in enumerate(events)]


def _frame(number: int, event: dict[str, Any]) -> bytes:
    return sse({**event, "sequence_number": number}, event["type"])


def _searched() -> Special:
    """OpenAI searches the web: its call is an item of the answer, and no call of the caller's tools."""
    says = Answer((Said("It rains."),))
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
    last = whole(says)
    last["output"].insert(0, search)
    events = [
        {"type": "response.created", "response": {**last, "status": "in_progress", "output": []}},
        {"type": "response.in_progress", "response": {**last, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**search, "status": "in_progress"}},
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"},
        {"type": "response.output_item.done", "output_index": 0, "item": search},
        *_told(1, last["output"][1]),
        {"type": "response.completed", "response": last},
    ]
    return Special(last, [_frame(number, event) for number, event in enumerate(events)], says)


_ERROR = {
    "type": "error",
    "code": "server_error",
    "message": "The server had an error.",
    "param": None,
    "sequence_number": 9,
}
API = Api("/responses", whole, stream, sse(_ERROR, "error"), special={"web_search": _searched()})
