"""OpenAI's chat completions, the upstream's side: the bytes of an answer become events.

https://platform.openai.com/docs/api-reference/chat/streaming. Many servers speak this dialect with an accent; the
accents met so far are understood here: tool calls without an index or id, content as parts, reasoning under two names,
usage in odd places, errors inside a 200.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headgate.core.events import (
    Begin,
    Done,
    Event,
    Extra,
    Reason,
    Refusal,
    Text,
    Thinking,
    ToolArgs,
    ToolCall,
    Usage,
)
from headgate.core.faults import Fault, UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.sse import SseReader, WholeReader

REASONS: dict[str, Reason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool",
    "tool_use": "tool",
    "function_call": "tool",
    "content_filter": "filter",
    "sensitive": "filter",
    "safety": "filter",
    "error": "error",
    "abort": "error",
    "insufficient_system_resource": "error",
}
_CACHED = frozenset({"prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"})
_MOST_CHOICES = 2048  # the older completions answer many prompts at once
_EXTRAS = ("annotations", "audio", "images", "citations", "reasoning_details")


class StreamReader(SseReader):
    """Reads a stream of `chat.completion.chunk` objects into their full meaning."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._calls: dict[int, Calls] = {}
        self._choices = Choices()

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """Events of one chunk."""
        check_chunk(name, data)
        if not self._begun and (data.get("id") or data.get("choices")):  # Azure's first chunk names nothing yet
            self._begun = True
            yield Begin(text_of(data.get("id")), text_of(data.get("model")))
        for choice in data.get("choices") or ():
            yield from self._choice(choice)
        usage = usage_of(data)
        if usage is not None:
            yield usage

    def _choice(self, choice: dict[str, Any]) -> Iterator[Event]:
        index = index_of(choice)
        said = choice.get("delta") or {}
        yield from meaning(said, choice, index, self._calls.setdefault(index, Calls()))
        reason = reason_of(choice)
        self.finished = self._choices.see(index, ended=bool(reason))
        if reason:
            check_choice(choice)
            yield done(reason, index, tools=bool(self._calls[index].seen))
            if usage := usage_of(choice):
                yield usage


class AnswerReader(WholeReader):
    """Reads a whole `chat.completion` object."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """Its events, as if it had been streamed."""
        check_answer(data)
        yield Begin(text_of(data.get("id")), text_of(data.get("model")))
        for at, choice in enumerate(data["choices"]):
            index = index_of(choice, at)
            calls = Calls()
            yield from meaning(choice.get("message") or {}, choice, index, calls)
            yield done(reason_of(choice), index, tools=bool(calls.seen))
        usage = usage_of(data)
        if usage is not None:
            yield usage


class Choices:
    """Which choices of a stream have begun, and which have ended."""

    __slots__ = ("_ended", "begun")

    def __init__(self) -> None:
        self.begun: set[int] = set()
        self._ended: set[int] = set()

    def see(self, index: int, *, ended: bool) -> bool:
        """Take a piece of a choice; whether all that began have ended."""
        self.begun.add(index)
        if ended:
            self._ended.add(index)
        return len(self._ended) == len(self.begun)


class Calls:
    """Numbers a choice's tool calls from 0 without gaps, whatever the upstream counts."""

    __slots__ = ("_ids", "_last", "_slots", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self._slots: dict[Any, int] = {}
        self._ids: dict[int, str] = {}
        self._last = -1

    def place(self, call: dict[str, Any], name: str) -> tuple[int, bool]:
        """The number of the call that this piece belongs to, and whether it begins here."""
        slot, id_ = call.get("index"), call.get("id") or ""
        at = self._last if slot is None else self._slots.get(slot, -1)
        other = bool(id_ and at >= 0 and self._ids[at] and self._ids[at] != id_)
        fresh = at < 0 or (other and bool(name)) or (slot is None and bool(name))
        if fresh:
            at = self.seen
            self.seen += 1
            self._ids[at] = id_
        if slot is not None:
            self._slots[slot] = at
        self._last = at
        return at, fresh


def meaning(said: dict[str, Any], choice: dict[str, Any], index: int, calls: Calls) -> Iterator[Event]:
    """The events of a `message` or a `delta`."""
    thoughts = said.get("reasoning_content") or said.get("reasoning") or said.get("reasoning_text")
    if isinstance(thoughts, dict):
        thoughts = thoughts.get("content") or thoughts.get("text")
    if isinstance(thoughts, str) and thoughts:
        yield Thinking(thoughts, choice=index)
    content = said.get("content")
    logprobs = (choice.get("logprobs") or {}).get("content")
    if isinstance(content, list | dict):
        yield from _parts(content if isinstance(content, list) else [content], index)
    elif content or logprobs:
        yield Text(_words(content), index, logprobs)
    if said.get("refusal"):
        yield Refusal(_words(said["refusal"]), index)
    for call in said.get("tool_calls") or ():
        yield from _call(call, index, calls)
    if said.get("function_call"):
        yield from _call({"index": "function_call", "function": said["function_call"]}, index, calls)
    for name in _EXTRAS:
        if said.get(name):
            yield Extra("openai", name, said[name], index)


def _parts(parts: list[Any], index: int) -> Iterator[Event]:
    for part in parts:
        match part:
            case str() if part:
                yield Text(part, index)
            case {"type": "text", "text": str(text)}:
                yield Text(text, index)
            case {"type": "thinking", "thinking": str(text), **rest}:
                yield Thinking(text, text_of(rest.get("signature")), choice=index)
            case {"type": "thinking", "thinking": [*pieces], **rest}:
                text = "".join(text_of(piece.get("text")) for piece in pieces)
                yield Thinking(text, text_of(rest.get("signature")), choice=index)
                yield from (Extra("openai", "content", piece, index) for piece in pieces if "text" not in piece)
            case {"type": "refusal", "refusal": str(text)}:
                yield Refusal(text, index)
            case dict():
                yield Extra("openai", "content", part, index)


def _call(call: dict[str, Any], index: int, calls: Calls) -> Iterator[Event]:
    function = call.get("function") or call.get("custom") or {}
    name = function.get("name") or ""
    at, fresh = calls.place(call, name)
    if fresh:
        google = (call.get("extra_content") or {}).get("google") or {}
        id_ = call.get("id") or f"call_{index}_{at}"
        yield ToolCall(at, id_, name, index, google.get("thought_signature") or "")
    arguments = function.get("arguments", function.get("input"))
    if arguments:
        yield ToolArgs(at, arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode(), index)


def done(reason: str, index: int, *, tools: bool = False) -> Done:
    """The end of a choice; an upstream that says `stop` after tool calls means the calls."""
    known = REASONS.get(reason) or REASONS.get(reason.lower(), "other")
    return Done("tool" if tools and known == "stop" else known, index, reason)


def usage_of(data: dict[str, Any]) -> Usage | None:
    """The tokens that an answer or a chunk reports, wherever it keeps them."""
    usage = data.get("usage")
    if not usage and "x_groq" in data:
        usage = (data["x_groq"] or {}).get("usage")
    if not isinstance(usage, dict) or usage.get("prompt_tokens") is None:
        return None
    tokens_in, tokens_out = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    made, read = usage.get("completion_tokens_details"), usage.get("prompt_tokens_details")
    reasoning = _count(made, "reasoning_tokens") if made else 0
    cached = _count(read, "cached_tokens") if read else 0
    if not cached and not _CACHED.isdisjoint(usage):
        cached = max(_count(usage, name) for name in _CACHED)
    cached = min(tokens_in, cached)
    if reasoning and usage.get("total_tokens") == tokens_in + tokens_out + reasoning:
        tokens_out += reasoning  # xAI counts reasoning beside the completion, not in it
    return Usage(tokens_in, tokens_out, cached, reasoning=reasoning, raw=usage)


def index_of(choice: dict[str, Any], at: int = 0) -> int:
    """The number of a choice; `at` where it has none. Raises UpstreamBroken for one that no choice has."""
    index = choice.get("index")
    if index is None:
        return at
    if type(index) is not int or not 0 <= index < _MOST_CHOICES:
        raise UpstreamBroken("the upstream sent a choice with an impossible index")
    return index


def reason_of(choice: dict[str, Any]) -> str:
    """Why a choice ended; empty where it has not. Some servers say "null" as a word until it has."""
    reason = _words(choice.get("finish_reason"))
    return "" if reason == "null" else reason


def _words(value: Any) -> str:
    """A string that may be missing."""
    if value is None or type(value) is str:
        return value or ""
    raise UpstreamBroken("the upstream sent something else where words belong")


def _count(fields: Any, name: str) -> int:
    """A number of tokens that may be missing; some servers write `5.0`."""
    value = fields.get(name) if type(fields) is dict else None
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**53 else 0


def check_chunk(name: str, data: dict[str, Any]) -> None:
    """Raise the fault of a chunk that is an error, or not a chunk. A sign of life is one without choices."""
    if data.get("error") or name == "error":
        raise fault_in_band(data)
    if isinstance(data.get("choices"), list) or data.get("usage") or name == "ping":
        return
    if data.get("object") != "chat.completion.chunk":
        raise _no_answer(data, "the upstream sent a chunk without choices")


def check_answer(data: dict[str, Any]) -> None:
    """Raise the fault of an answer that is an error, or not an answer."""
    if data.get("error"):
        raise fault_in_band(data)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or any(not isinstance(choice, dict) for choice in choices):
        raise _no_answer(data, "the upstream sent an answer without choices")
    for choice in choices:
        check_choice(choice)


def check_choice(choice: dict[str, Any]) -> None:
    """Raise the fault of a choice that ended with an error of its own, as OpenRouter's do."""
    if choice.get("error"):
        raise fault_in_band(choice)


def _no_answer(data: dict[str, Any], otherwise: str) -> Fault:
    """The fault of what has no choices: an error said flatly, or nonsense."""
    said = data.get("object") == "error" or isinstance(data.get("message"), str) or "detail" in data
    return fault_in_band(data) if said else UpstreamBroken(otherwise)


def text_of(value: Any) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""
