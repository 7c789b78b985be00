"""Mistral's chat completions: OpenAI's dialect with an accent (https://docs.mistral.ai/api/endpoint/chat).

Mistral refuses fields that it does not know, so nothing is sent that it does not document. Hints that change nothing a
caller could rely on are left out: `user`, `store`, `service_tier`, `verbosity`, a speaker's `name`, cache markers,
another vendor's thought signatures on tool calls, redacted thoughts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import structs

from headgate.core.call import (
    CallPart,
    MediaPart,
    Message,
    Part,
    Prompt,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from headgate.core.embedding import EmbedCall
from headgate.core.events import Event, Extra
from headgate.core.faults import Unsupported, UpstreamBroken
from headgate.dialects import openai_chat_reader, openai_chat_writer
from headgate.dialects.errors import fault_in_band

VENDOR = "mistral"
MOST_INPUTS = 256
"""How many texts one request for embeddings may carry."""

_OWN = ("guardrails", "metadata", "prediction", "prompt_cache_key", "prompt_mode", "safe_prompt")
_CANNOT = (
    "audio",
    "background",
    "container",
    "context_management",
    "conversation",
    "logit_bias",
    "mcp_servers",
    "previous_response_id",
    "web_search_options",
)
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh"})
_NAMES = {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
_LEFT_OUT = frozenset({"logprobs", "messages", "stream_options", "top_logprobs", "user"})
_ID = re.compile(r"[A-Za-z0-9]{9}")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def request(prompt: Prompt, model: str, *, stream: bool) -> dict[str, Any]:
    """The body of a request. Raises Unsupported, naming the feature, for what Mistral cannot do."""
    _refuse(prompt)
    alike = openai_chat_writer.request(structs.replace(prompt, messages=()), model, stream=stream)
    body = {_NAMES.get(name, name): value for name, value in alike.items() if name not in _LEFT_OUT}
    body["messages"] = [out for message in prompt.messages for out in _messages(message)]
    if prompt.messages and prompt.messages[-1].role == "assistant":
        body["messages"][-1]["prefix"] = True  # words that the answer is to begin with
    if body.get("tool_choice") == "required":
        body["tool_choice"] = "any"
    for tool in body.get("tools") or ():
        tool["function"].setdefault("parameters", {"type": "object", "properties": {}})
    if "reasoning_effort" in body:
        body["reasoning_effort"] = _effort(body["reasoning_effort"])
    return body | {name: prompt.extra[name] for name in _OWN if prompt.extra.get(name) is not None}


def embed_request(call: EmbedCall) -> dict[str, Any]:
    """The body of a request for embeddings (https://docs.mistral.ai/api/endpoint/embeddings)."""
    body: dict[str, Any] = {"model": call.model, "input": call.texts("Mistral")}
    if call.dimensions is not None:
        body["output_dimension"] = call.dimensions
    return body


def _refuse(prompt: Prompt) -> None:
    for name in _CANNOT:
        if prompt.extra.get(name):
            raise Unsupported(f"Mistral does not support {name}", field=name)
    if set(prompt.extra.get("modalities") or ()) - {"text"}:
        raise Unsupported("Mistral answers in text alone: other modalities are not supported", field="modalities")
    if prompt.logprobs or prompt.top_logprobs:
        raise Unsupported("Mistral does not tell logprobs", field="logprobs")
    if prompt.top_k is not None:
        raise Unsupported("Mistral does not support top_k", field="top_k")
    for tool in prompt.tools:
        if not tool.name:
            raise Unsupported(f"Mistral does not support tools of type {tool.extra.get('type')!r} here", field="tools")


def _effort(effort: str) -> str:
    effort = "xhigh" if effort == "max" else effort
    if effort not in _EFFORTS:
        raise Unsupported(f"Mistral knows no reasoning effort {effort!r}", field="reasoning_effort")
    return effort


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        for part in message.parts:
            if isinstance(part, ResultPart):
                yield {"role": "tool", "tool_call_id": call_id(part.id), "content": _content(part.parts)}
        return
    calls = [_call(part) for part in message.parts if isinstance(part, CallPart)]
    content = _content(message.parts)
    yield {"role": message.role, "content": content} | ({"tool_calls": calls} if calls else {})


def _call(part: CallPart) -> dict[str, Any]:
    function = {"name": part.name, "arguments": part.arguments}
    return {"id": call_id(part.id), "type": "function", "function": function}


def call_id(id_: str) -> str:
    """A tool call's id as Mistral wants it, nine letters and digits; another vendor's always becomes the same one."""
    if _ID.fullmatch(id_):
        return id_
    number = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "big")
    return "".join(_DIGITS[number // 62**place % 62] for place in range(9))


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    chunks = [_chunk(part) for part in parts if not isinstance(part, CallPart)]
    said = [chunk for chunk in chunks if chunk is not None]
    if not said:
        return ""
    if len(said) == 1 and said[0]["type"] == "text":
        return str(said[0]["text"])
    return said


def _chunk(part: Part) -> dict[str, Any] | None:
    """One chunk of content (https://docs.mistral.ai/api: ContentChunk)."""
    match part:
        case TextPart() | RefusalPart():
            return {"type": "text", "text": part.text}
        case ThinkingPart() if part.text:
            chunk: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]}
            return chunk | ({"signature": part.signature} if part.signature else {})
        case MediaPart():
            return _media(part)
    return None


def _media(part: MediaPart) -> dict[str, Any]:
    if part.kind == "file" and part.file_id:
        return {"type": "file", "file_id": part.file_id}
    url = part.url or f"data:{part.mime};base64,{part.data}"
    if part.kind == "audio":
        return {"type": "input_audio", "input_audio": part.data or part.url}
    if part.kind == "file":
        name = {"document_name": part.name} if part.name else {}
        return {"type": "document_url", "document_url": url} | name
    if not part.url and not part.data:
        raise Unsupported("Mistral takes images by URL or as data", field="messages")
    detail = {"detail": part.extra["detail"]} if "detail" in part.extra else {}
    return {"type": "image_url", "image_url": {"url": url} | detail}


class StreamReader(openai_chat_reader.StreamReader):
    """Reads a stream of chunks."""

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """Events of one chunk. Raises the fault that it reports, or UpstreamBroken for nonsense."""
        return _own(super().event, name, data)


class AnswerReader(openai_chat_reader.AnswerReader):
    """Reads a whole answer."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """Its events. Raises the fault that it reports, or UpstreamBroken for nonsense."""
        return _own(super().answer, data)


def _own(read: Callable[..., Iterable[Event]], *told: Any) -> list[Event]:
    """The events of Mistral's words: its errors stand at the top level, its references are its own."""
    if told[-1].get("object") == "error":
        raise fault_in_band(told[-1])
    try:
        return [_named(event) for event in read(*told)]
    except (AttributeError, LookupError, TypeError, ValueError):
        raise UpstreamBroken("Mistral sent an answer of an unknown shape") from None


def _named(event: Event) -> Event:
    if isinstance(event, Extra) and event.name == "content":
        return Extra(VENDOR, str(event.value.get("type") or "content"), event.value, event.choice)
    return event
