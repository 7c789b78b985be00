"""OpenAI's Responses API, written: events as the caller's stream, a Reply as a `response` object.

https://platform.openai.com/docs/api-reference/responses-streaming. Thoughts, words and refusals follow each other;
tool calls stay open beside them until the answer ends, since their arguments may come mixed. A whole answer is what
the stream would end with.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import msgspec
from msgspec import Struct

from headgate.core.asking import VENDOR
from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.events import (
    Begin,
    Done,
    Event,
    Extra,
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
from headgate.dialects.openai_responses import MARK, NAME, sealed
from headgate.dialects.openai_responses_body import response_body, status_of, usage_body, why
from headgate.dialects.openai_responses_reader import FINAL
from headgate.dialects.sse import frame

FILE_SEARCH = "file_search"
"""The name of Headgate's Extra that holds what a search of files found."""

_encode = msgspec.json.Encoder().encode
_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d+)')


class _Kind(Struct, frozen=True):
    """How a kind of words is told: its item, the list that its parts are in, what its events are called."""

    item: str
    parts: str
    place: str
    part_event: str
    event: str
    words: str = "text"


_KINDS = {
    "output_text": _Kind("message", "content", "content_index", "content_part", "output_text"),
    "refusal": _Kind("message", "content", "content_index", "content_part", "refusal", "refusal"),
    "summary_text": _Kind("reasoning", "summary", "summary_index", "reasoning_summary_part", "reasoning_summary_text"),
}


class _Open(Struct):
    """An item being written, the `place` that its events name, its current part, and the pieces of what it says."""

    item: dict[str, Any]
    place: dict[str, Any]
    part: dict[str, Any] = {}
    pieces: list[str] = []


class Writer:
    """Writes the events of one response; the Receipt adds the usage and the end."""

    def __init__(self, call: Call) -> None:
        self._fields = call.fields
        self._model = call.model
        self._key = MARK + token_hex(20)
        self._created = int(time.time())
        self._number = -1
        self._output: list[dict[str, Any]] = []
        self._open: _Open | None = None
        self._calls: dict[int, _Open] = {}
        self._done: Done | None = None
        self._usage: Usage | None = None
        self._final: dict[str, Any] | None = None
        self._passed = b""

    def feed(self, event: Event) -> bytes:
        """The bytes for one event."""
        match event:
            case Verbatim():
                self._passed = event.data
                return event.data
            case Text() if event.choice == 0:
                return self._words("output_text", event.text, event.logprobs)
            case Thinking() if event.choice == 0:
                return self._thought(event)
            case Refusal() if event.choice == 0:
                return self._words("refusal", event.text)
            case ToolCall() if event.choice == 0:
                return self._call(event)
            case ToolArgs() if event.choice == 0:
                return self._arguments(self._calls[event.index], event.json)
            case Extra() if event.choice == 0:
                return self._extra(event)
            case Done() if event.choice == 0:
                self._done = event
            case Usage():
                self._usage = event
            case Begin():
                self._model = event.model or self._model
            case Receipt():
                return self._end(event.entry)
        return b""

    def fail(self, error: bytes) -> bytes:
        """The rendered error as an `error` event, flat as documented and nested as SDKs raise it; no end follows."""
        said = msgspec.json.decode(error)["error"]
        flat = {name: said.get(name) for name in ("code", "message", "param")}
        if not self._passed:
            return self._preamble() + self._say("error", {**flat, "error": said})
        numbers = _NUMBER.findall(self._passed)
        self._number = int(numbers[-1]) if numbers else self._number
        return self._say("error", {**flat, "error": said})

    def response(self, status: str, entry: Entry | None = None) -> dict[str, Any]:
        """The `response` object as it stands; its output comes with the end."""
        said: dict[str, Any] = {
            "id": f"resp_{self._key}",
            "created_at": self._created,
            "model": self._model,
            "status": status,
        }
        if entry is None:
            return response_body(self._fields, said)
        if status == "completed":
            said["completed_at"] = int(time.time())
        said |= {"output": self._output, "usage": usage_body(self._usage, entry), **why(self._done)}
        return response_body(self._fields, said)

    # one event of the wire

    def _say(self, kind: str, body: dict[str, Any]) -> bytes:
        self._number += 1
        return frame(_encode({"type": kind, "sequence_number": self._number, **body}), kind.encode())

    def _preamble(self) -> bytes:
        if self._number >= 0:
            return b""
        started = {"response": self.response("in_progress")}
        return self._say("response.created", started) + self._say("response.in_progress", started)

    # items

    def _add(self, prefix: str, item: dict[str, Any]) -> tuple[bytes, _Open]:
        index = len(self._output)
        item = {"id": f"{prefix}_{self._key}_{index}", **item}
        self._output.append(item)
        said = self._preamble() + self._say("response.output_item.added", {"output_index": index, "item": item})
        return said, _Open(item, {"item_id": item["id"], "output_index": index})

    def _enter_item(self, kind: str) -> tuple[bytes, _Open]:
        """Make a message or a reasoning the current item, a new one unless it is that already."""
        if self._open is not None and self._open.item["type"] == kind:
            return b"", self._open
        item: dict[str, Any] = {"type": "reasoning", "summary": []}
        if kind == "message":
            item = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
        closed = self._close()
        added, self._open = self._add("msg" if kind == "message" else "rs", item)
        return closed + added, self._open

    def _item_done(self, open_: _Open, status: str) -> bytes:
        if "status" in open_.item:
            open_.item["status"] = status
        index = open_.place["output_index"]
        return self._say("response.output_item.done", {"output_index": index, "item": open_.item})

    def _close(self, status: str = "completed") -> bytes:
        """End the message or the reasoning that is being written."""
        if self._open is None:
            return b""
        said = self._part_done() + self._item_done(self._open, status)
        self._open = None
        return said

    # words: the parts of messages and reasoning

    def _words(self, name: str, text: str, logprobs: list[Any] | None = None) -> bytes:
        if not text and not logprobs:
            return b""
        said, open_ = self._enter(name)
        open_.pieces.append(text)
        more = {}
        if name == "output_text":
            open_.part["logprobs"].extend(logprobs or ())
            more = {"logprobs": logprobs or []}
        return said + self._say(f"response.{_KINDS[name].event}.delta", {**open_.place, "delta": text, **more})

    def _enter(self, name: str) -> tuple[bytes, _Open]:
        """Make a part of this kind the current one."""
        kind = _KINDS[name]
        said, open_ = self._enter_item(kind.item)
        if open_.part.get("type") == name:
            return said, open_
        said += self._part_done()
        parts = open_.item[kind.parts]
        open_.place[kind.place] = len(parts)
        open_.part = {"type": name, kind.words: ""}
        if name == "output_text":
            open_.part |= {"annotations": [], "logprobs": []}
        parts.append(open_.part)
        return said + self._say(f"response.{kind.part_event}.added", {**open_.place, "part": open_.part}), open_

    def _part_done(self) -> bytes:
        open_ = self._open
        if open_ is None or not open_.part:
            return b""
        kind, part = _KINDS[open_.part["type"]], open_.part
        text = part[kind.words] = "".join(open_.pieces)
        open_.pieces, open_.part = [], {}
        more = {"logprobs": part["logprobs"]} if "logprobs" in part else {}
        said = self._say(f"response.{kind.event}.done", {**open_.place, kind.words: text, **more})
        return said + self._say(f"response.{kind.part_event}.done", {**open_.place, "part": part})

    def _thought(self, event: Thinking) -> bytes:
        """A piece of reasoning; a proof or an opaque block ends its item."""
        said = self._close() if event.redacted else b""
        said += self._words("summary_text", event.text)
        content = sealed(event.signature, event.redacted)
        if content is None:
            return said
        entered, open_ = self._enter_item("reasoning")
        open_.item["encrypted_content"] = content
        return said + entered + self._close()

    # tool calls

    def _call(self, event: ToolCall) -> bytes:
        item: dict[str, Any] = {
            "type": "function_call",
            "status": "in_progress",
            "call_id": event.id,
            "name": event.name,
            "arguments": "",
        }
        if event.signature:
            item["extra_content"] = {"google": {"thought_signature": event.signature}}
        said = self._close()
        added, self._calls[event.index] = self._add("fc", item)
        return said + added

    def _arguments(self, open_: _Open, json: str) -> bytes:
        open_.pieces.append(json)
        return self._say("response.function_call_arguments.delta", {**open_.place, "delta": json})

    def _call_done(self, open_: _Open, status: str) -> bytes:
        said = b"" if open_.pieces or status != "completed" else self._arguments(open_, "{}")
        open_.item["arguments"] = "".join(open_.pieces)
        ended = {**open_.place, "name": open_.item["name"], "arguments": open_.item["arguments"]}
        return said + self._say("response.function_call_arguments.done", ended) + self._item_done(open_, status)

    # what only vendors say

    def _extra(self, event: Extra) -> bytes:
        if event.vendor == NAME and event.name == FINAL:
            self._final = event.value
        elif event.vendor == NAME and event.name == "item":
            return self._item(event.value)
        elif event.vendor == VENDOR and event.name == FILE_SEARCH:
            return self._file_search(event.value)
        elif event.vendor == "openai" and event.name == "annotations":
            return b"".join(self._annotation(annotation) for annotation in event.value)
        return b""

    def _item(self, item: dict[str, Any]) -> bytes:
        """An item of OpenAI's own, whole."""
        said = self._close() + self._preamble()
        body = {"output_index": len(self._output), "item": item}
        self._output.append(item)
        return said + self._say("response.output_item.added", body) + self._say("response.output_item.done", body)

    def _file_search(self, found: dict[str, Any]) -> bytes:
        """A search of files that is done already, step by step as it is told."""
        closed = self._close()
        item: dict[str, Any] = {"type": "file_search_call", "status": "in_progress", "queries": [], "results": None}
        said, open_ = self._add("fs", item)
        for step in ("in_progress", "searching", "completed"):
            said += self._say(f"response.file_search_call.{step}", open_.place)
        open_.item |= found
        return closed + said + self._item_done(open_, "completed")

    def _annotation(self, annotation: dict[str, Any]) -> bytes:
        """A citation, which chat completions keep one level deeper."""
        said, open_ = self._enter("output_text")
        kind = annotation.get("type")
        flat = {"type": kind, **(annotation.get(kind) or {})} if isinstance(kind, str) else annotation
        open_.part["annotations"].append(flat)
        at = {**open_.place, "annotation_index": len(open_.part["annotations"]) - 1}
        return said + self._say("response.output_text.annotation.added", {**at, "annotation": flat})

    # the end

    def _end(self, entry: Entry) -> bytes:
        if self._final is not None:
            usage = self._final["response"].get("usage")
            if usage is not None:
                usage["cost_usd"] = entry.cost_usd
            return frame(_encode(self._final), str(self._final.get("type")).encode())
        status = status_of(self._done)
        item_status = "completed" if status == "completed" else "incomplete"
        said = self._preamble() + self._close(item_status)
        said += b"".join(self._call_done(call, item_status) for call in self._calls.values())
        return said + self._say(f"response.{status}", {"response": self.response(status, entry)})


class _Silent(Writer):
    """Writes nothing, and so makes the response alone."""

    def _say(self, kind: str, body: dict[str, Any]) -> bytes:  # noqa: ARG002 - a Writer's signature
        self._number += 1
        return b""


def whole(call: Call, reply: Reply) -> bytes:
    """A whole answer as a `response` body; one that came in this dialect is passed on untouched."""
    if reply.verbatim:
        return reply.verbatim
    writer = _Silent(call)
    for event in _events(reply):
        writer.feed(event)
    assert reply.entry is not None  # noqa: S101 - the gate's promise
    return _encode(writer.response(status_of(reply.choices[0].done if reply.choices else None), reply.entry))


def _events(reply: Reply) -> Iterator[Event]:
    """The events that the reply's first choice is the fold of."""
    yield reply.begin
    if reply.usage is not None:
        yield reply.usage
    if reply.choices:
        choice = reply.choices[0]
        searched = [extra for extra in choice.extras if extra.name == FILE_SEARCH]
        yield from searched
        yield from choice.thoughts
        if choice.text or choice.logprobs:
            yield Text(choice.text, logprobs=choice.logprobs)
        yield from (extra for extra in choice.extras if extra not in searched)
        if choice.refusal:
            yield Refusal(choice.refusal)
        for index, said in enumerate(choice.calls):
            yield ToolCall(index, said.id, said.name, signature=said.signature)
            if said.arguments:
                yield ToolArgs(index, said.arguments)
        if choice.done is not None:
            yield choice.done
    if reply.entry is not None:
        yield Receipt(reply.entry)
