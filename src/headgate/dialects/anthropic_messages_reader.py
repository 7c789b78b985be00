"""Anthropic's Messages API, the upstream's side: the bytes of an answer become events.

https://platform.claude.com/docs/en/build-with-claude/streaming. Blocks of tools that the upstream runs itself are
Extras, never tool calls: the caller has nothing to run. Events that are not known here are passed over, as the API's
versioning rules ask of clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from secrets import token_hex
from types import NoneType
from typing import Any

import msgspec

from headgate.core.events import (
    Begin,
    Done,
    Event,
    Extra,
    Reason,
    Text,
    Thinking,
    ToolArgs,
    ToolCall,
    Usage,
    Verbatim,
)
from headgate.core.faults import Fault, UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.sse import IDLE, Frames, SseReader, WholeReader, decode, frame, peek

VENDOR = "anthropic"
REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "refusal": "filter",
    "pause_turn": "pause",
}
_OTHER_REASONS: dict[str, Reason] = {"content_filter": "filter"}  # of servers that imitate Anthropic's
MESSAGE_DELTA = "message_delta"
"""Name of the Extra in which a Watcher hands over the end of a stream, for the Writer to send after the ledger."""

_OTHERS: dict[str, Reason] = {"content_filter": "filter"}  # of servers that imitate Anthropic's
_KIND = re.compile("[A-Za-z0-9_.-]{1,64}")
_CLOSING = ("stop_details", "container", "context_management")
_encode = msgspec.json.Encoder().encode


class StreamReader(SseReader):
    """Reads a stream of message events into their full meaning."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._done = False
        self._blocks = _Blocks()
        self._usage: dict[str, Any] = {}

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """Events of one frame."""
        kind = kind_of(name, data, begun=self._begun)
        match kind:
            case "message_start":
                self._begun = True
                said = _part(data, "message")
                yield begin_of(said)
                yield from self._count(said)
            case "content_block_start":
                yield from self._blocks.start(data.get("index"), _part(data, "content_block"))
            case "content_block_delta":
                yield from self._blocks.delta(data.get("index"), _part(data, "delta"))
            case "content_block_stop":
                yield from self._blocks.stop(data.get("index"))
            case "message_delta":
                yield from self._end(data)
            case "message_stop":
                self.finished = True
                if not self._done:
                    yield Done("other")

    def _end(self, data: dict[str, Any]) -> Iterator[Event]:
        delta = _part(data, "delta")
        yield from _closing({**delta, **data})
        yield from self._count(data)
        if delta.get("stop_reason") and not self._done:
            self._done = self.finished = True
            yield done_of(delta)

    def _count(self, data: dict[str, Any]) -> Iterator[Event]:
        self._usage |= _said_usage(data)
        usage = usage_of(self._usage)
        if usage is not None:
            yield usage


class AnswerReader(WholeReader):
    """Reads a whole `message` object."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """Its events, as if it had been streamed."""
        check_answer(data)
        yield begin_of(data)
        blocks = _Blocks()
        for index, block in enumerate(data["content"] or ()):
            yield from blocks.start(index, block)
            yield from blocks.stop(index)
        yield from _closing(data)
        usage = usage_of(_said_usage(data))
        if usage is not None:
            yield usage
        yield done_of(data)


class Watcher:
    """Passes a stream on to a caller of the same dialect: a `Verbatim` for what a read completed, and its bare meaning.

    The frames that end it are not passed on: the Writer sends them, from an Extra, once the ledger row is safe.
    """

    def __init__(self) -> None:
        self.finished = False
        self._frames = Frames()
        self._begun = False
        self._done = False
        self._usage: dict[str, Any] = {}

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Frames completed by these bytes, then what they meant. A fault comes after the frames before it."""
        passed: list[bytes] = []
        meant: list[Event] = []
        fault = None
        try:
            for name, data in self._frames.feed(chunk):
                if data not in IDLE:
                    self._watch(name, data, passed, meant)
        except Fault as error:
            fault = error
        if passed:
            yield Verbatim(b"".join(passed), len(passed))
        yield from meant
        if fault is not None:
            raise fault

    def close(self) -> Iterable[Event]:
        """The last events; raises UpstreamBroken if the answer was not finished."""
        if self._frames.pending:
            yield from self.feed(b"\n\n")
        if not self.finished:
            raise UpstreamBroken("the upstream ended its answer in the middle")

    def _watch(self, name: str, data: bytes, passed: list[bytes], meant: list[Event]) -> None:
        head = peek(_head, data)
        try:
            data.decode()  # what is passed over in decoding was not looked at
        except UnicodeDecodeError:
            raise UpstreamBroken("the upstream sent something that is not a message event") from None
        kind = kind_of(name, {"type": head.type, "error": head.error}, begun=self._begun)
        if kind == "message_start":
            self._begun = True
            said = _part(decode(data), "message")
            meant.append(begin_of(said))
            self._count(said, meant)
        elif kind == "message_delta":
            self._end(decode(data), meant)
            return
        elif kind == "message_stop":
            self.finished = True
            if not self._done:
                meant.append(Done("other"))
            return
        if self._begun:
            passed.append(frame(data.replace(b"\n", b" "), kind.encode()))

    def _end(self, data: dict[str, Any], meant: list[Event]) -> None:
        delta = _part(data, "delta")
        self._count(data, meant)
        usage = data.get("usage")
        meant.append(Extra(VENDOR, MESSAGE_DELTA, data if type(usage) is dict else {**data, "usage": {}}))
        if delta.get("stop_reason") and not self._done:
            self._done = self.finished = True
            meant.append(done_of(delta))

    def _count(self, data: dict[str, Any], meant: list[Event]) -> None:
        self._usage |= _said_usage(data)
        usage = usage_of(self._usage)
        if usage is not None:
            meant.append(usage)


class WholeWatcher(WholeReader):
    """Passes a whole answer on to a caller of the same dialect."""

    def close(self) -> Iterable[Event]:
        """The body untouched, then its bare meaning."""
        body = b"".join(self._parts)
        meant = list(self.answer(decode(body)))
        return [Verbatim(body), *meant]

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """The name, tokens and end of the answer."""
        check_answer(data)
        yield begin_of(data)
        usage = usage_of(_said_usage(data))
        if usage is not None:
            yield usage
        yield done_of(data)


class _Head(msgspec.Struct):
    """What a Watcher looks at in every frame."""

    type: str = ""
    error: Any = None


_head = msgspec.json.Decoder(_Head).decode


class _Open(msgspec.Struct):
    """A content block that has begun; `call` numbers it among the tool calls, `pieces` are of its input's JSON."""

    block: dict[str, Any]
    call: int = -1
    pieces: list[str] = msgspec.field(default_factory=list)


class _Blocks:
    """Turns content blocks, in pieces or whole, into events."""

    def __init__(self) -> None:
        self._open: dict[Any, _Open] = {}
        self._calls = 0

    def start(self, index: Any, block: Any) -> Iterator[Event]:
        """A block begins, perhaps with words in it already."""
        if type(index) is not int or type(block) is not dict:
            raise UpstreamBroken("the upstream sent a content block that is not one")
        opened = self._open[index] = _Open(block)
        match block.get("type"):
            case "text":
                if text := _text(block, "text"):
                    yield Text(text)
                for citation in block.get("citations") or ():
                    yield Extra(VENDOR, "citation", citation)
            case "thinking":
                thought = Thinking(_text(block, "thinking"), _text(block, "signature"))
                if thought.text or thought.signature:
                    yield thought
            case "redacted_thinking":
                yield Thinking(redacted=_text(block, "data"))
            case "tool_use":
                opened.call = self._calls
                self._calls += 1
                id_ = _text(block, "id") or f"toolu_{token_hex(12)}"  # imitators forget it, and callers need it
                yield ToolCall(opened.call, id_, _text(block, "name"))

    def delta(self, index: Any, delta: dict[str, Any]) -> Iterator[Event]:
        """A piece of an open block."""
        match delta.get("type"):
            case "text_delta":
                if text := _text(delta, "text"):
                    yield Text(text)
            case "thinking_delta":
                if text := _text(delta, "thinking"):
                    yield Thinking(text)
            case "signature_delta":
                if text := _text(delta, "signature"):
                    yield Thinking(signature=text)
            case "citations_delta":
                yield Extra(VENDOR, "citation", delta.get("citation"))
            case "input_json_delta":
                opened = self._open.get(index)
                if opened is None:
                    raise UpstreamBroken("the upstream sent the input of a tool that it did not name")
                if piece := _text(delta, "partial_json"):
                    opened.pieces.append(piece)
                    if opened.call >= 0:
                        yield ToolArgs(opened.call, piece)

    def stop(self, index: Any) -> Iterator[Event]:
        """A block is complete."""
        opened = self._open.pop(index, None)
        if opened is None:
            return
        kind = opened.block.get("type")
        if opened.call >= 0:
            if not opened.pieces:
                yield ToolArgs(opened.call, _encode(opened.block.get("input") or {}).decode())
        elif kind not in ("text", "thinking", "redacted_thinking"):
            yield Extra(VENDOR, _text(opened.block, "type"), _with_input(opened))


def _with_input(opened: _Open) -> dict[str, Any]:
    """The block of a tool that the upstream runs, with the input that came in pieces."""
    if not opened.pieces:
        return opened.block
    try:
        given: Any = msgspec.json.decode("".join(opened.pieces))
    except msgspec.DecodeError:
        given = "".join(opened.pieces)
    return {**opened.block, "input": given}


def kind_of(name: str, data: dict[str, Any], *, begun: bool) -> str:
    """The type of a frame. Raises the fault of one that is an error, or that comes before a message has begun."""
    kind = data.get("type") or name
    if kind == "error" or data.get("error"):
        raise fault_in_band(data)
    if type(kind) is not str or not _KIND.fullmatch(kind) or not (begun or kind in ("message_start", "ping")):
        raise UpstreamBroken("the upstream sent a stream that is not of messages")
    return kind


def check_answer(data: dict[str, Any]) -> None:
    """Raise the fault of an answer that is an error, not an answer, or not finished."""
    if data.get("type") == "error" or data.get("error"):
        raise fault_in_band(data)
    if type(data.get("content", "")) not in (list, NoneType):
        raise UpstreamBroken("the upstream sent an answer without content")
    if not data.get("stop_reason"):
        raise UpstreamBroken("the upstream sent an answer without a stop reason")


def begin_of(message: dict[str, Any]) -> Begin:
    """The name of an answer."""
    return Begin(_text(message, "id"), _text(message, "model"))


def done_of(said: dict[str, Any]) -> Done:
    """The end of an answer, from the object that holds `stop_reason`."""
    raw = _text(said, "stop_reason")
    return Done(REASONS.get(raw) or _OTHERS.get(raw, "other"), raw=raw, stop_sequence=_text(said, "stop_sequence"))


def usage_of(raw: dict[str, Any]) -> Usage | None:
    """The tokens of a `usage` object. The API counts what it read from and wrote to its cache beside the input."""
    if type(raw.get("input_tokens")) is not int and type(raw.get("output_tokens")) is not int:
        return None
    cached, written = _count(raw, "cache_read_input_tokens"), _count(raw, "cache_creation_input_tokens")
    details = raw.get("output_tokens_details")
    return Usage(
        _count(raw, "input_tokens") + cached + written,
        _count(raw, "output_tokens"),
        cached,
        written,
        _count(details, "thinking_tokens") if type(details) is dict else 0,
        dict(raw),
    )


def read_count(body: bytes) -> int:
    """The tokens that `/v1/messages/count_tokens` answered. Raises UpstreamBroken for another answer."""
    tokens = decode(body).get("input_tokens")
    if type(tokens) is not int:
        raise UpstreamBroken("the upstream sent no count of tokens")
    return tokens


def _closing(data: dict[str, Any]) -> Iterator[Event]:
    for name in _CLOSING:
        if data.get(name) is not None:
            yield Extra(VENDOR, name, data[name])


def _said_usage(data: dict[str, Any]) -> dict[str, Any]:
    usage = data.get("usage")
    return {name: value for name, value in usage.items() if value is not None} if type(usage) is dict else {}


def _part(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if type(value) is not dict:
        raise UpstreamBroken(f"the upstream sent an event without its {name}")
    return value


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value if type(value) is str else ""


def _count(data: dict[str, Any], name: str) -> int:
    value = data.get(name)
    return value if type(value) is int else 0
