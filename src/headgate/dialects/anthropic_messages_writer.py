"""Anthropic's Messages API, answered: events as the caller's stream, a Reply as a body.

https://platform.claude.com/docs/en/build-with-claude/streaming. Content blocks are numbered from 0 and follow one
another; what another vendor says in a mixed order is put in order here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.core.call import Call
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
from headgate.core.faults import UpstreamBroken
from headgate.dialects.anthropic_messages_reader import MESSAGE_DELTA, REASONS, VENDOR
from headgate.dialects.anthropic_messages_request import arguments
from headgate.dialects.sse import frame

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_STOPS: dict[Reason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool": "tool_use",
    "filter": "refusal",
    "pause": "pause_turn",
    "error": "end_turn",
    "other": "end_turn",
}
_IN_DELTA = ("stop_details", "container")
_IN_MESSAGE = ("context_management",)


class Writer:
    """Writes a stream of message events. The Receipt says why the answer ended, what it used and cost, and ends it."""

    def __init__(self, call: Call) -> None:
        self._id = f"msg_{call.id}"
        self._model = call.model
        self._started = False
        self._blocks = 0
        self._open = ""
        self._tool = -1
        self._said: list[str] = []
        self._waiting: dict[int, tuple[ToolCall, list[str]]] = {}
        self._calls = 0
        self._usage: Usage | None = None
        self._done: Done | None = None
        self._last: dict[str, Any] = {}

    def feed(self, event: Event) -> bytes:
        """The bytes for one event. Of several choices only the first has a place here."""
        match event:
            case Verbatim():
                self._started = True
                return event.data
            case Text(choice=0) | Refusal(choice=0) if event.text:
                return self._speak("text", {"text": ""}, {"type": "text_delta", "text": event.text})
            case Thinking(choice=0):
                return self._think(event)
            case ToolCall(choice=0):
                return self._call(event)
            case ToolArgs(choice=0):
                return self._args(event)
            case Extra(vendor="anthropic", choice=0):
                return self._extra(event)
            case Begin():
                self._id, self._model = event.id or self._id, event.model or self._model
            case Usage():
                self._usage = event
            case Done(choice=0):
                self._done = event
            case Receipt():
                return self._end(event.entry)
        return b""

    def fail(self, error: bytes) -> bytes:
        """The rendered error as an event of its own; no `message_stop` follows."""
        return frame(error, b"error")

    def ping(self) -> bytes:
        """Something to send while the model is silent."""
        return _frame("ping") if self._started else b": keep-alive\n\n"

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_body(self._usage or Usage(0, 0)),
        }
        return _frame("message_start", message=message)

    def _begin_block(self, kind: str, block: dict[str, Any]) -> bytes:
        start = self._start() + self._close_block()
        self._open = kind
        return start + _frame("content_block_start", index=self._blocks, content_block={"type": kind, **block})

    def _close_block(self) -> bytes:
        if not self._open:
            return b""
        self._open, self._tool = "", -1
        self._blocks += 1
        return _frame("content_block_stop", index=self._blocks - 1)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _frame("content_block_delta", index=self._blocks, delta=delta)

    def _speak(self, kind: str, block: dict[str, Any], delta: dict[str, Any]) -> bytes:
        """A piece of a block of this kind, which is begun if it is not open."""
        if self._open == kind:
            return self._delta(delta)
        return self._flush() + self._begin_block(kind, block) + self._delta(delta)

    def _think(self, event: Thinking) -> bytes:
        out = b""
        if event.redacted:
            out += (
                self._flush() + self._begin_block("redacted_thinking", {"data": event.redacted}) + self._close_block()
            )
        block = {"thinking": "", "signature": ""}
        if event.text:
            out += self._speak("thinking", block, {"type": "thinking_delta", "thinking": event.text})
        if event.signature:
            out += self._speak("thinking", block, {"type": "signature_delta", "signature": event.signature})
            out += self._close_block()
        return out

    def _call(self, event: ToolCall) -> bytes:
        """Begin a tool call; while the arguments of the one before are not complete, it waits."""
        self._calls += 1
        if self._waiting or (self._tool >= 0 and not _is_complete(self._said)):
            self._waiting[event.index] = (event, [])
            return b""
        return self._begin_call(event)

    def _begin_call(self, event: ToolCall) -> bytes:
        out = self._begin_block("tool_use", {"id": event.id, "name": event.name, "input": {}})
        self._tool = event.index
        self._said = []
        return out

    def _args(self, event: ToolArgs) -> bytes:
        if event.index in self._waiting:
            self._waiting[event.index][1].append(event.json)
            return b""
        if event.index != self._tool:
            raise UpstreamBroken("the upstream went back to a tool call that it had ended")
        self._said.append(event.json)
        return self._delta({"type": "input_json_delta", "partial_json": event.json}) if event.json else b""

    def _flush(self) -> bytes:
        """The tool calls that waited, whole."""
        waiting, self._waiting = self._waiting, {}
        return b"".join(
            self._begin_call(call) + self._args(ToolArgs(call.index, "".join(pieces)))
            for call, pieces in waiting.values()
        )

    def _extra(self, event: Extra) -> bytes:
        if event.name == MESSAGE_DELTA or event.name in _IN_MESSAGE:
            self._last |= event.value if event.name == MESSAGE_DELTA else {event.name: event.value}
        elif event.name in _IN_DELTA:
            self._last["delta"] = {**self._last.get("delta", {}), event.name: event.value}
        elif event.name == "citation":
            return self._speak("text", {"text": ""}, {"type": "citations_delta", "citation": event.value})
        elif isinstance(event.value, dict) and event.value.get("type") == event.name:
            return self._flush() + self._begin_block(event.name, event.value) + self._close_block()
        return b""

    def _end(self, entry: Entry) -> bytes:
        out = self._start() + self._flush() + self._close_block()
        usage = usage_body(self._usage or entry)
        delta = {**stop(self._done, tools=self._calls > 0), **self._last.get("delta", {})}
        usage = {**usage, **self._last.get("usage", {}), "cost_usd": entry.cost_usd}
        last = {**self._last, "delta": delta, "usage": usage, "type": "message_delta"}
        return out + frame(_encode(last), b"message_delta") + _frame("message_stop")


def whole(call: Call, reply: Reply) -> bytes:
    """A whole answer as a `message` body; one that came in this dialect is passed on untouched."""
    if reply.verbatim:
        return reply.verbatim
    choice = reply.choices[0] if reply.choices else Choice()
    extras = {extra.name: extra.value for extra in choice.extras if extra.vendor == VENDOR}
    return _encode(
        {
            "id": reply.begin.id or f"msg_{call.id}",
            "type": "message",
            "role": "assistant",
            "model": reply.begin.model or call.model,
            "content": _content(choice),
            **stop(choice.done, tools=bool(choice.calls)),
            **{name: extras[name] for name in (*_IN_DELTA, *_IN_MESSAGE) if name in extras},
            "usage": usage_body(reply.usage or reply.entry or Usage(0, 0)),
        }
    )


def _content(choice: Choice) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = [
        {"type": "redacted_thinking", "data": thought.redacted}
        if thought.redacted
        else {"type": "thinking", "thinking": thought.text, "signature": thought.signature}
        for thought in choice.thoughts
    ]
    out += [
        extra.value
        for extra in choice.extras
        if extra.vendor == VENDOR and isinstance(extra.value, dict) and extra.value.get("type") == extra.name
    ]
    if choice.text or choice.refusal:
        text: dict[str, Any] = {"type": "text", "text": choice.text + choice.refusal}
        citations = [extra.value for extra in choice.extras if extra.vendor == VENDOR and extra.name == "citation"]
        out.append({**text, "citations": citations} if citations else text)
    out += [
        {"type": "tool_use", "id": said.id, "name": said.name, "input": arguments(said.arguments)}
        for said in choice.calls
    ]
    return out


def stop(done: Done | None, *, tools: bool) -> dict[str, Any]:
    """`stop_reason` and `stop_sequence`; an answer with tool calls stopped for them, whatever its vendor calls it."""
    if done is None or (done.reason == "other" and not done.raw):
        reason = None
    elif done.raw in REASONS:
        reason = done.raw
    elif done.stop_sequence:
        reason = "stop_sequence"
    else:
        reason = _STOPS["tool" if tools and done.reason == "stop" else done.reason]
    return {"stop_reason": reason, "stop_sequence": (done.stop_sequence or None) if done else None}


def usage_body(usage: Usage | Entry) -> dict[str, Any]:
    """The usage object. What was read from and written to a cache is counted beside `input_tokens`, not in it."""
    return {
        "input_tokens": max(usage.tokens_in - usage.cached - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.tokens_out,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def write_count(tokens: int) -> bytes:
    """The answer of `/v1/messages/count_tokens`."""
    return _encode({"input_tokens": tokens})


def _frame(kind: str, **fields: Any) -> bytes:
    return frame(_encode({"type": kind, **fields}), kind.encode())


def _is_complete(pieces: list[str]) -> bool:
    try:
        _decode("".join(pieces))
    except msgspec.DecodeError:
        return False
    return True
