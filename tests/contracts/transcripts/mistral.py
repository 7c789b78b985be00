"""Mistral's chat completions (https://docs.mistral.ai/api/endpoint/chat): OpenAI's dialect with an accent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from contracts._features import Answer, Said, in_turns, pieces
from contracts._vendor import Error, Refused, Special, Vendor, sse
from contracts.callers.openai import QUESTIONS, TOOL, asking, text, user
from contracts.transcripts import openai
from contracts.transcripts._openai import call
from headgate.core.faults import UpstreamDown

_HEAD = {"id": "5a1c", "created": 1_750_000_000, "model": "mistral-small-2506"}


def _thought(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": words}]}


def _signed(said: Said) -> dict[str, Any]:
    return {**_thought(said.thinking), "signature": said.signature}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object. Thoughts are a chunk of the content."""
    choices = []
    for index, said in enumerate(answer.choices):
        content: Any = [_signed(said), text(said.text)] if said.thinking else said.text
        message = {"role": "assistant", "content": content, "tool_calls": [call(c) for c in said.calls] or None}
        choices.append({"index": index, "message": message, "finish_reason": openai.FINISH[said.finish]})
    return {**_HEAD, "object": "chat.completion", "choices": choices, "usage": openai.usage(answer.used)}


def _choices(index: int, said: Said) -> Iterator[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": [_thought(piece)]} for piece in pieces(said.thinking)]
    if said.signature:
        deltas.append({"content": [{"type": "thinking", "thinking": [], "signature": said.signature}]})
    deltas += [{"content": piece} for piece in pieces(said.text)]
    yield from ({"index": index, "delta": delta, "finish_reason": None} for delta in deltas)
    calls = [{**call(each), "index": at} for at, each in enumerate(said.calls)]
    last = {"content": "", **({"tool_calls": calls} if calls else {})}
    yield {"index": index, "delta": last, "finish_reason": openai.FINISH[said.finish]}


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream. Tool calls come whole, all in one chunk; the last chunk of a choice has the usage."""
    told = in_turns([list(_choices(index, said)) for index, said in enumerate(answer.choices)])
    chunks = [{**_HEAD, "object": "chat.completion.chunk", "choices": [choice]} for choice in told]
    chunks[-1]["usage"] = openai.usage(answer.used)
    return [*map(sse, chunks), b"data: [DONE]\n\n"]


def _error(status: int, message: str, kind: str) -> Error:
    body = {"object": "error", "message": message, "type": kind, "param": None, "code": str(status)}
    return Error(status, body, {"retry-after": "7"} if status == 429 else {})


def _sent() -> dict[str, Any]:
    names = {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
    sent: dict[str, Any] = {
        name: {names.get(field, field): value for field, value in question.items()}
        for name, question in QUESTIONS.items()
    }
    sent["tool_required"]["tool_choice"] = "any"
    look = text("What is this?")
    sent["audio"] = asking(user(look, {"type": "input_audio", "input_audio": "d2F2"}))
    document = {"document_url": "data:application/pdf;base64,cGRm", "document_name": "a.pdf"}
    sent["file"] = asking(user(look, {"type": "document_url", **document}))
    clock = {"name": "now", "description": "Tells the time.", "parameters": {"type": "object", "properties": {}}}
    sent["no_arguments"]["tools"] = [{"type": "function", "function": clock}]
    turns = json.loads(json.dumps(sent["tool_results"]["messages"]))
    turns[1]["content"] = ""
    sent["tool_results"] = asking(*turns, tools=[TOOL])
    return sent | {"logprobs": Refused("logprobs"), "top_logprobs": Refused("logprobs")}


_CITED = Answer((Said("It rains."),))
_REFERENCE = {"type": "reference", "reference_ids": [1]}
_CITING = whole(_CITED)
_CITING["choices"][0]["message"]["content"] = [text("It rains."), _REFERENCE]
_STREAMED = stream(_CITED)
_DELTA = {"index": 0, "delta": {"content": [_REFERENCE]}, "finish_reason": None}
_STREAMED.insert(-2, sse({**_HEAD, "object": "chat.completion.chunk", "choices": [_DELTA]}))

VENDOR = Vendor(
    model="mistral-small-latest",
    path="/chat/completions",
    credential=("authorization", "Bearer secret"),
    sent=_sent(),
    streamed={"stream": True},
    never=frozenset({"refusal", "filter"}),
    signs=True,
    whole=whole,
    stream=stream,
    errors={
        "rejected": Error(422, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]}),
        "too_long": _error(
            400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "invalid"
        ),
        "key_refused": Error(401, {"detail": "Unauthorized"}),
        "unknown_model": _error(404, "Invalid model: mistral-9", "invalid_model"),
        "no_money": Error(402, {"detail": "Payment required"}),
        "busy": _error(429, "Requests rate limit exceeded", "rate_limited"),
        "overloaded": _error(503, "Service unavailable.", "service_unavailable"),
        "broken": _error(500, "Internal server error", "internal_server_error"),
    },
    in_band=(sse({"object": "error", "message": "Internal error", "type": "internal", "code": "500"}), UpstreamDown),
    special={"references": Special(_CITING, _STREAMED, _CITED, ("reference",))},
)
