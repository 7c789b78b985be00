"""Anthropic's messages (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from contracts._features import Answer, Said, Used, pieces
from contracts._vendor import Error, Refused, Special, Vendor, sse
from contracts.callers import anthropic as caller
from headgate.core.faults import UpstreamBusy

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "filter": "refusal"}
_HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929"}


def usage(used: Used) -> dict[str, Any]:
    """The usage object: what was read from the cache is counted beside the input."""
    return {
        "input_tokens": used.tokens_in - used.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": used.cached,
        "output_tokens": used.tokens_out,
        "output_tokens_details": {"thinking_tokens": used.reasoning},
        "service_tier": "standard",
    }


def blocks(said: Said) -> Iterator[dict[str, Any]]:
    """The content of an answer."""
    if said.thinking:
        yield {"type": "thinking", "thinking": said.thinking, "signature": said.signature}
    if said.text:
        yield {"type": "text", "text": said.text}
    for call in said.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _end(said: Said) -> dict[str, Any]:
    reason = "stop_sequence" if said.stop else _STOPS[said.finish]
    return {"stop_reason": reason, "stop_sequence": said.stop or None}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object."""
    said = answer.first
    return {**_HEAD, "content": list(blocks(said)), **_end(said), "usage": usage(answer.used)}


def event(kind: str, **fields: Any) -> bytes:
    """One frame."""
    return sse({"type": kind, **fields}, kind)


def begin(used: Used) -> bytes:
    """The first frame."""
    told = {**usage(used), "output_tokens": 1}
    return event(
        "message_start", message={**_HEAD, "content": [], "stop_reason": None, "stop_sequence": None, "usage": told}
    )


def block(index: int, content: dict[str, Any]) -> list[bytes]:
    """The frames of a block: empty at its start, then its pieces."""
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    start = {name: empty.get(name, value) for name, value in content.items()}
    deltas: list[dict[str, Any]] = []
    if "input" in content:
        written = json.dumps(content["input"]) if content["input"] else ""
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(written, 4)]]
    for name, kind in (("thinking", "thinking_delta"), ("text", "text_delta")):
        deltas += [{"type": kind, name: piece} for piece in pieces(content.get(name, ""))]
    if content.get("signature"):
        deltas.append({"type": "signature_delta", "signature": content["signature"]})
    return [
        event("content_block_start", index=index, content_block=start),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def end(said: Said, used: Used) -> list[bytes]:
    """The last frames."""
    return [event("message_delta", delta=_end(said), usage=usage(used)), event("message_stop")]


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream."""
    told = [frame for index, each in enumerate(blocks(answer.first)) for frame in block(index, each)]
    return [begin(answer.used), event("ping"), *told, *end(answer.first, answer.used)]


def error(kind: str, message: str) -> dict[str, Any]:
    """The body of an error."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


ERRORS = {
    "rejected": Error(400, error("invalid_request_error", "messages.0: all messages must have content")),
    "too_long": Error(400, error("invalid_request_error", "prompt is too long: 201000 tokens > 200000 maximum")),
    "key_refused": Error(401, error("authentication_error", "invalid x-api-key")),
    "unknown_model": Error(404, error("not_found_error", "model: claude-9")),
    "no_money": Error(400, error("invalid_request_error", "Your credit balance is too low to access the API.")),
    "busy": Error(429, error("rate_limit_error", "This request would exceed your rate limit."), {"retry-after": "7"}),
    "overloaded": Error(529, error("overloaded_error", "Overloaded")),
    "broken": Error(500, error("api_error", "Internal server error")),
}

_BUDGET = 16384
_BOUNDED = {"sampling", "length"}
_SENT: dict[str, Any] = {
    name: question if name in _BOUNDED else {**question, "max_tokens": 8192}
    for name, question in caller.QUESTIONS.items()
}
_SENT["reasoning"] = {
    **caller.QUESTIONS["reasoning"],
    "max_tokens": 8192 + _BUDGET,
    "thinking": {"type": "enabled", "budget_tokens": _BUDGET},
}
_SENT |= {
    "seed": Refused("seed"),
    "penalties": Refused("presence_penalty"),
    "audio": Refused("messages"),
    "json": Refused("response_format"),
    "n": Refused("n"),
    "logprobs": Refused("logprobs"),
    "top_logprobs": Refused("logprobs"),
}

_SOURCE = {"type": "web_search_result", "url": "https://news.example", "title": "News", "encrypted_content": "ZW5j"}
_CITED = {"type": "web_search_result_location", "url": "https://news.example", "cited_text": "Rain.", "title": "News"}
_SEARCH = [
    {"type": "text", "text": "Let me look. "},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather Paris"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [_SOURCE]},
    {"type": "text", "text": "It rains.", "citations": [_CITED]},
]
_FOUND = Answer((Said("Let me look. It rains."),))
_CITING = block(3, {"type": "text", "text": "It rains."})
_CITING.insert(1, event("content_block_delta", index=3, delta={"type": "citations_delta", "citation": _CITED}))
_SEARCHING = [frame for index, each in enumerate(_SEARCH[:3]) for frame in block(index, each)]
_REDACTED = {"type": "redacted_thinking", "data": "b3BhcXVl"}

VENDOR = Vendor(
    model="claude-sonnet-4-5",
    path="/messages",
    credential=("x-api-key", "secret"),
    sent=_SENT,
    streamed={"stream": True},
    never=frozenset({"refusal"}),
    signs=True,
    names_stop=True,
    whole=whole,
    stream=stream,
    errors=ERRORS,
    in_band=(event("error", error={"type": "overloaded_error", "message": "Overloaded"}), UpstreamBusy),
    special={
        "web_search": Special(
            {**whole(_FOUND), "content": _SEARCH},
            [begin(_FOUND.used), *_SEARCHING, *_CITING, *end(_FOUND.first, _FOUND.used)],
            _FOUND,
            ("server_tool_use", "web_search_tool_result", "citation"),
        ),
        "redacted_thinking": Special(
            {**whole(_FOUND), "content": [_REDACTED, {"type": "text", "text": _FOUND.first.text}]},
            [
                begin(_FOUND.used),
                *block(0, _REDACTED),
                *block(1, {"type": "text", "text": _FOUND.first.text}),
                *end(_FOUND.first, _FOUND.used),
            ],
            _FOUND,
        ),
    },
)
