"""Amazon Bedrock's Converse, the answering side: streamed or whole, the same answer becomes the same events.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html. A stream is of Amazon's binary
messages; its usage comes after its end. What has no noun of ours (citations, images, what a guardrail found) is an
Extra under Bedrock's own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headgate.core.events import Begin, Done, Event, Extra, Reason, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.eventstream import Message, Messages
from headgate.dialects.sse import WholeReader, decode

VENDOR = "bedrock"
STATUSES = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 500,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 500,
    "ModelTimeoutException": 504,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 429,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
"""What Bedrock's exceptions mean; the status that some come with says less."""

_REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "guardrail_intervened": "filter",
    "content_filtered": "filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
_UNKNOWN_MODEL = b"model identifier is invalid"
_TOLD = ("trace", "additionalModelResponseFields")
_SILENT = frozenset({"initial-response", "ping"})
_encode = msgspec.json.Encoder().encode


class StreamReader:
    """Reads ConverseStream."""

    def __init__(self) -> None:
        self._messages = Messages()
        self._answer = _Answer()

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Events of the messages that these bytes complete."""
        for message in self._messages.feed(chunk):
            yield from self._events(message)

    def close(self) -> Iterable[Event]:
        """Nothing more; raises UpstreamBroken if the answer was not finished."""
        if not self._answer.finished or self._messages.pending:
            raise UpstreamBroken("the upstream ended its answer in the middle")
        return ()

    def _events(self, message: Message) -> list[Event]:
        kind = message.headers.get(":message-type")
        if kind == "exception":
            status = status_of(message.headers.get(":exception-type", ""), message.payload)
            raise fault_in_band(decode(message.payload), status)
        if kind == "error":
            status = status_of(message.headers.get(":error-code", ""), b"")
            raise fault_in_band(message.headers.get(":error-message", ""), status)
        try:
            return list(self._answer.take(message.headers.get(":event-type", ""), decode(message.payload)))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise UpstreamBroken("Bedrock sent an event of an unknown shape") from None


class AnswerReader(WholeReader):
    """Reads Converse."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """All events. Raises the fault that the body reports, or UpstreamBroken for what is no answer."""
        if "output" not in data and ("message" in data or "error" in data):
            raise fault_in_band(data)
        try:
            return list(_whole(data))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise UpstreamBroken("Bedrock sent an answer of an unknown shape") from None


def count_of(data: dict[str, Any]) -> int:
    """The tokens that CountTokens counted. Raises UpstreamBroken for another answer."""
    count = data.get("inputTokens")
    if type(count) is not int:
        raise UpstreamBroken("Bedrock counted tokens in an unknown shape")
    return count


def status_of(exception: str, body: bytes, status: int = 500) -> int:
    """The status that an exception of that name means; `status` is for one that is not known."""
    name = exception.partition(":")[0].rpartition("#")[2]
    if _UNKNOWN_MODEL in body:
        return 404
    return STATUSES.get(name[:1].upper() + name[1:], status)


class _Answer:
    """What a stream has said so far. `_calls` numbers the tool calls by their blocks, `_bare` lack arguments."""

    def __init__(self) -> None:
        self.finished = False
        self._seen = 0
        self._calls: dict[int, int] = {}
        self._bare: set[int] = set()

    def take(self, kind: str, data: dict[str, Any]) -> Iterator[Event]:
        """The events of one event of Bedrock's."""
        match kind:
            case "messageStart":
                yield Begin()
            case "contentBlockStart":
                yield from self._start(data["contentBlockIndex"], data["start"])
            case "contentBlockDelta":
                yield from self._delta(data["contentBlockIndex"], data["delta"])
            case "contentBlockStop":
                yield from self._stop(data["contentBlockIndex"])
            case "messageStop":
                for block in self._calls:
                    yield from self._stop(block)
                yield from _extras(data)
                self.finished = True
                yield _done(data, calls=self._seen > 0)
            case "metadata":
                yield from _extras(data)
                yield from _usage(data.get("usage"))
            case _ if kind not in _SILENT:
                yield Extra(VENDOR, kind, data)

    def _start(self, block: int, start: dict[str, Any]) -> Iterator[Event]:
        use = start.get("toolUse")
        if use is None or use.get("type"):  # a type marks a tool that Bedrock runs itself
            yield from (Extra(VENDOR, name, value) for name, value in start.items())
            return
        at = self._calls[block] = self._seen
        self._seen += 1
        self._bare.add(at)
        yield ToolCall(at, _text(use["toolUseId"]), _text(use["name"]))

    def _delta(self, block: int, delta: dict[str, Any]) -> Iterator[Event]:
        for name, value in delta.items():
            if name == "text":
                yield Text(_text(value))
            elif name == "reasoningContent":
                yield _thinking(value)
            elif name == "toolUse" and block in self._calls:
                if piece := _text(value.get("input")):
                    self._bare.discard(self._calls[block])
                    yield ToolArgs(self._calls[block], piece)
            else:
                yield Extra(VENDOR, name, value)

    def _stop(self, block: int) -> Iterator[Event]:
        """A call of a tool without parameters may stream no arguments; whole, it has `{}`."""
        at = self._calls.get(block)
        if at in self._bare and at is not None:
            self._bare.discard(at)
            yield ToolArgs(at, "{}")


def _whole(data: dict[str, Any]) -> Iterator[Event]:
    yield Begin()
    calls = 0
    for block in data["output"]["message"]["content"]:
        for name, value in block.items():
            if name == "toolUse" and not value.get("type"):
                yield ToolCall(calls, _text(value["toolUseId"]), _text(value["name"]))
                yield ToolArgs(calls, _encode(value.get("input") or {}).decode())
                calls += 1
            else:
                yield from _said(name, value)
    yield from _extras(data)
    yield _done(data, calls=calls > 0)
    yield from _usage(data.get("usage"))


def _said(name: str, value: Any) -> Iterator[Event]:
    """A block of a whole answer that is no call. What cites comes apart as it does in a stream."""
    if name == "text":
        yield Text(_text(value))
    elif name == "reasoningContent":
        yield _thinking(value.get("reasoningText") or value)
    elif name == "citationsContent":
        yield from (Text(_text(piece.get("text"))) for piece in value.get("content") or ())
        yield from (Extra(VENDOR, "citation", citation) for citation in value.get("citations") or ())
    else:
        yield Extra(VENDOR, name, value)


def _thinking(said: dict[str, Any]) -> Thinking:
    return Thinking(_text(said.get("text")), _text(said.get("signature")), _text(said.get("redactedContent")))


def _extras(data: dict[str, Any]) -> Iterator[Event]:
    for name in _TOLD:
        if data.get(name):
            yield Extra(VENDOR, name, data[name])


def _done(data: dict[str, Any], *, calls: bool) -> Done:
    raw = _text(data["stopReason"])
    reason = _REASONS.get(raw, "other")
    stopped = (data.get("additionalModelResponseFields") or {}).get("stop_sequence")
    return Done("tool" if calls and reason == "stop" else reason, 0, raw, _text(stopped))


def _usage(raw: dict[str, Any] | None) -> Iterator[Event]:
    """Bedrock counts what it read from and wrote to the model's cache beside the input."""
    if raw:
        cached, written = _count(raw, "cacheReadInputTokens"), _count(raw, "cacheWriteInputTokens")
        tokens_in = _count(raw, "inputTokens") + cached + written
        yield Usage(tokens_in, _count(raw, "outputTokens"), cached, written, raw=raw)


def _count(raw: dict[str, Any], name: str) -> int:
    value = raw.get(name)
    if value is not None and type(value) is not int:
        raise TypeError
    return value or 0


def _text(value: Any) -> str:
    """A string that may be missing; a TypeError for anything else."""
    if value is None:
        return ""
    if type(value) is not str:
        raise TypeError
    return value
