"""Ollama's chat, the asking side: a Prompt becomes Ollama's request. `ollama_answer` reads what comes back.

https://docs.ollama.com/api/chat. What Ollama cannot do is Unsupported. Hints that change nothing a caller could rely
on are left out: the fields of other vendors that are not in `_CANNOT` (`user`, `metadata`, `store`, `service_tier`,
cache markers …), a tool's and a format's `strict`, an image's `detail`, a speaker's `name`, signatures, another
vendor's redacted thoughts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.core.call import (
    CallPart,
    MediaPart,
    Message,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
)
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.events import Usage
from headgate.core.faults import InvalidField, Unsupported, UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.openai_chat_writer import effort_of
from headgate.dialects.openai_embeddings import numbers

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
# What Ollama itself makes of OpenAI's words: thinkFromReasoningEffort in its openai.go.
_THINK: dict[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


def request(prompt: Prompt, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of a request. Raises Unsupported, naming the feature, and InvalidField."""
    _refuse(prompt)
    names = {part.id: part.name for turn in prompt.turns for part in turn.parts if isinstance(part, CallPart)}
    wants_tools = prompt.tool_choice is None or prompt.tool_choice.mode != "none"
    said = {
        "model": model,
        "messages": [out for message in prompt.messages for out in _messages(message, names)],
        "stream": stream,
        "tools": [_tool(tool) for tool in prompt.tools if wants_tools] or None,
        "format": prompt.format and (prompt.format.schema or "json"),
        "options": _options(prompt) or None,
        "think": prompt.reasoning and _think(prompt.reasoning),
        "logprobs": prompt.logprobs or None,
        "top_logprobs": prompt.top_logprobs if prompt.logprobs else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _refuse(prompt: Prompt) -> None:
    for name in _CANNOT:
        if prompt.extra.get(name):
            raise Unsupported(f"Ollama does not support {name}", field=name)
    if set(prompt.extra.get("modalities") or ()) - {"text"}:
        raise Unsupported("Ollama answers in text alone: other modalities are not supported", field="modalities")
    if (prompt.n or 1) > 1:
        raise Unsupported("Ollama gives one answer a request: n above 1 is not supported", field="n")
    if prompt.tools and prompt.parallel_tools is False:
        raise Unsupported("Ollama cannot be held to one tool call at a time", field="parallel_tool_calls")
    if prompt.tool_choice is not None and prompt.tool_choice.mode in {"required", "named"}:
        raise Unsupported("Ollama cannot be made to call a tool", field="tool_choice")


def _options(prompt: Prompt) -> dict[str, Any]:
    """https://docs.ollama.com/modelfile#valid-parameters-and-values."""
    said = {
        "num_predict": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "top_k": prompt.top_k,
        "stop": list(prompt.stop) or None,
        "seed": prompt.seed,
        "presence_penalty": prompt.presence_penalty,
        "frequency_penalty": prompt.frequency_penalty,
    }
    return {name: value for name, value in said.items() if value is not None}


def _think(reasoning: Reasoning) -> bool | str | None:
    effort = effort_of(reasoning)
    if effort is None:
        return reasoning.show or None
    if effort not in _THINK:
        raise Unsupported(f"Ollama knows no reasoning effort {effort!r}", field="reasoning_effort")
    return _THINK[effort]


def _tool(tool: Tool) -> dict[str, Any]:
    if not tool.name:
        raise Unsupported(f"Ollama does not support tools of type {tool.extra.get('type')!r}", field="tools")
    parameters = tool.schema or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def _messages(message: Message, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        for part in message.parts:
            if isinstance(part, ResultPart):
                yield _result(part, names)
        return
    said = [part.text for part in message.parts if isinstance(part, TextPart | RefusalPart)]
    body: dict[str, Any] = {"role": message.role, "content": "\n".join(said)}
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ThinkingPart))
    if thoughts:
        body["thinking"] = thoughts
    images = [_media(part) for part in message.parts if isinstance(part, MediaPart)]
    if images:
        body["images"] = images
    calls = [_call(part) for part in message.parts if isinstance(part, CallPart)]
    if calls:
        body["tool_calls"] = calls
    yield body


def _result(part: ResultPart, names: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": "tool", "content": part.text}
    if name := part.name or names.get(part.id):
        body["tool_name"] = name
    if part.id:
        body["tool_call_id"] = part.id
    images = [_media(shown) for shown in part.parts if isinstance(shown, MediaPart)]
    return body | ({"images": images} if images else {})


def _call(part: CallPart) -> dict[str, Any]:
    call = {"function": {"name": part.name, "arguments": _arguments(part.arguments)}}
    return {"id": part.id, **call} if part.id else call


def _arguments(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidField("the arguments of a tool call must be a JSON object", field="messages")
    return value


def _media(part: MediaPart) -> str:
    """Images, and for models that hear, sounds: both travel as base64 under `images`."""
    if part.kind == "file" or not part.data:
        raise Unsupported(f"Ollama takes images and sounds as data, not this {part.kind}", field="messages")
    return part.data


def embed_request(call: EmbedCall) -> dict[str, Any]:
    """The body of /api/embed (https://docs.ollama.com/api/embed). Raises Unsupported."""
    body: dict[str, Any] = {"model": call.model, "input": call.texts("Ollama")}
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    return body


def read_embeddings(data: dict[str, Any], count: int) -> Embedded:
    """The `count` vectors of an answer, in the order of the texts. Raises the fault it reports, or UpstreamBroken."""
    if data.get("error"):
        raise fault_in_band(data)
    try:
        found = data["embeddings"] if "embeddings" in data else [data["embedding"]]
        vectors = [numbers(vector) for vector in found]
    except (LookupError, TypeError, ValueError):
        raise UpstreamBroken("Ollama sent embeddings of an unknown shape") from None
    if len(vectors) != count:
        raise UpstreamBroken(f"Ollama sent {len(vectors)} embeddings for {count} texts")
    tokens, model = data.get("prompt_eval_count"), data.get("model")
    usage = Usage(tokens, 0) if type(tokens) is int else None
    return Embedded(vectors, usage, model if isinstance(model, str) else "")
