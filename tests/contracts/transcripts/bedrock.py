"""Amazon Bedrock's Converse (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import structs

from contracts._features import FEATURES, Answer, Said, Used, pieces
from contracts._vendor import Error, Refused, Special, Vendor
from contracts.callers.openai import SCHEMA
from dialects._eventstream import event, failure
from headgate.core.faults import UpstreamBusy

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "filter": "content_filtered"}
_MODEL = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0"


def _usage(used: Used) -> dict[str, Any]:
    """What was read from the cache is counted beside the input."""
    return {
        "inputTokens": used.tokens_in - used.cached,
        "outputTokens": used.tokens_out,
        "totalTokens": used.tokens_in + used.tokens_out,
        "cacheReadInputTokens": used.cached,
        "cacheWriteInputTokens": 0,
    }


def _blocks(said: Said) -> Iterator[dict[str, Any]]:
    if said.thinking:
        yield {"reasoningContent": {"reasoningText": {"text": said.thinking, "signature": said.signature}}}
    if said.text:
        yield {"text": said.text}
    for call in said.calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _end(said: Said) -> dict[str, Any]:
    if said.stop:
        return {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": said.stop}}
    return {"stopReason": _STOPS[said.finish]}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object."""
    message = {"role": "assistant", "content": list(_blocks(answer.first))}
    last = {"usage": _usage(answer.used), "metrics": {"latencyMs": 551}}
    return {"output": {"message": message}, **_end(answer.first), **last}


def _streamed(index: int, block: dict[str, Any]) -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"text": piece} for piece in pieces(block.get("text", ""))]
    start: list[bytes] = []
    if use := block.get("toolUse"):
        named = {"toolUseId": use["toolUseId"], "name": use["name"]}
        start = [event("contentBlockStart", contentBlockIndex=index, start={"toolUse": named}, p="abcd")]
        written = json.dumps(use["input"]) if use["input"] else ""
        deltas = [{"toolUse": {"input": piece}} for piece in ["", *pieces(written, 4)]]
    if thought := block.get("reasoningContent", {}).get("reasoningText"):
        deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(thought["text"])]
        deltas.append({"reasoningContent": {"signature": thought["signature"]}})
    told = [event("contentBlockDelta", contentBlockIndex=index, delta=delta, p="abcdefgh") for delta in deltas]
    return [*start, *told, event("contentBlockStop", contentBlockIndex=index)]


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream; its usage comes after its end."""
    told = [frame for index, block in enumerate(_blocks(answer.first)) for frame in _streamed(index, block)]
    last = event("metadata", usage=_usage(answer.used), metrics={"latencyMs": 551})
    return [event("messageStart", role="assistant"), *told, event("messageStop", **_end(answer.first)), last]


def _error(status: int, name: str, message: str, **headers: str) -> Error:
    return Error(status, {"message": message}, {"x-amzn-errortype": f"{name}:http://internal.amazon.com/"} | headers)


ERRORS = {
    "rejected": _error(400, "ValidationException", "A conversation must start with a user message."),
    "too_long": _error(400, "ValidationException", "Input is too long for requested model."),
    "key_refused": _error(403, "UnrecognizedClientException", "The security token in the request is invalid."),
    "unknown_model": _error(400, "ValidationException", "The provided model identifier is invalid."),
    "no_money": Error(402, {"message": "The account has no valid payment method."}),
    "busy": structs.replace(
        _error(429, "ThrottlingException", "Too many requests, please wait before trying again."),
        headers={"x-amzn-errortype": "ThrottlingException", "retry-after": "7"},
    ),
    "overloaded": _error(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "broken": _error(424, "ModelErrorException", "The model returned an unexpected error."),
}


def _user(*content: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def _asking(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), **fields}


def _configured(**config: Any) -> dict[str, Any]:
    return _asking(_HI, inferenceConfig=config)


def _choosing(choice: dict[str, Any]) -> dict[str, Any]:
    return _asking(_WHERE, toolConfig={**_TOOLS, "toolChoice": choice})


def _called(id_: str, city: str) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": id_, "name": "weather", "input": {"city": city}}}


def _result(id_: str, told: str) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": id_, "content": [{"text": told}]}}


def _showing(**block: Any) -> dict[str, Any]:
    return _asking(_user({"text": "What is this?"}, block))


_HI = _user({"text": "Say hello."})
_WHERE = _user({"text": "How is the weather in Paris?"})
_BOTH = _user({"text": "How is the weather in Paris and in Rome?"})
_WEATHER = {"name": "weather", "description": "Tells the weather.", "inputSchema": {"json": SCHEMA}}
_CLOCK = {"name": "now", "description": "Tells the time.", "inputSchema": {"json": {"type": "object"}}}
_TOOLS = {"tools": [{"toolSpec": _WEATHER}]}
_FORM = {"schema": json.dumps(SCHEMA, separators=(",", ":")), "name": "place"}

_SENT: dict[str, Any] = {
    **dict.fromkeys(("text", "filter", "refusal", "cached"), _asking(_HI)),
    "system": _asking(_HI, system=[{"text": "Be brief."}]),
    "turns": _asking(_HI, {"role": "assistant", "content": [{"text": "Hello."}]}, _user({"text": "Again."})),
    "sampling": _configured(maxTokens=50, temperature=0.5),
    "top_p": _configured(topP=0.75),
    "stop": _asking(
        _user({"text": "Count."}),
        inferenceConfig={"stopSequences": ["END"]},
        additionalModelResponseFieldPaths=["/stop_sequence"],
    ),
    "seed": Refused("seed"),
    "penalties": Refused("presence_penalty"),
    **dict.fromkeys(("tools", "words_and_tools"), _asking(_WHERE, toolConfig=_TOOLS)),
    "parallel_calls": _asking(_BOTH, toolConfig=_TOOLS),
    "no_arguments": _asking(_user({"text": "What time is it?"}), toolConfig={"tools": [{"toolSpec": _CLOCK}]}),
    "tool_results": _asking(
        _BOTH,
        {"role": "assistant", "content": [_called("callA0001", "Paris"), _called("callB0002", "Rome")]},
        _user(_result("callA0001", "18 °C"), _result("callB0002", "25 °C")),
        toolConfig=_TOOLS,
    ),
    "tool_auto": _choosing({"auto": {}}),
    "tool_none": _asking(_WHERE),
    "tool_required": _choosing({"any": {}}),
    "tool_named": _choosing({"tool": {"name": "weather"}}),
    "one_call": Refused("parallel_tool_calls"),
    "image": _showing(image={"source": {"bytes": "cG5n"}, "format": "png"}),
    "image_url": Refused("messages"),
    "audio": _showing(audio={"source": {"bytes": "d2F2"}, "format": "wav"}),
    "file": _showing(document={"source": {"bytes": "cGRm"}, "format": "pdf", "name": "a"}),
    "json": Refused("response_format"),
    "schema": _asking(_HI, outputConfig={"textFormat": {"type": "json_schema", "structure": {"jsonSchema": _FORM}}}),
    "reasoning": _asking(_HI, additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 16384}}),
    "n": Refused("n"),
    "logprobs": Refused("logprobs"),
    "top_logprobs": Refused("logprobs"),
    "length": _configured(maxTokens=5),
}

_CITED = {"title": "News", "location": {"web": {"url": "https://news.example"}}}
_FOUND = Answer((Said("It rains."),))
_CITING = whole(_FOUND)
_CITING["output"]["message"]["content"] = [
    {"citationsContent": {"content": [{"text": "It rains."}], "citations": [_CITED]}}
]
_CITING["trace"] = {"guardrail": {"actionReason": "No action."}}
_STREAMED = stream(_FOUND)
_STREAMED.insert(-3, event("contentBlockDelta", contentBlockIndex=0, delta={"citation": _CITED}))
_STREAMED[-1] = event("metadata", usage=_usage(_FOUND.used), metrics={"latencyMs": 1}, trace=_CITING["trace"])

VENDOR = Vendor(
    settings={"region": "eu-west-1"},
    model="anthropic.claude-sonnet-4-5-20250929-v1:0",
    path=_MODEL + "/converse",
    stream_path=_MODEL + "/converse-stream",
    credential=("authorization", "Bearer secret"),
    sent=_SENT,
    never=frozenset({"refusal"}),
    tells={"reasoning": Answer(FEATURES["reasoning"].says.choices, Used())},
    signs=True,
    names_stop=True,
    whole=whole,
    stream=stream,
    errors=ERRORS,
    in_band=(failure("throttlingException", "Too many tokens, please wait."), UpstreamBusy),
    special={"citations": Special(_CITING, _STREAMED, _FOUND, ("citation", "trace"))},
)
