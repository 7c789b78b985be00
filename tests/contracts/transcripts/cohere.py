"""Cohere's chat v2 (https://docs.cohere.com/reference/chat)."""

from __future__ import annotations

import json
from typing import Any

from msgspec import structs

from contracts._features import FEATURES, Answer, Said, Used, pieces
from contracts._vendor import Error, Refused, Special, Vendor, present, sse
from contracts.callers.openai import QUESTIONS, SCHEMA
from contracts.transcripts._openai import call
from headgate.core.faults import UpstreamDown

_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool": "TOOL_CALL"}


def _end(answer: Answer) -> dict[str, Any]:
    counts = {"input_tokens": float(answer.used.tokens_in), "output_tokens": float(answer.used.tokens_out)}
    tokens = {"input_tokens": counts["input_tokens"] + 60, "output_tokens": counts["output_tokens"] + 2}
    usage = {"billed_units": counts, "tokens": tokens, "cached_tokens": float(answer.used.cached)}
    said = answer.first
    return {"finish_reason": "STOP_SEQUENCE" if said.stop else _FINISH[said.finish], "usage": usage}


def _blocks(said: Said) -> list[dict[str, Any]]:
    thoughts = [{"type": "thinking", "thinking": said.thinking}] if said.thinking else []
    return [*thoughts, *([{"type": "text", "text": said.text}] if said.text and not said.calls else [])]


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object. Words before tool calls are a plan."""
    said = answer.first
    told = {
        "tool_plan": said.text if said.calls else "",
        "content": _blocks(said),
        "tool_calls": [call(each) for each in said.calls],
    }
    probable = [{"text": token, "token_ids": [1], "logprobs": [logprob]} for token, logprob, _ in said.logprobs]
    message = {"role": "assistant", **present(told)}
    return {"id": "c1", "message": message, **present({"logprobs": probable}), **_end(answer)}


def event(kind: str, index: int | None = None, message: Any = None, **more: Any) -> bytes:
    """One frame."""
    told = {"type": kind, "index": index, "delta": None if message is None else {"message": message}}
    return sse({name: value for name, value in (told | more).items() if value is not None}, kind)


def _block(index: int, block: dict[str, Any]) -> list[bytes]:
    kind = block["type"]
    return [
        event("content-start", index, {"content": {"type": kind, kind: ""}}),
        *(event("content-delta", index, {"content": {kind: piece}}) for piece in pieces(block[kind])),
        event("content-end", index),
    ]


def _probable(said: Said) -> list[bytes]:
    return [
        event(
            "content-delta",
            0,
            {"content": {"text": token}},
            logprobs={"text": token, "token_ids": [1], "logprobs": [logprob]},
        )
        for token, logprob, _ in said.logprobs
    ]


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream."""
    said = answer.first
    frames = [event("message-start", message={"role": "assistant", "content": [], "tool_calls": []}, id="c1")]
    if said.calls:
        frames += [event("tool-plan-delta", message={"tool_plan": piece}) for piece in pieces(said.text)]
    for index, block in enumerate(_blocks(said)):
        frames += _block(index, block)
    if said.logprobs:
        frames[2:-1] = _probable(said)
    for index, each in enumerate(map(call, said.calls)):
        arguments = each["function"].pop("arguments")
        start = {**each, "function": {**each["function"], "arguments": ""}}
        frames.append(event("tool-call-start", index, {"tool_calls": start}))
        for piece in pieces(arguments, 4):
            frames.append(event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": piece}}}))
        frames.append(event("tool-call-end", index))
    return [*frames, sse({"type": "message-end", "delta": _end(answer)}, "message-end")]


def _sent() -> dict[str, Any]:
    names = {"max_completion_tokens": "max_tokens", "top_p": "p", "stop": "stop_sequences"}
    sent: dict[str, Any] = {
        name: {names.get(field, field): value for field, value in question.items()} | {"stream": False}
        for name, question in QUESTIONS.items()
    }
    clock = {"name": "now", "description": "Tells the time.", "parameters": {"type": "object", "properties": {}}}
    sent["no_arguments"]["tools"] = [{"type": "function", "function": clock}]
    turns = json.loads(json.dumps(sent["tool_results"]["messages"]))
    del turns[1]["content"]
    sent["tool_results"]["messages"] = turns
    del sent["tool_auto"]["tool_choice"]
    sent["tool_none"]["tool_choice"] = "NONE"
    sent["tool_required"]["tool_choice"] = sent["tool_named"]["tool_choice"] = "REQUIRED"
    sent["schema"]["response_format"] = {"type": "json_object", "json_schema": SCHEMA}
    del sent["reasoning"]["reasoning_effort"]
    sent["reasoning"]["thinking"] = {"type": "enabled"}
    refused = {"one_call": "parallel_tool_calls", "audio": "messages", "file": "messages", "n": "n"}
    return sent | {name: Refused(field) for name, field in (refused | {"top_logprobs": "top_logprobs"}).items()}


_CITED = Answer((Said("It rains."),))
_CITATION = {"start": 3, "end": 8, "text": "rains", "sources": [{"type": "tool", "id": "t:0"}]}
_CITING = whole(_CITED)
_CITING["message"]["citations"] = [_CITATION]
_STREAMED = stream(_CITED)
_STREAMED[-1:-1] = [event("citation-start", 0, {"citations": _CITATION}), event("citation-end", 0)]
_PLANNED = FEATURES["words_and_tools"].says
_THOUGHT = Answer((structs.replace(_PLANNED.first, text="", thinking=_PLANNED.first.text),))

VENDOR = Vendor(
    model="command-a-03-2025",
    path="/v2/chat",
    credential=("authorization", "Bearer secret"),
    sent=_sent(),
    streamed={"stream": True},
    never=frozenset({"refusal", "filter", "words_and_tools"}),
    tells={"reasoning": Answer(FEATURES["reasoning"].says.choices, Used())},
    whole=whole,
    stream=stream,
    errors={
        "rejected": Error(400, {"id": "e1", "message": "invalid request: message must be at least 1 token long"}),
        "too_long": Error(400, {"message": "too many tokens: total number of tokens cannot exceed 128000"}),
        "key_refused": Error(401, {"id": "e1", "message": "invalid api token"}),
        "unknown_model": Error(404, {"message": "model 'command-z' not found"}),
        "no_money": Error(402, {"message": "please add or update your payment method"}),
        "busy": Error(
            429, {"message": "You are using a Trial key, limited to 20 calls / minute"}, {"retry-after": "7"}
        ),
        "overloaded": Error(503, {"message": "service unavailable"}),
        "broken": Error(500, {"message": "internal server error"}),
    },
    in_band=(sse({"type": "message-end", "delta": {"error": "internal error"}}, "message-end"), UpstreamDown),
    special={
        "citations": Special(_CITING, _STREAMED, _CITED, ("citations",)),
        "tool_plan": Special(whole(_PLANNED), stream(_PLANNED), _THOUGHT),
    },
)
