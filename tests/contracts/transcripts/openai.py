"""OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat).

Reasoning is told as the servers tell it that speak OpenAI's dialect: OpenAI itself keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contracts._features import Answer, Said, Used, in_turns, pieces
from contracts._vendor import Error, Special, Vendor, present, sse
from contracts.callers.openai import QUESTIONS
from contracts.transcripts._openai import call, logprobs
from contracts.transcripts._openai_responses import API
from headgate.core.faults import UpstreamDown

FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls", "filter": "content_filter"}
_HEAD = {"id": "chatcmpl-1", "created": 1_750_000_000, "model": "gpt-4o-mini-2024-07-18"}


def usage(used: Used) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": used.tokens_in,
        "completion_tokens": used.tokens_out,
        "total_tokens": used.tokens_in + used.tokens_out,
        "prompt_tokens_details": {"cached_tokens": used.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object."""
    choices = []
    for index, said in enumerate(answer.choices):
        more = {"reasoning_content": said.thinking, "tool_calls": [call(each) for each in said.calls]}
        message = {"role": "assistant", "content": said.text or None, "refusal": said.refusal or None} | present(more)
        finish = {"logprobs": logprobs(said), "finish_reason": FINISH[said.finish]}
        choices.append({"index": index, "message": message, **finish})
    return {**_HEAD, "object": "chat.completion", "choices": choices, "usage": usage(answer.used)}


def deltas(said: Said) -> Iterator[dict[str, Any]]:
    """What the chunks of a choice say, one after the other."""
    yield {"role": "assistant", "content": "", "refusal": None}
    yield from ({"reasoning_content": piece} for piece in pieces(said.thinking))
    yield from ({"content": piece} for piece in pieces(said.text))
    yield from ({"refusal": piece} for piece in pieces(said.refusal))
    for index, each in enumerate(map(call, said.calls)):
        arguments = each["function"].pop("arguments")
        each["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": index, **each}]}
        yield from (
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces(arguments, 4)
        )


def _choices(index: int, said: Said) -> Iterator[dict[str, Any]]:
    if said.logprobs:  # one token a chunk
        yield {"index": index, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        for step in logprobs(said)["content"]:
            told = {"content": [step], "refusal": None}
            yield {"index": index, "delta": {"content": step["token"]}, "logprobs": told, "finish_reason": None}
    else:
        for delta in deltas(said):
            yield {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
    yield {"index": index, "delta": {}, "logprobs": None, "finish_reason": FINISH[said.finish]}


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream."""
    told = in_turns([list(_choices(index, said)) for index, said in enumerate(answer.choices)])
    head = {**_HEAD, "object": "chat.completion.chunk"}
    chunks = [{**head, "choices": [choice], "usage": None} for choice in told]
    last = {**head, "choices": [], "usage": usage(answer.used)}
    return [*map(sse, [*chunks, last]), b"data: [DONE]\n\n"]


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


ERRORS = {
    "rejected": Error(400, error("Invalid value: 'robot'.", "invalid_request_error", "invalid_value", "messages")),
    "too_long": Error(
        400,
        error(
            "This model's maximum context length is 128000 tokens.", "invalid_request_error", "context_length_exceeded"
        ),
    ),
    "key_refused": Error(401, error("Incorrect API key provided: sk-***.", "invalid_request_error", "invalid_api_key")),
    "unknown_model": Error(404, error("The model `gpt-9` does not exist.", "invalid_request_error", "model_not_found")),
    "no_money": Error(
        429, error("You exceeded your current quota.", "insufficient_quota", "insufficient_quota"), {"retry-after": "7"}
    ),
    "busy": Error(429, error("Rate limit reached.", "requests", "rate_limit_exceeded"), {"retry-after-ms": "7000"}),
    "overloaded": Error(503, error("The engine is currently overloaded.", "server_error", "overloaded")),
    "broken": Error(500, error("The server had an error.", "server_error")),
}

_CITED = {"type": "url_citation", "url_citation": {"url": "https://news.example", "title": "News", "start_index": 0}}
_SEARCHED = whole(Answer((Said("It rains."),)))
_SEARCHED["choices"][0]["message"]["annotations"] = [_CITED]
_STREAMED = stream(Answer((Said("It rains."),)))
_ANNOTATED = {"index": 0, "delta": {"annotations": [_CITED]}, "finish_reason": None}
_STREAMED.insert(-3, sse({**_HEAD, "object": "chat.completion.chunk", "choices": [_ANNOTATED]}))

VENDOR = Vendor(
    model="gpt-4o-mini",
    path="/chat/completions",
    credential=("authorization", "Bearer secret"),
    sent=QUESTIONS,
    streamed={"stream": True, "stream_options": {"include_usage": True}},
    whole=whole,
    stream=stream,
    errors=ERRORS,
    in_band=(sse(error("The server had an error.", "server_error")), UpstreamDown),
    special={"web_search": Special(_SEARCHED, _STREAMED, Answer((Said("It rains."),)), ("annotations",))},
    apis={"responses": API},
)
