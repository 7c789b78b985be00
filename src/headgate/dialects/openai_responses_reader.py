"""OpenAI's Responses API, the upstream's side: the bytes of an answer become events.

https://platform.openai.com/docs/api-reference/responses-streaming. An answer is a list of items; the same things are
said by deltas, by the items' ends and by the final response, and each is read once, where it first comes. The first
frames (`created`, `in_progress`) promise nothing: they wait for what follows, so that an early failure stays clean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from headgate.core.events import (
    Begin,
    Done,
    Event,
    Extra,
    Refusal,
    Text,
    Thinking,
    ToolArgs,
    ToolCall,
    Usage,
    Verbatim,
)
from headgate.core.faults import UpstreamBroken, UpstreamFault
from headgate.dialects.errors import fault_in_band
from headgate.dialects.openai_chat_reader import text_of
from headgate.dialects.openai_responses import NAME, unsealed
from headgate.dialects.sse import IDLE, SseReader, WholeReader, decode, frame, peek

FINAL = "final"
"""The name of the Extra that holds the frame which ends a watched stream; the Writer sends it at the Receipt."""

_PREAMBLE = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


class StreamReader(SseReader):
    """Reads a stream of Responses events into their full meaning."""

    def __init__(self) -> None:
        super().__init__()
        self._begin: Begin | None = Begin()
        self._calls: dict[int, int] = {}
        self._heard: dict[int, str] = {}
        self._ended: set[int] = set()

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """Events of one frame."""
        kind = text_of(data.get("type")) or name
        _check(kind, data.get("error"), data)
        if kind in _PREAMBLE:
            if self._begin is not None:
                self._begin = begin_of(data.get("response") or {})
            return
        for event in self._end(data.get("response")) if kind in _ENDS else self._meaning(kind, data):
            if self._begin is not None:
                yield self._begin
                self._begin = None
            yield event

    def _meaning(self, kind: str, data: dict[str, Any]) -> Iterator[Event]:
        at, delta = data.get("output_index") or 0, text_of(data.get("delta"))
        match kind:
            case "response.output_text.delta":
                self._heard[at] = kind
                yield Text(delta, logprobs=data.get("logprobs") or None)
            case "response.refusal.delta":
                self._heard[at] = kind
                yield Refusal(delta)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                if self._heard.setdefault(at, kind) == kind:  # some say it both ways
                    yield Thinking(delta)
            case "response.reasoning_summary_part.added" if data.get("summary_index") and at in self._heard:
                yield Thinking("\n\n")
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                if at in self._calls:
                    self._heard[at] = kind
                    yield ToolArgs(self._calls[at], delta)
            case "response.output_text.annotation.added":
                yield _annotation(data.get("annotation"))
            case "response.output_item.added":
                yield from self._called(at, data.get("item") or {})
            case "response.output_item.done":
                yield from self._item(at, data.get("item") or {})

    def _called(self, at: int, item: dict[str, Any]) -> Iterator[Event]:
        if item.get("type") in _CALLS and at not in self._calls:
            self._calls[at] = len(self._calls)
            yield _call(item, self._calls[at])

    def _item(self, at: int, item: dict[str, Any]) -> Iterator[Event]:
        """What the end of an item adds to what was heard of it."""
        self._ended.add(at)
        kind = item.get("type")
        if kind in _CALLS:
            yield from self._called(at, item)
            if at not in self._heard:
                yield from _arguments(item, self._calls[at])
        elif at not in self._heard:
            yield from said(item)
        elif kind == "reasoning":
            yield from _seal(item)

    def _end(self, response: Any) -> Iterator[Event]:
        check_answer(response)
        if self._begin == Begin():
            self._begin = begin_of(response)
        for at, item in enumerate(response["output"]):
            if at not in self._ended:
                yield from self._item(at, item)
        self.finished = True
        yield done(response, tools=bool(self._calls))
        usage = usage_of(response)
        if usage is not None:
            yield usage


class AnswerReader(WholeReader):
    """Reads a whole `response` object."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """Its events, as if it had been streamed."""
        check_answer(data)
        yield begin_of(data)
        calls = 0
        for item in data["output"]:
            if item.get("type") in _CALLS:
                yield _call(item, calls)
                yield from _arguments(item, calls)
                calls += 1
            else:
                yield from said(item)
        yield done(data, tools=calls > 0)
        usage = usage_of(data)
        if usage is not None:
            yield usage


class _Head(Struct):
    """The little of a frame that a watcher looks at; decoding it still proves the frame to be JSON."""

    type: str = ""
    error: Any = None


_head = msgspec.json.Decoder(_Head).decode


class Watcher(SseReader):
    """Passes a stream on to a caller of the same dialect: one `Verbatim` a read, then its bare meaning.

    The frame that ends it is not passed on but handed over as an Extra: it may be sent only after the ledger.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Frames completed by these bytes, then what they meant; a fault comes after what preceded it."""
        passed: list[bytes] = []
        meant: list[Event] = []
        fault: UpstreamFault | None = None
        try:
            for name, data in self._frames.feed(chunk):
                if not self.finished and data not in IDLE:
                    self._watch(name, data, passed, meant)
        except UpstreamFault as caught:
            fault = caught
        if passed:
            yield Verbatim(b"".join(passed), len(passed))
        yield from meant
        if fault is not None:
            raise fault

    def _watch(self, name: str, data: bytes, passed: list[bytes], meant: list[Event]) -> None:
        head = peek(_head, data)
        kind = head.type or name
        _check(kind, head.error, decode(data) if kind == "error" or head.error else {})
        if kind in _ENDS:
            final = {"type": kind, **decode(data)}
            response = final.get("response") or {}
            check_answer(response)
            passed.extend(self._waiting)
            meant += _bare(response)
            meant.append(Extra(NAME, FINAL, final))
            self.finished = True
            return
        self._waiting.append(frame(data, name.encode()))
        if kind not in _PREAMBLE:
            passed.extend(self._waiting)
            self._waiting.clear()


class WholeWatcher(WholeReader):
    """Passes a whole answer on to a caller of the same dialect."""

    def close(self) -> Iterable[Event]:
        """The body untouched, then its bare meaning."""
        body = b"".join(self._parts)
        data = decode(body)
        check_answer(data)
        yield Verbatim(body)
        yield from _bare(data)


def reader(*, stream: bool) -> StreamReader | AnswerReader:
    """What reads the whole meaning of an answer, streamed or whole, for a caller of another dialect."""
    return StreamReader() if stream else AnswerReader()


def watcher(*, stream: bool) -> Watcher | WholeWatcher:
    """What passes an answer on, streamed or whole, to a caller of the same dialect."""
    return Watcher() if stream else WholeWatcher()


def _bare(response: dict[str, Any]) -> list[Event]:
    """What the ledger wants to know of an answer."""
    tools = any(isinstance(item, dict) and item.get("type") in _CALLS for item in response["output"])
    usage = usage_of(response)
    return [begin_of(response), done(response, tools=tools), *([] if usage is None else [usage])]


def said(item: dict[str, Any]) -> Iterator[Event]:
    """The events of a whole item that is no tool call; what only OpenAI's own tools make is an Extra."""
    match item.get("type"):
        case "message":
            for part in item.get("content") or ():
                yield from _part(part)
        case "reasoning":
            pieces = item.get("summary") or item.get("content") or ()
            text = "\n\n".join(text_of(piece.get("text")) for piece in pieces)
            if text:
                yield Thinking(text)
            yield from _seal(item)
        case _:
            yield Extra(NAME, "item", item)


def _part(part: dict[str, Any]) -> Iterator[Event]:
    if part.get("type") == "output_text":
        if part.get("text") or part.get("logprobs"):
            yield Text(text_of(part.get("text")), logprobs=part.get("logprobs") or None)
        for annotation in part.get("annotations") or ():
            yield _annotation(annotation)
    elif part.get("type") == "refusal":
        yield Refusal(text_of(part.get("refusal")))


def _annotation(annotation: Any) -> Event:
    """A citation, in the shape that chat completions have for it."""
    flat = annotation if isinstance(annotation, dict) else {}
    kind = text_of(flat.get("type"))
    return Extra("openai", "annotations", [{"type": kind, kind: {k: v for k, v in flat.items() if k != "type"}}])


def _seal(item: dict[str, Any]) -> Iterator[Event]:
    content = text_of(item.get("encrypted_content"))
    if content:
        signature, redacted = unsealed(content)
        yield Thinking(signature=signature, redacted=redacted)


def _call(item: dict[str, Any], number: int) -> ToolCall:
    google = (item.get("extra_content") or {}).get("google") or {}
    id_ = text_of(item.get("call_id")) or text_of(item.get("id")) or f"call_{number}"
    return ToolCall(number, id_, text_of(item.get("name")), signature=text_of(google.get("thought_signature")))


def _arguments(item: dict[str, Any], number: int) -> Iterator[Event]:
    text = text_of(item.get(_CALLS[item["type"]]))
    if text:
        yield ToolArgs(number, text)


def begin_of(response: dict[str, Any]) -> Begin:
    """Who answers."""
    return Begin(text_of(response.get("id")), text_of(response.get("model")))


def done(response: dict[str, Any], *, tools: bool) -> Done:
    """The end of an answer."""
    status = text_of(response.get("status"))
    reason = text_of((response.get("incomplete_details") or {}).get("reason"))
    if status != "incomplete":
        return Done("tool" if tools else "stop", raw=status)
    known = "length" if reason == "max_output_tokens" else "filter" if reason == "content_filter" else "other"
    return Done(known, raw=reason or status)  # type: ignore[arg-type]  # three of the reasons


def usage_of(response: dict[str, Any]) -> Usage | None:
    """The tokens that an answer reports."""
    usage = response.get("usage")
    if not isinstance(usage, dict) or usage.get("input_tokens") is None:
        return None
    read = usage.get("input_tokens_details") or {}
    made = usage.get("output_tokens_details") or {}
    return Usage(
        usage["input_tokens"],
        usage.get("output_tokens") or 0,
        min(usage["input_tokens"], read.get("cached_tokens") or 0),
        read.get("cache_write_tokens") or 0,
        made.get("reasoning_tokens") or 0,
        raw=usage,
    )


def _check(kind: str, error: Any, data: dict[str, Any]) -> None:
    """Raise the fault of a frame that is an error, or no event."""
    if error or kind == "error":
        raise fault_in_band(data)
    if not kind:
        raise UpstreamBroken("the upstream sent an event without a type")


def check_answer(data: Any) -> None:
    """Raise the fault of an answer that failed, or is none."""
    if isinstance(data, dict) and (data.get("error") or data.get("status") == "failed"):
        raise fault_in_band({"error": data.get("error") or {"message": "the response failed", "code": "server_error"}})
    output = data.get("output") if isinstance(data, dict) else None
    if not isinstance(output, list) or any(not isinstance(item, dict) for item in output):
        raise UpstreamBroken("the upstream sent an answer without output")
    if data.get("status") not in {"completed", "incomplete", None}:
        raise UpstreamBroken("the upstream did not finish its answer")
