"""The simple surface: one prompt in, one flat JSON object out, made for apps and `curl`.

Unlike the vendors' dialects it refuses fields that it does not know. Its stream: `{"delta": "…"}` many times, one
`event: done` with the reply's metadata, then `[DONE]`; or one `event: error`, and no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import Struct

from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.entry import Entry
from headgate.core.events import Event, Reason, Receipt, Refusal, Reply, Text, Verbatim
from headgate.core.faults import InvalidField, Unsupported
from headgate.dialects.sse import frame
from headgate.dialects.strict import check_count, check_flag, check_number, check_text, want_text

NAME = "simple"
MAX_CHARS = 20_000

_encode = msgspec.json.Encoder().encode
FINISH: dict[Reason, str] = {
    "stop": "stop",
    "length": "length",
    "tool": "tool_calls",
    "filter": "content_filter",
    "pause": "stop",
    "error": "error",
    "other": "other",
}


def refuse_unknown(fields: dict[str, Any], known: Collection[str]) -> None:
    """Refuse a field that nobody reads, and name the nearest that somebody does. Raises InvalidField."""
    for name in fields.keys() - known:
        near = get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
        raise InvalidField(f"unknown field {name[:100]!r}{hint}", field=name[:100])


class Shape(Struct, frozen=True):
    """One path of the surface: the names of its fields. `max_tokens` and `temperature` are the defaults."""

    ask: str
    answer: str
    tokens_in: str = "input_tokens"
    tokens_out: str = "output_tokens"
    alias: str = ""
    max_tokens: int | None = 512
    temperature: float | None = 0.0
    also: frozenset[str] = frozenset()
    max_chars: int = MAX_CHARS

    @property
    def known(self) -> frozenset[str]:
        """Every field that a request may have."""
        return self.also | {self.ask, "model", "temperature", "max_tokens"} | ({self.alias} if self.alias else set())

    def parse(self, fields: dict[str, Any], body: bytes) -> Call:
        """The Call that a body asks for. Raises InvalidField, naming the field."""
        refuse_unknown(fields, self.known)
        self._check(fields)
        return Call(
            model=fields.get("model") or "",
            understand=self.understand,
            dialect=NAME,
            stream=fields.get("stream") or False,
            _fields=fields,
            body=body,
            max_tokens=fields.get("max_tokens", self.max_tokens),
        )

    def _check(self, fields: dict[str, Any]) -> None:
        if self.alias and self.ask in fields and self.alias in fields:
            raise InvalidField(f"{self.alias} is another name of {self.ask}; send one of them", field=self.alias)
        name = self.alias if self.alias in fields else self.ask
        if not 1 <= len(want_text(fields, name)) <= self.max_chars:
            raise InvalidField(f"{name} must have 1 to {self.max_chars} characters", field=name)
        check_text("model", fields.get("model"))
        check_text("system_prompt", fields.get("system_prompt"))
        check_number("temperature", fields.get("temperature"), 0, 2)
        check_count("max_tokens", fields.get("max_tokens"), 1, 10_000_000)
        check_flag("stream", fields.get("stream"))
        check_flag("use_context", fields.get("use_context"))
        if fields.get("conversation_id") is not None:
            raise Unsupported("conversations are not kept yet: leave conversation_id out", field="conversation_id")

    def understand(self, fields: dict[str, Any]) -> Prompt:
        """The meaning of a checked body."""
        said = Message("user", (TextPart(fields.get(self.ask) or fields[self.alias]),))
        system = fields.get("system_prompt")
        return Prompt(
            messages=(Message("system", (TextPart(system),)), said) if system else (said,),
            max_tokens=fields.get("max_tokens", self.max_tokens),
            temperature=fields.get("temperature", self.temperature),
        )

    def metadata(self, entry: Entry, finish: str) -> dict[str, Any]:
        """What happened, beside the answer's words."""
        return {
            "model": entry.target,
            "provider": entry.provider,
            self.tokens_in: entry.tokens_in,
            self.tokens_out: entry.tokens_out,
            "cost_usd": entry.cost_usd,
            "latency_ms": round(entry.total_ms, 1),
            "finish_reason": finish,
            "cached": entry.cache == "hit",
            "request_id": entry.request_id,
        }

    def whole(self, call: Call, reply: Reply) -> bytes:  # noqa: ARG002 - every surface's has this form
        """The reply as a body."""
        assert reply.entry is not None  # noqa: S101 - a reply is written once its Receipt is in
        choice = reply.choice(0)
        finish = FINISH[choice.done.reason] if choice.done else "other"
        words = choice.text + choice.refusal  # to whom words are all, refusals are words
        return _encode({self.answer: words, **self.metadata(reply.entry, finish)})

    def writer(self, call: Call) -> Writer:
        """The Writer of one stream."""
        return Writer(self, call)


class Writer:
    """Writes the surface's stream."""

    def __init__(self, shape: Shape, call: Call) -> None:
        self._shape = shape
        self._folded = Reply()
        self._id = call.id

    def feed(self, event: Event) -> bytes:
        """The bytes for one event."""
        if isinstance(event, Text | Refusal):
            return frame(_encode({"delta": event.text})) if event.text and event.choice == 0 else b""
        if isinstance(event, Receipt):
            done = self._folded.choices[0].done if self._folded.choices else None
            metadata = self._shape.metadata(event.entry, FINISH[done.reason] if done else "other")
            return frame(_encode(metadata), b"done") + frame(b"[DONE]")
        if not isinstance(event, Verbatim):
            self._folded.add(event)
        return b""

    def fail(self, error: bytes) -> bytes:
        """The rendered error as the last event; no `[DONE]` follows."""
        return frame(error, b"error")


CHAT = Shape(
    "message",
    "response",
    "prompt_tokens",
    "completion_tokens",
    alias="prompt",
    max_tokens=None,
    temperature=None,
    also=frozenset({"system_prompt", "conversation_id", "stream"}),
)
COMPLETE = Shape("prompt", "text")
