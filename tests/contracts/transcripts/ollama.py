"""Ollama's chat (https://docs.ollama.com/api/chat): newline-delimited JSON, tool calls whole."""

from __future__ import annotations

from typing import Any

from contracts._features import FEATURES, Answer, Said, Used, pieces
from contracts._vendor import Error, Refused, Special, Vendor, line
from contracts.callers.openai import QUESTIONS, SCHEMA
from headgate.core.faults import UpstreamDown

_HEAD = {"model": "llama3.2", "created_at": "2026-01-01T00:00:00Z"}
_FINISH = {"stop": "stop", "length": "length", "tool": "stop"}


def _end(answer: Answer) -> dict[str, Any]:
    used = answer.used
    return {
        "done": True,
        "done_reason": _FINISH[answer.first.finish],
        "total_duration": 9,
        "prompt_eval_count": used.tokens_in,
        "eval_count": used.tokens_out,
    }


def _calls(said: Said) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "function": {"index": at, "name": call.name, "arguments": call.arguments}}
        for at, call in enumerate(said.calls)
    ]


def _logprobs(said: Said) -> list[dict[str, Any]]:
    def told(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    return [told(t, p) | {"top_logprobs": [told(*other) for other in others]} for t, p, others in said.logprobs]


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object."""
    said = answer.first
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.thinking:
        message["thinking"] = said.thinking
    if said.calls:
        message["tool_calls"] = _calls(said)
    more = {"logprobs": _logprobs(said)} if said.logprobs else {}
    return {**_HEAD, "message": message, **more, **_end(answer)}


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream; each call is a message."""
    said = answer.first
    told: list[dict[str, Any]] = [{"content": "", "thinking": piece} for piece in pieces(said.thinking)]
    told += [{"content": piece} for piece in pieces(said.text) if not said.logprobs]
    told += [{"content": "", "tool_calls": [call]} for call in _calls(said)]
    lines = [{**_HEAD, "message": {"role": "assistant", **message}, "done": False} for message in told]
    for step in _logprobs(said):
        message = {"role": "assistant", "content": step["token"]}
        lines.append({**_HEAD, "message": message, "done": False, "logprobs": [step]})
    return [line(each) for each in [*lines, {**_HEAD, "message": {"role": "assistant", "content": ""}, **_end(answer)}]]


def _sent() -> dict[str, Any]:
    options = {
        "max_completion_tokens": "num_predict",
        "temperature": "temperature",
        "top_p": "top_p",
        "stop": "stop",
        "seed": "seed",
        "presence_penalty": "presence_penalty",
        "frequency_penalty": "frequency_penalty",
    }
    sent: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        sent[name] = {field: value for field, value in question.items() if field not in options} | {"stream": False}
        chosen = {options[field]: value for field, value in question.items() if field in options}
        if chosen:
            sent[name]["options"] = chosen
    clock = {"name": "now", "description": "Tells the time.", "parameters": {"type": "object", "properties": {}}}
    sent["no_arguments"]["tools"] = [{"type": "function", "function": clock}]
    sent["tool_results"]["messages"] = _results()
    del sent["tool_auto"]["tool_choice"], sent["tool_none"]["tool_choice"], sent["tool_none"]["tools"]
    for name, data in (("image", "cG5n"), ("audio", "d2F2")):
        sent[name]["messages"] = [{"role": "user", "content": "What is this?", "images": [data]}]
    for name, form in (("json", "json"), ("schema", SCHEMA)):
        del sent[name]["response_format"]
        sent[name]["format"] = form
    del sent["reasoning"]["reasoning_effort"]
    sent["reasoning"]["think"] = "high"
    refused = {"image_url": "messages", "file": "messages", "n": "n", "one_call": "parallel_tool_calls"}
    refused |= {"tool_required": "tool_choice", "tool_named": "tool_choice"}
    return sent | {name: Refused(field) for name, field in refused.items()}


def _results() -> list[dict[str, Any]]:
    def called(id_: str, city: str) -> dict[str, Any]:
        return {"id": id_, "function": {"name": "weather", "arguments": {"city": city}}}

    def result(id_: str, told: str) -> dict[str, Any]:
        return {"role": "tool", "content": told, "tool_name": "weather", "tool_call_id": id_}

    return [
        {"role": "user", "content": "How is the weather in Paris and in Rome?"},
        {"role": "assistant", "content": "", "tool_calls": [called("callA0001", "Paris"), called("callB0002", "Rome")]},
        result("callA0001", "18 °C"),
        result("callB0002", "25 °C"),
    ]


_DRAWN = Answer((Said("A cat."),))
_PICTURE = {"role": "assistant", "content": "", "images": ["cG5n"]}

VENDOR = Vendor(
    model="llama3.2",
    path="/api/chat",
    credential=("authorization", "Bearer secret"),
    sent=_sent(),
    streamed={"stream": True},
    never=frozenset({"refusal", "filter", "cached"}),
    tells={"reasoning": Answer(FEATURES["reasoning"].says.choices, Used())},
    whole=whole,
    stream=stream,
    errors={
        "rejected": Error(400, {"error": "invalid options: temperature"}),
        "too_long": Error(400, {"error": "input length exceeds the context length"}),
        "key_refused": Error(401, {"error": "unauthorized"}),
        "unknown_model": Error(404, {"error": "model 'llama9' not found"}),
        "no_money": Error(402, {"error": "payment required"}),
        "busy": Error(429, {"error": "too many requests"}, {"retry-after": "7"}),
        "overloaded": Error(503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
        "broken": Error(500, {"error": "llama runner process has terminated"}),
    },
    in_band=(line({"error": "an error was encountered while running the model"}), UpstreamDown),
    special={
        "images": Special(
            {**whole(_DRAWN), "message": {**_PICTURE, "content": "A cat."}},
            [line({**_HEAD, "message": _PICTURE, "done": False}), *stream(_DRAWN)],
            _DRAWN,
            ("images",),
        ),
    },
)
