"""Cohere's chat v2, the answering side: streamed or whole, the same answer becomes the same events.

https://docs.cohere.com/reference/chat-stream. The plan before tool calls is a thought: Cohere calls it a reflection in
the style of a chain of thought, and shows it beside the answer, not in it. What has no noun of ours (citations) is an
Extra under Cohere's own name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from headgate.core.events import Begin, Done, Event, Extra, Reason, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.sse import SseReader, WholeReader

VENDOR = "cohere"

_REASONS: dict[str, Reason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool",
    "ERROR_TOXIC": "filter",
    "ERROR": "error",
    "TIMEOUT": "error",
    "USER_CANCEL": "other",
}
_SILENT = frozenset({"content-end", "citation-end"})


class StreamReader(SseReader):
    """Reads a stream of v2 events."""

    def __init__(self) -> None:
        super().__init__()
        self._answer = _Answer()

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """The events of one frame. Raises the fault that it reports, or UpstreamBroken for nonsense."""
        if name == "error" or data.get("error") or ("type" not in data and "message" in data):
            raise fault_in_band(data)
        try:
            events = list(self._answer.take(data))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise UpstreamBroken("Cohere sent an event of an unknown shape") from None
        self.finished = self._answer.finished
        return events


class AnswerReader(WholeReader):
    """Reads a whole answer."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """All events. Raises the fault that the body reports, or UpstreamBroken for what is no answer."""
        if data.get("error") or isinstance(data.get("message"), str):
            raise fault_in_band(data)
        try:
            return list(_whole(data))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise UpstreamBroken("Cohere sent an answer of an unknown shape") from None


class _Answer:
    """What a stream has said so far. `_calls` numbers the tool calls by Cohere's own numbers.

    `_bare` are those that have no arguments yet.
    """

    def __init__(self) -> None:
        self.finished = False
        self._seen = 0
        self._calls: dict[int, int] = {}
        self._bare: set[int] = set()

    def take(self, data: dict[str, Any]) -> Iterator[Event]:
        """The events of one frame."""
        kind, message = data["type"], (data.get("delta") or {}).get("message") or {}
        if kind == "message-start":
            yield Begin(_text(data.get("id")))
        elif kind == "tool-plan-delta":
            yield from _plan(message)
        elif kind in {"content-start", "content-delta"}:
            yield from _content(message.get("content") or {}, _logprobs([data.get("logprobs")]))
        elif kind == "tool-call-start":
            yield from self._call(data.get("index"), message["tool_calls"])
        elif kind == "tool-call-delta":
            yield from self._arguments(self._calls[data.get("index") or 0], message["tool_calls"])
        elif kind == "tool-call-end":
            yield from self._ended(self._calls[data.get("index") or 0])
        elif kind == "citation-start":
            if message.get("citations"):
                yield Extra(VENDOR, "citations", message["citations"])
        elif kind == "message-end":
            yield from self._end(data.get("delta") or {})
        elif kind not in _SILENT:
            yield Extra(VENDOR, _text(kind), data)

    def _call(self, slot: int | None, call: dict[str, Any]) -> Iterator[Event]:
        at = self._calls[slot or 0] = self._seen
        self._seen += 1
        self._bare.add(at)
        yield _begun(at, call)
        yield from self._arguments(at, call)

    def _arguments(self, at: int, call: dict[str, Any]) -> Iterator[Event]:
        if piece := _text(call["function"].get("arguments")):
            self._bare.discard(at)
            yield ToolArgs(at, piece)

    def _ended(self, at: int) -> Iterator[Event]:
        """A call of a tool without parameters streams no arguments; whole, it has `{}`."""
        if at in self._bare:
            self._bare.discard(at)
            yield ToolArgs(at, "{}")

    def _end(self, delta: dict[str, Any]) -> Iterator[Event]:
        if delta.get("error"):
            raise fault_in_band({"message": delta["error"]})
        for at in sorted(self._bare):
            yield ToolArgs(at, "{}")
        if usage := _usage(delta.get("usage")):
            yield usage
        self.finished = True
        yield _done(_text(delta.get("finish_reason")), calls=self._seen > 0)


def _whole(data: dict[str, Any]) -> Iterator[Event]:
    message = data["message"]
    yield Begin(_text(data.get("id")))
    yield from _plan(message)
    logprobs = _logprobs(data.get("logprobs") or ())
    for block in message.get("content") or ():
        yield from _content(block, logprobs if "text" in block else None)
        logprobs = None if "text" in block else logprobs
    calls = message.get("tool_calls") or ()
    for at, call in enumerate(calls):
        yield _begun(at, call)
        yield ToolArgs(at, _text(call["function"].get("arguments")) or "{}")
    for citation in message.get("citations") or ():
        yield Extra(VENDOR, "citations", citation)
    if usage := _usage(data.get("usage")):
        yield usage
    yield _done(_text(data.get("finish_reason")), calls=bool(calls))


def _plan(message: dict[str, Any]) -> Iterator[Event]:
    if plan := _text(message.get("tool_plan")):
        yield Thinking(plan)


def _content(block: dict[str, Any], logprobs: list[Any] | None) -> Iterator[Event]:
    if thought := _text(block.get("thinking")):
        yield Thinking(thought)
    text = _text(block.get("text"))
    if text or logprobs:
        yield Text(text, logprobs=logprobs)
    if block.get("type") not in {None, "text", "thinking"}:
        yield Extra(VENDOR, "content", block)


def _begun(at: int, call: dict[str, Any]) -> ToolCall:
    """The beginning of a call; callers need ids, so one that has none gets one."""
    return ToolCall(at, _text(call.get("id")) or f"call_{secrets.token_hex(12)}", _text(call["function"]["name"]))


def _done(reason: str, *, calls: bool) -> Done:
    known = _REASONS.get(reason, "other")
    return Done("tool" if calls and known == "stop" else known, 0, reason)


def _usage(raw: dict[str, Any] | None) -> Usage | None:
    """Cohere bills less than its models read (its own words around the prompt are free): what it bills is counted.

    `raw` has both, and all of the cached tokens.
    """
    if not raw:
        return None
    billed, used = raw.get("billed_units") or {}, raw.get("tokens") or {}
    tokens_in = _count(billed, used, "input_tokens")
    tokens_out = _count(billed, used, "output_tokens")
    if tokens_in is None and tokens_out is None:
        return None
    return Usage(
        tokens_in or 0,
        tokens_out or 0,
        cached=min(tokens_in or 0, int(raw.get("cached_tokens") or 0)),
        reasoning=min(tokens_out or 0, int(used.get("reasoning_tokens") or 0)),
        raw=raw,
    )


def _count(billed: dict[str, Any], used: dict[str, Any], name: str) -> int | None:
    """Cohere writes counts as floats."""
    told = billed.get(name)
    told = used.get(name) if told is None else told
    return None if told is None else int(told)


def _logprobs(items: Iterable[dict[str, Any] | None]) -> list[Any] | None:
    """In OpenAI's shape. Where Cohere tells several tokens' text as one, it is as probable as all of them together."""
    found = [item for item in items if item and item.get("logprobs")]
    return [_token(_text(item.get("text")), sum(item["logprobs"])) for item in found] or None


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}


def _text(value: Any) -> str:
    """A string that may be missing; a TypeError for anything else."""
    if value is None:
        return ""
    if type(value) is not str:
        raise TypeError
    return value
