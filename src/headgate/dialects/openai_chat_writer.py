"""OpenAI's chat completions, written: a Prompt as a request body, events as the caller's stream, a Reply as a body."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from headgate.core.call import (
    Call,
    CallPart,
    MediaPart,
    Message,
    Part,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
)
from headgate.core.entry import Entry
from headgate.core.events import (
    Begin,
    Choice,
    Done,
    Event,
    Extra,
    Reason,
    Receipt,
    Refusal,
    Reply,
    Text,
    Thinking,
    ToolArgs,
    ToolCall,
    Usage,
    Verbatim,
)
from headgate.core.faults import Unsupported
from headgate.dialects.sse import frame

_encode = msgspec.json.Encoder().encode
_FINISH: dict[Reason, str] = {
    "stop": "stop",
    "length": "length",
    "tool": "tool_calls",
    "filter": "content_filter",
    "pause": "stop",
    "error": "error",
    "other": "stop",
}


class Writer:
    """Writes a stream of `chat.completion.chunk` objects; the Receipt adds the usage, if wanted, and the end mark.

    Once bytes were passed on, what they meant is not written again.
    """

    def __init__(self, call: Call) -> None:
        self._usage_wanted = call.usage_wanted
        self._id = f"chatcmpl-{call.id}"
        self._model = call.model
        self._created = int(time.time())
        self._spoken: set[int] = set()
        self._usage: Usage | None = None
        self._passing = False

    def feed(self, event: Event) -> bytes:
        """The bytes for one event."""
        if type(event) is Verbatim:  # nearly always
            self._passing = True
            return event.data
        match event:
            case Text():
                logprobs = None if event.logprobs is None else {"content": event.logprobs, "refusal": None}
                return self._delta(event.choice, {"content": event.text}, logprobs)
            case Begin():
                self._id = event.id or self._id
                self._model = event.model or self._model
            case Done():
                return b"" if self._passing else self._choice(event.choice, {}, _FINISH[event.reason])
            case Usage():
                self._usage = event
            case Receipt():
                return self._end(event.entry)
            case Thinking() if event.text:
                return self._delta(event.choice, {"reasoning_content": event.text})
            case Refusal():
                return self._delta(event.choice, {"refusal": event.text})
            case ToolCall():
                return self._delta(event.choice, {"tool_calls": [tool_call(event)]})
            case ToolArgs():
                piece = {"index": event.index, "function": {"arguments": event.json}}
                return self._delta(event.choice, {"tool_calls": [piece]})
            case Extra(vendor="openai"):
                return self._delta(event.choice, {event.name: event.value})
        return b""

    def fail(self, error: bytes) -> bytes:
        """The rendered error as a chunk of its own; no end mark follows."""
        return frame(error)

    def _delta(self, index: int, delta: dict[str, Any], logprobs: Any = None) -> bytes:
        return self._choice(index, delta, None, logprobs)

    def _choice(self, index: int, delta: dict[str, Any], finish: str | None, logprobs: Any = None) -> bytes:
        if index not in self._spoken:
            self._spoken.add(index)
            delta = {"role": "assistant", "content": "" if "tool_calls" not in delta else None, **delta}
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return frame(_encode({**self._head(), "choices": [choice]}))

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }

    def _end(self, entry: Entry) -> bytes:
        if not self._usage_wanted:
            return b"data: [DONE]\n\n"
        chunk = {**self._head(), "choices": [], "usage": usage_body(self._usage, entry)}
        return frame(_encode(chunk)) + b"data: [DONE]\n\n"


def whole(call: Call, reply: Reply) -> bytes:
    """A whole answer as a `chat.completion` body; one that came in this dialect is passed on untouched."""
    if reply.verbatim:
        return reply.verbatim
    entry = reply.entry
    return _encode(
        {
            "id": reply.begin.id or f"chatcmpl-{call.id}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": reply.begin.model or call.model,
            "choices": [_whole_choice(index, choice) for index, choice in enumerate(reply.choices)],
            "usage": None if entry is None else usage_body(reply.usage, entry),
        }
    )


def _whole_choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text if choice.text or not choice.calls else None,
        "refusal": choice.refusal or None,
    }
    if choice.thinking:
        message["reasoning_content"] = choice.thinking
    if choice.calls:
        message["tool_calls"] = [
            tool_call(ToolCall(at, said.id, said.name, index, said.signature), said.arguments or "{}", whole=True)
            for at, said in enumerate(choice.calls)
        ]
    message |= {extra.name: extra.value for extra in choice.extras if extra.vendor == "openai"}
    return {
        "index": index,
        "message": message,
        "logprobs": None if choice.logprobs is None else {"content": choice.logprobs, "refusal": None},
        "finish_reason": _FINISH[choice.done.reason] if choice.done else None,
    }


def tool_call(event: ToolCall, arguments: str = "", *, whole: bool = False) -> dict[str, Any]:
    """A tool call as OpenAI shapes it; a thought signature travels as Google's own compatible API sends it."""
    body: dict[str, Any] = {} if whole else {"index": event.index}
    body |= {"id": event.id, "type": "function", "function": {"name": event.name, "arguments": arguments}}
    if event.signature:
        body["extra_content"] = {"google": {"thought_signature": event.signature}}
    return body


def usage_body(usage: Usage | None, entry: Entry) -> dict[str, Any]:
    """The usage object: the vendor's own fields where it spoke this dialect, and what the call cost (`cost_usd`)."""
    body: dict[str, Any] = {
        "prompt_tokens": entry.tokens_in,
        "completion_tokens": entry.tokens_out,
        "total_tokens": entry.tokens_in + entry.tokens_out,
        "prompt_tokens_details": {"cached_tokens": entry.cached},
        "completion_tokens_details": {"reasoning_tokens": entry.reasoning},
    }
    if usage is not None and usage.raw is not None and "prompt_tokens" in usage.raw:
        body = dict(usage.raw)
    return {**body, "cost_usd": entry.cost_usd}


def request(prompt: Prompt, model: str, *, stream: bool) -> dict[str, Any]:
    """A request body for an upstream of this dialect, from a call that came in another."""
    choice = prompt.tool_choice
    body: dict[str, Any] = {
        "model": model,
        "messages": [out for message in prompt.messages for out in _messages(message)],
        "tools": [_tool(tool.name, tool) for tool in prompt.tools] or None,
        "tool_choice": None
        if choice is None
        else {"type": "function", "function": {"name": choice.name}}
        if choice.mode == "named"
        else choice.mode,
        "parallel_tool_calls": prompt.parallel_tools,
        "response_format": _format(prompt),
        "max_completion_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "stop": list(prompt.stop) or None,
        "seed": prompt.seed,
        "n": prompt.n,
        "logprobs": prompt.logprobs,
        "top_logprobs": prompt.top_logprobs,
        "presence_penalty": prompt.presence_penalty,
        "frequency_penalty": prompt.frequency_penalty,
        "reasoning_effort": prompt.reasoning and effort_of(prompt.reasoning),
        "user": prompt.user or None,
        "stream": True if stream else None,
        "stream_options": {"include_usage": True} if stream else None,
    }
    return {name: value for name, value in body.items() if value is not None}


def effort_of(reasoning: Reasoning) -> str | None:
    """OpenAI's word for how much to think; a budget becomes the word that is nearest."""
    if reasoning.effort or reasoning.budget is None:
        return reasoning.effort or None
    budget = reasoning.budget
    return "none" if budget == 0 else "low" if budget <= 2048 else "medium" if budget <= 8192 else "high"


def _tool(name: str, tool: Any) -> dict[str, Any]:
    if not name:
        kind = str(tool.extra.get("type"))
        if kind not in tool.extra:  # this dialect keeps a tool's settings under its type; others don't
            raise Unsupported(f"this model has no tool of type {kind[:50]!r}", field="tools")
        return dict(tool.extra)
    function: dict[str, Any] = {"name": name}
    if tool.description:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _format(prompt: Prompt) -> dict[str, Any] | None:
    wanted = prompt.format
    if wanted is None:
        return None
    if wanted.kind == "json":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _messages(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [
            {"role": "tool", "tool_call_id": part.id, "content": _content(part.parts)}
            for part in message.parts
            if isinstance(part, ResultPart)
        ]
    said = tuple(part for part in message.parts if isinstance(part, TextPart | MediaPart))
    body: dict[str, Any] = {"role": message.role, "content": _content(said)}
    if message.name:
        body["name"] = message.name
    calls = [part for part in message.parts if isinstance(part, CallPart)]
    if calls:
        body["content"] = body["content"] or None
        body["tool_calls"] = [
            tool_call(ToolCall(at, part.id, part.name, 0, part.signature), part.arguments, whole=True)
            for at, part in enumerate(calls)
        ]
    refusals = [part.text for part in message.parts if isinstance(part, RefusalPart)]
    if refusals:
        body["refusal"] = "".join(refusals)
    thoughts = "".join(part.text for part in message.parts if isinstance(part, ThinkingPart))
    if thoughts:
        body["reasoning_content"] = thoughts
    return [body]


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, TextPart) for part in parts) and len(parts) < 2:
        return parts[0].text if parts and isinstance(parts[0], TextPart) else ""
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    assert isinstance(part, MediaPart)  # noqa: S101 - `_content` is given nothing else
    if part.kind == "image":
        if part.file_id:
            raise Unsupported("this model takes images as data or by URL, not by id", field="messages")
        image = {"url": part.url or f"data:{part.mime};base64,{part.data}"}
        return {"type": "image_url", "image_url": {**image, **part.extra}}
    if part.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.mime.rpartition("/")[2]}}
    if part.file_id:
        return {"type": "file", "file": {"file_id": part.file_id}}
    if not part.data:
        raise Unsupported("this model takes files as data, not by URL", field="messages")
    return {
        "type": "file",
        "file": {"filename": part.name or "file", "file_data": f"data:{part.mime};base64,{part.data}"},
    }
