"""`Event`: one thing a model said; `Reply`: the fold of a Call's events.

The stream is the truth; a whole answer is a stream that came in one piece. An answer has one or more
choices (OpenAI's `n`), numbered by `choice` from 0. A stream that ended well carried a `Done` for each choice.
What a model says is tagged with its kind, so that it can be kept and read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from headgate.core.entry import Entry
from headgate.core.limit import Level

Reason = Literal["stop", "length", "tool", "filter", "pause", "error", "other"]


class Open(Struct, frozen=True):
    """The first event of every answer: a model speaks, so the status may go out. Nothing is retried from here on.

    `model` and `provider` are the target's names; `cache` is `off`, `miss` or `hit`; `levels` are the caller's limits.
    `dropped` entries of the conversation were left out, so that it fits the model.
    """

    model: str
    provider: str
    cache: str = "off"
    levels: Sequence[Level] = ()
    dropped: int = 0


class Begin(Struct, frozen=True, tag=True):
    """The upstream accepted and named its answer: its own `id` and the exact `model` that speaks."""

    id: str = ""
    model: str = ""


class Verbatim(Struct, frozen=True, tag=True):
    """Bytes in the caller's own dialect, to be passed on untouched; the meaning that others need follows as events.

    For a stream: one or more complete frames. For a whole answer: the body.
    """

    data: bytes
    frames: int = 1


class Text(Struct, frozen=True, tag=True):
    """Words of the answer. `logprobs` is OpenAI's list for these words, where asked for."""

    text: str
    choice: int = 0
    logprobs: list[Any] | None = None


class Thinking(Struct, frozen=True, tag=True):
    """Reasoning before the answer. `signature` closes a block of it; `redacted` is an opaque block."""

    text: str = ""
    signature: str = ""
    redacted: str = ""
    choice: int = 0


class Refusal(Struct, frozen=True, tag=True):
    """Words that decline the request (OpenAI's `refusal`)."""

    text: str
    choice: int = 0


class ToolCall(Struct, frozen=True, tag=True):
    """The model begins a call of one of the caller's tools; `index` counts the calls of a choice from 0."""

    index: int
    id: str
    name: str
    choice: int = 0
    signature: str = ""


class ToolArgs(Struct, frozen=True, tag=True):
    """The next piece of a tool call's arguments: JSON text."""

    index: int
    json: str
    choice: int = 0


class Extra(Struct, frozen=True, tag=True):
    """Something only one vendor says (citations, safety ratings, audio …), under that vendor's own name."""

    vendor: str
    name: str
    value: Any
    choice: int = 0


class Usage(Struct, frozen=True, tag=True):
    """Tokens used so far; a later Usage replaces an earlier one.

    `tokens_in` counts the whole prompt, cached part included; `tokens_out` includes `reasoning`.
    `cached` were read from the vendor's prompt cache, `cache_write` written to it. `raw` is the vendor's own object.
    """

    tokens_in: int
    tokens_out: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    raw: dict[str, Any] | None = None
    estimated: bool = False


class Done(Struct, frozen=True, tag=True):
    """A choice ended, for this reason; `raw` is the vendor's word for it."""

    reason: Reason = "stop"
    choice: int = 0
    raw: str = ""
    stop_sequence: str = ""


class Receipt(Struct, frozen=True):
    """The last event of every answer that ended well: its ledger row, which is safe by now."""

    entry: Entry


Event = Open | Begin | Verbatim | Text | Thinking | Refusal | ToolCall | ToolArgs | Extra | Usage | Done | Receipt


class SaidCall(Struct):
    """A tool call of a Reply, whole."""

    id: str
    name: str
    arguments: str = ""
    signature: str = ""


class Choice(Struct):
    """One of a Reply's answers. `text` and the rest are the joined pieces; `thoughts` keeps signed blocks apart."""

    text: str = ""
    thinking: str = ""
    thoughts: list[Thinking] = field(default_factory=list)
    refusal: str = ""
    calls: list[SaidCall] = field(default_factory=list)
    logprobs: list[Any] | None = None
    extras: list[Extra] = field(default_factory=list)
    done: Done | None = None

    @property
    def size(self) -> int:
        """How many characters were said."""
        return len(self.text) + len(self.thinking) + len(self.refusal) + sum(len(call.arguments) for call in self.calls)


class Reply(Struct):
    """A whole answer: the fold of its events, nothing more. `done` is the last choice's end.

    One that is passed on is its bytes: it has only choices whose words somebody had to count.
    """

    begin: Begin = Begin()
    choices: list[Choice] = field(default_factory=list)
    done: Done | None = None
    usage: Usage | None = None
    verbatim: bytes = b""
    entry: Entry | None = None

    @property
    def text(self) -> str:
        """The words of the first choice."""
        return self.choices[0].text if self.choices else ""

    def choice(self, index: int) -> Choice:
        """The choice with this number, made when first spoken of."""
        while len(self.choices) <= index:
            self.choices.append(Choice())
        return self.choices[index]

    def add(self, event: Event) -> None:
        """Take in one more event."""
        self.take((event,))

    def take(self, events: Iterable[Event]) -> None:
        """Take in more events."""
        for event in events:
            # An answer that is passed on has but these three; a pattern asks each class in turn, which costs more.
            if type(event) is Verbatim:
                self.verbatim = self.verbatim + event.data if self.verbatim else event.data
            elif type(event) is Usage:
                self.usage = event
            elif type(event) is Done:
                self.done = event
                if not self.verbatim:
                    self.choice(event.choice).done = event
            else:
                self._add(event)

    def _add(self, event: Event) -> None:
        match event:
            case Text():
                choice = self.choice(event.choice)
                choice.text += event.text
                if event.logprobs is not None:
                    choice.logprobs = (choice.logprobs or []) + event.logprobs
            case Thinking():
                choice = self.choice(event.choice)
                choice.thinking += event.text
                _add_thought(choice.thoughts, event)
            case Refusal():
                self.choice(event.choice).refusal += event.text
            case ToolCall():
                self.choice(event.choice).calls.append(SaidCall(event.id, event.name, "", event.signature))
            case ToolArgs():
                self.choice(event.choice).calls[event.index].arguments += event.json
            case Extra():
                self.choice(event.choice).extras.append(event)
            case Begin():
                self.begin = event
            case Receipt():
                self.entry = event.entry


def _add_thought(thoughts: list[Thinking], event: Thinking) -> None:
    """Join pieces of one thought; a signature or a redacted block closes it."""
    last = thoughts[-1] if thoughts else None
    if last is None or last.signature or last.redacted or event.redacted:
        thoughts.append(event)
    else:
        thoughts[-1] = Thinking(last.text + event.text, event.signature, "", event.choice)
