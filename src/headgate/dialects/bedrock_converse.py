"""Amazon Bedrock's Converse, the asking side: a Prompt becomes a request. `bedrock_converse_answer` reads the answer.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. What Converse cannot do is
Unsupported; what only some models can do is decided by the model's name. Hints that change nothing a caller could rely
on are left out: the fields of other vendors that are not in `_CANNOT` (`user`, `metadata`, `store`, `verbosity` …),
an image's `detail`, a speaker's `name`, unsigned thoughts; and what newer Claude models have no knobs for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from headgate.core.call import (
    CallPart,
    Format,
    MediaPart,
    Message,
    Part,
    Prompt,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
)
from headgate.core.faults import Unsupported
from headgate.dialects.anthropic_messages_request import arguments, has_knobs, think
from headgate.dialects.openai_chat_writer import effort_of

_CANNOT = (
    "audio",
    "background",
    "container",
    "context_management",
    "conversation",
    "logit_bias",
    "mcp_servers",
    "prediction",
    "previous_response_id",
    "web_search_options",
)
_FORMATS = {
    "image/gif": "gif",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-wav": "wav",
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
_COUNTED = frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"})
_BLOCKS = {"image": "image", "audio": "audio", "file": "document"}
_NO_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_NO_NAME = re.compile(r"[^a-zA-Z0-9\s()\[\]-]|\s+")
_NOVA_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
_CACHE_POINT = {"cachePoint": {"type": "default"}}


def request(prompt: Prompt, model: str) -> dict[str, Any]:
    """The body of Converse and ConverseStream. Raises Unsupported, naming the feature, InvalidField."""
    _refuse(prompt)
    said: dict[str, Any] = {
        "messages": list(_messages(prompt.turns)),
        "system": list(_blocks(part for m in prompt.messages if m.role == "system" for part in m.parts)),
        "inferenceConfig": _config(prompt, model),
        "toolConfig": _tools(prompt),
        "outputConfig": prompt.format and _format(prompt.format),
        "additionalModelRequestFields": _more(prompt, model),
    }
    if not said["messages"]:
        raise Unsupported("Bedrock cannot answer a prompt that has only a system message", field="messages")
    if prompt.stop and "claude" in model:
        said["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    _tell_apart(said["messages"])
    return {name: value for name, value in said.items() if value}


def count_request(prompt: Prompt, model: str) -> dict[str, Any]:
    """The body of CountTokens, for all that `request` would send and that is counted."""
    said = request(prompt, model)
    return {"input": {"converse": {name: value for name, value in said.items() if name in _COUNTED}}}


def _refuse(prompt: Prompt) -> None:
    for name in _CANNOT:
        if prompt.extra.get(name):
            raise Unsupported(f"Bedrock does not support {name}", field=name)
    wanted = {
        "modalities other than text": set(prompt.extra.get("modalities") or ()) - {"text"},
        "n above 1": (prompt.n or 1) > 1,
        "logprobs": prompt.logprobs or prompt.top_logprobs,
        "presence_penalty": prompt.presence_penalty,
        "frequency_penalty": prompt.frequency_penalty,
        "seed": prompt.seed is not None,
        "parallel_tool_calls = false": prompt.tools and prompt.parallel_tools is False,
    }
    for name, is_wanted in wanted.items():
        if is_wanted:
            raise Unsupported(f"Bedrock does not support {name}", field=name.partition(" ")[0])


def _config(prompt: Prompt, model: str) -> dict[str, Any]:
    knobs = has_knobs(model)
    config = {
        "maxTokens": prompt.max_tokens,
        "temperature": prompt.temperature if knobs else None,
        "topP": prompt.top_p if knobs else None,
        "stopSequences": list(prompt.stop) or None,
    }
    return {name: value for name, value in config.items() if value is not None}


def _more(prompt: Prompt, model: str) -> dict[str, Any]:
    """What Converse hands through to the model in the model's own words."""
    more = _reasoning(prompt, model)
    if prompt.top_k is not None:
        if "nova" in model:
            more["inferenceConfig"] = {"topK": prompt.top_k}
        elif "claude" not in model:
            raise Unsupported(f"{model} takes no top_k at Bedrock", field="top_k")
        elif has_knobs(model):
            more["top_k"] = prompt.top_k
    return more


def _reasoning(prompt: Prompt, model: str) -> dict[str, Any]:
    wish = prompt.reasoning
    if wish is None:
        return {}
    if "claude" in model:
        body: dict[str, Any] = {"max_tokens": prompt.max_tokens or 0}
        think(prompt, model, body)
        del body["max_tokens"]
        return body
    effort = effort_of(wish)
    if effort in {None, "none"}:
        return {}
    if "gpt-oss" in model:
        return {"reasoning_effort": effort}
    if "nova-2" in model and effort in _NOVA_EFFORTS:
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": _NOVA_EFFORTS[effort]}}
    raise Unsupported(f"{model} cannot be told at Bedrock how much to reason", field="reasoning_effort")


def _tools(prompt: Prompt) -> dict[str, Any] | None:
    """The tools and the choice. Converse cannot forbid calls: tools that must not be called are not shown."""
    choice = prompt.tool_choice
    if not prompt.tools:
        return None
    if choice is not None and choice.mode == "none":
        if any(isinstance(part, CallPart | ResultPart) for turn in prompt.turns for part in turn.parts):
            raise Unsupported("Bedrock cannot be kept from calling tools that were used before", field="tool_choice")
        return None
    config: dict[str, Any] = {"tools": [block for tool in prompt.tools for block in _tool(tool)]}
    if choice is not None:
        known = {"auto": {"auto": {}}, "required": {"any": {}}, "named": {"tool": {"name": choice.name}}}
        config["toolChoice"] = known[choice.mode]
    return config


def _tool(tool: Tool) -> Iterator[dict[str, Any]]:
    if not tool.name:
        raise Unsupported(f"Bedrock does not know tools of type {tool.extra.get('type')!r}", field="tools")
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": {"type": "object", **(tool.schema or {})}}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    yield {"toolSpec": spec}
    yield from _cached(tool.extra)


def _format(wanted: Format) -> dict[str, Any]:
    if wanted.schema is None:
        raise Unsupported("Bedrock takes no JSON answer without a schema", field="response_format")
    schema = {"schema": msgspec.json.encode(wanted.schema).decode()}
    named = {"name": wanted.name, "description": wanted.description}
    schema |= {name: value for name, value in named.items() if value}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _messages(turns: Iterable[Message]) -> Iterator[dict[str, Any]]:
    """The turns. Roles must take turns at Bedrock, so that those of the same role are one."""
    for said, group in groupby(turns, key=lambda turn: turn.role == "assistant"):
        content = [block for turn in group for block in _blocks(turn.parts)]
        if content:
            yield {"role": "assistant" if said else "user", "content": content}


def _blocks(parts: Iterable[Part]) -> Iterator[dict[str, Any]]:
    """The parts as content blocks, without those that say nothing or that Bedrock would refuse as unsigned."""
    for part in parts:
        match part:
            case TextPart() if part.text:
                yield {"text": part.text}
            case RefusalPart() if part.text:
                yield {"text": part.text}
            case MediaPart():
                yield _media(part)
            case ThinkingPart() if part.redacted:
                yield {"reasoningContent": {"redactedContent": part.redacted}}
            case ThinkingPart() if part.signature:
                thought = {"text": part.text, "signature": part.signature}
                yield {"reasoningContent": {"reasoningText": thought}}
            case CallPart():
                use = {"toolUseId": _id(part.id), "name": part.name, "input": arguments(part.arguments)}
                yield {"toolUse": use}
            case ResultPart():
                yield {"toolResult": _result(part)}
        if isinstance(part, TextPart | MediaPart):
            yield from _cached(part.extra)


def _cached(extra: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A cache point behind what a caller marks in Anthropic's way."""
    if isinstance(extra.get("cache_control"), dict):
        yield _CACHE_POINT


def _result(part: ResultPart) -> dict[str, Any]:
    said: dict[str, Any] = {"toolUseId": _id(part.id), "content": list(_blocks(part.parts))}
    if part.failed:
        said["status"] = "error"
    return said


def _id(id_: str) -> str:
    """A tool call's id in the letters, and of the length, that the API allows."""
    return _NO_ID.sub("_", id_)[-64:] or "_"


def _media(part: MediaPart) -> dict[str, Any]:
    kind = {"image": "image", "audio": "audio"}.get(part.mime.partition("/")[0], part.kind)
    block: dict[str, Any] = {"source": _source(part)}
    ending = (part.name or part.url).rpartition(".")[2].lower()
    form = _FORMATS.get(part.mime) or (ending if ending in _FORMATS.values() else "")
    if not form:
        raise Unsupported(f"Bedrock does not take {part.kind} parts of type {part.mime[:100]!r}", field="messages")
    block["format"] = form
    if kind == "file":
        block["name"] = " ".join(_NO_NAME.sub(" ", part.name.rpartition(".")[0] or part.name).split())[:190] or "file"
    return {_BLOCKS[kind]: block}


def _source(part: MediaPart) -> dict[str, Any]:
    if part.data:
        return {"bytes": part.data}
    if part.url.startswith("s3://"):
        return {"s3Location": {"uri": part.url}}
    raise Unsupported(f"Bedrock takes the {part.kind} as base64 data or from S3", field="messages")


def _tell_apart(messages: Iterable[dict[str, Any]]) -> None:
    """Number the documents that have the same name, which Bedrock refuses."""
    seen: dict[str, int] = {}
    for message in messages:
        for block in message["content"]:
            if document := block.get("document"):
                name = document["name"]
                seen[name] = seen.get(name, 0) + 1
                if seen[name] > 1:
                    document["name"] = f"{name} ({seen[name]})"
