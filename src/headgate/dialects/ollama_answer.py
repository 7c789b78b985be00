"""Ollama's chat, the answering side: one object, or a stream of them that ends with the one that is `done`.

https://docs.ollama.com/api/chat; the answers of https://docs.ollama.com/api/generate are read too. What has no noun of
ours (images, a context) is an Extra under Ollama's own name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headgate.core.events import Begin, Done, Event, Extra, Reason, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.ndjson import NdjsonReader
from headgate.dialects.sse import WholeReader

VENDOR = "ollama"

_REASONS: dict[str, Reason] = {"": "stop", "stop": "stop", "length": "length"}
_METRICS = (
    "prompt_eval_count",
    "eval_count",
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
)


class StreamReader(NdjsonReader):
    """Reads a stream of objects."""

    def __init__(self) -> None:
        super().__init__()
        self._answer = _Answer()

    def event(self, data: dict[str, Any]) -> Iterable[Event]:
        """The events of one object. Raises the fault that it reports, or UpstreamBroken for nonsense."""
        events = self._answer.take(data)
        self.finished = self._answer.finished
        return events


class AnswerReader(WholeReader):
    """Reads an answer that came in one object."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """All events. Raises the fault that the body reports, or UpstreamBroken for what is no whole answer."""
        answer = _Answer()
        events = answer.take(data)
        if not answer.finished:
            raise UpstreamBroken("Ollama sent an answer that is not finished")
        return events


class _Answer:
    """What has been said so far."""

    def __init__(self) -> None:
        self.finished = False
        self._begun = False
        self._calls = 0

    def take(self, data: dict[str, Any]) -> list[Event]:
        """The events of one object; what follows the end says nothing."""
        if self.finished:
            return []
        if data.get("error"):
            raise fault_in_band(data)
        try:
            return list(self._events(data))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise UpstreamBroken("Ollama sent an answer of an unknown shape") from None

    def _events(self, data: dict[str, Any]) -> Iterator[Event]:
        if "message" not in data and "response" not in data and not data.get("done"):
            raise LookupError
        if not self._begun:
            self._begun = True
            yield Begin("", _text(data.get("model")))
        said = data.get("message") or {"content": data.get("response"), "thinking": data.get("thinking")}
        if thought := _text(said.get("thinking")):
            yield Thinking(thought)
        text, logprobs = _text(said.get("content")), _logprobs(data.get("logprobs"))
        if text or logprobs:
            yield Text(text, logprobs=logprobs)
        for call in said.get("tool_calls") or ():
            yield from self._call(call)
        for name, value in (("images", said.get("images")), ("context", data.get("context"))):
            if value:
                yield Extra(VENDOR, name, value)
        if data.get("done"):
            yield from self._end(data)

    def _call(self, call: dict[str, Any]) -> Iterator[Event]:
        """Older servers give calls no ids, and callers need them."""
        function = call["function"]
        arguments = function.get("arguments") or {}
        if type(arguments) not in (dict, str):
            raise TypeError
        id_ = _text(call.get("id")) or f"call_{secrets.token_hex(12)}"
        yield ToolCall(self._calls, id_, _text(function["name"]))
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        yield ToolArgs(self._calls, text)
        self._calls += 1

    def _end(self, data: dict[str, Any]) -> Iterator[Event]:
        if usage := _usage(data):
            yield usage
        self.finished = True
        reason = _text(data.get("done_reason"))
        known = _REASONS.get(reason, "other")
        yield Done("tool" if known == "stop" and self._calls else known, 0, reason)


def _usage(data: dict[str, Any]) -> Usage | None:
    """A prompt that Ollama had cached whole has no count in older versions: then the usage is an estimate."""
    told = {name: data[name] for name in _METRICS if data.get(name) is not None}
    tokens_in, tokens_out = told.get("prompt_eval_count"), told.get("eval_count")
    if tokens_in is None and tokens_out is None:
        return None
    return Usage(int(tokens_in or 0), int(tokens_out or 0), raw=told, estimated=tokens_in is None)


def _logprobs(steps: list[dict[str, Any]] | None) -> list[Any] | None:
    """In OpenAI's shape, which is Ollama's but for what it leaves out."""
    if not steps:
        return None
    return [
        _token(step) | {"top_logprobs": [_token(other) for other in step.get("top_logprobs") or ()]} for step in steps
    ]


def _token(token: dict[str, Any]) -> dict[str, Any]:
    text = _text(token.get("token"))
    return {"token": text, "logprob": token["logprob"], "bytes": token.get("bytes") or list(text.encode())}


def _text(value: Any) -> str:
    """A string that may be missing; a TypeError for anything else."""
    if value is None:
        return ""
    if type(value) is not str:
        raise TypeError
    return value
