"""Gemini's generateContent, the answering side: streamed or whole, the same frames become the same events.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse. Each frame of a stream is a whole response
object with the next parts. A reason to stop may stand in every frame, so a choice is Done only when the stream ends.
What has no noun of ours (code it ran, images, grounding, ratings) is an Extra under Google's own name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from headgate.core.events import Begin, Done, Event, Extra, Reason, Text, Thinking, ToolArgs, ToolCall, Usage
from headgate.core.faults import UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.sse import SseReader, WholeReader

VENDOR = "gemini"

_REASONS: dict[str, Reason] = {
    "STOP": "stop",
    "FUNCTION_CALL": "tool",  # of servers that imitate Google's
    "MAX_TOKENS": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "LANGUAGE": "filter",
    "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter",
    "SPII": "filter",
    "IMAGE_SAFETY": "filter",
    "IMAGE_PROHIBITED_CONTENT": "filter",
    "IMAGE_RECITATION": "filter",
    "MODEL_ARMOR": "filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
}
_UNDERSTOOD = frozenset({"content", "finishReason", "index", "logprobsResult"})
_MOST_CHOICES = 128


class StreamReader(SseReader):
    """Reads streamGenerateContent?alt=sse."""

    def __init__(self) -> None:
        super().__init__()
        self._answer = _Answer()

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:  # noqa: ARG002  Google names no events
        """The events of one frame. Raises the fault that the frame reports, or UpstreamBroken for nonsense."""
        events = self._answer.take(data)
        self.finished = self._answer.finished
        return events

    def close(self) -> Iterable[Event]:
        """The ends of all choices; raises UpstreamBroken if one has none."""
        yield from super().close()
        yield from self._answer.ends()


class AnswerReader(WholeReader):
    """Reads generateContent."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """All events. Raises the fault that the body reports, or UpstreamBroken for what is no answer."""
        answer = _Answer()
        return [*answer.take(data), *answer.ends()]


def count_of(data: dict[str, Any]) -> int:
    """The tokens that countTokens counted. Raises the fault that the body reports, or UpstreamBroken."""
    if data.get("error"):
        raise fault_in_band(data)
    count = data.get("totalTokens")
    if type(count) is not int:
        raise UpstreamBroken("Gemini counted tokens in an unknown shape")
    return count


class _Answer:
    """What has been said so far."""

    def __init__(self) -> None:
        self._begun = False
        self._blocked = ""
        self._usage: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    @property
    def finished(self) -> bool:
        """Whether every choice that began has a reason to end, or the prompt was refused."""
        return bool(self._blocked) or (bool(self._choices) and all(c.finish for c in self._choices.values()))

    def take(self, data: dict[str, Any]) -> list[Event]:
        """The events of one response object."""
        if data.get("error"):
            raise fault_in_band(data)
        try:
            return self._events(data)
        except (AttributeError, LookupError, TypeError, ValueError):
            raise UpstreamBroken("Gemini sent an answer of an unknown shape") from None

    def ends(self) -> list[Event]:
        """The Done of each choice; a refused prompt has one."""
        if not self._choices and not self._blocked:
            raise UpstreamBroken("Gemini answered without a candidate")
        choices = self._choices or {0: _Choice(0)}
        return [choices[index].done(self._blocked) for index in sorted(choices)]

    def _events(self, data: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        candidates, feedback, usage = data.get("candidates"), data.get("promptFeedback"), data.get("usageMetadata")
        if not self._begun and (candidates or feedback or usage):
            self._begun = True
            events.append(Begin(_text(data.get("responseId")), _text(data.get("modelVersion"))))
        if feedback:
            self._blocked = _text(feedback.get("blockReason")) or self._blocked
            events.append(Extra(VENDOR, "promptFeedback", feedback))
        for candidate in candidates or ():
            events.extend(self._choice(candidate.get("index") or 0).take(candidate))
        if usage:
            self._usage = {**self._usage, **usage}
            events.append(_usage(self._usage))
        return events

    def _choice(self, index: int) -> _Choice:
        if type(index) is not int or not 0 <= index < _MOST_CHOICES:
            raise TypeError
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(index)
        return choice


class _Choice:
    """One candidate, and how far it has come. `finish` is Google's last word on why it stopped."""

    __slots__ = ("_calls", "_index", "_thinking", "finish")

    def __init__(self, index: int) -> None:
        self.finish = ""
        self._index = index
        self._calls = 0
        self._thinking = False

    def take(self, candidate: dict[str, Any]) -> Iterator[Event]:
        """The events of the next piece; its first text carries the logprobs."""
        logprobs = _logprobs(candidate.get("logprobsResult"))
        for part in (candidate.get("content") or {}).get("parts") or ():
            if "functionCall" in part:
                yield from self._call(part)
            elif "text" not in part:
                yield from self._other(part)
            elif part.get("thought"):
                self._thinking = True
                yield Thinking(_text(part["text"]), _text(part.get("thoughtSignature")), "", self._index)
            else:
                yield from self._sign(_text(part.get("thoughtSignature")))
                if text := _text(part["text"]):
                    self._thinking = False
                    yield Text(text, self._index, logprobs)
                    logprobs = None
        if logprobs:
            yield Text("", self._index, logprobs)
        self.finish = _text(candidate.get("finishReason")) or self.finish
        for name, value in candidate.items():
            if name not in _UNDERSTOOD:
                yield Extra(VENDOR, name, value, self._index)

    def done(self, blocked: str) -> Done:
        """How it ended; `blocked` says why the prompt was refused, if it was."""
        if blocked and not self.finish:
            return Done("filter", self._index, blocked)
        reason = _REASONS.get(self.finish, "other")
        return Done("tool" if reason == "stop" and self._calls else reason, self._index, self.finish)

    def _call(self, part: dict[str, Any]) -> Iterator[Event]:
        """Every functionCall is a call of its own; older models give no ids, and callers need them unique."""
        call = part["functionCall"]
        name, arguments = _text(call.get("name")), call.get("args") or {}
        if call.get("willContinue") or type(arguments) is not dict:  # pieces of arguments come only to those who ask
            raise TypeError
        if not name:
            yield Extra(VENDOR, "functionCall", part, self._index)
            return
        id_ = _text(call.get("id")) or f"call_{secrets.token_hex(12)}"
        yield ToolCall(self._calls, id_, name, self._index, _text(part.get("thoughtSignature")))
        yield ToolArgs(self._calls, msgspec.json.encode(arguments).decode(), self._index)
        self._calls += 1
        self._thinking = False

    def _sign(self, signature: str) -> Iterator[Event]:
        """A signature on text closes the thoughts just shown; where none were, there is no block that it could sign."""
        if signature and self._thinking:
            self._thinking = False
            yield Thinking("", signature, "", self._index)
        elif signature:
            yield Extra(VENDOR, "thoughtSignature", signature, self._index)

    def _other(self, part: dict[str, Any]) -> Iterator[Event]:
        """Code that Google ran, its result, an image …: the whole part, under the name of its kind."""
        kind = next((name for name in part if name not in {"thought", "thoughtSignature"}), "")
        if kind:
            yield Extra(VENDOR, kind, part, self._index)
        else:
            yield from self._sign(_text(part.get("thoughtSignature")))


def _usage(raw: dict[str, Any]) -> Usage:
    """Google counts thoughts beside the candidates, and what its own tools fed the model beside the prompt."""
    thoughts = raw.get("thoughtsTokenCount") or 0
    return Usage(
        tokens_in=(raw.get("promptTokenCount") or 0) + (raw.get("toolUsePromptTokenCount") or 0),
        tokens_out=(raw.get("candidatesTokenCount") or 0) + thoughts,
        cached=raw.get("cachedContentTokenCount") or 0,
        reasoning=thoughts,
        raw=raw,
    )


def _logprobs(result: dict[str, Any] | None) -> list[Any] | None:
    """In OpenAI's shape."""
    if not result or not result.get("chosenCandidates"):
        return None
    others = [step.get("candidates") or () for step in result.get("topCandidates") or ()]
    return [
        {**_token(chosen), "top_logprobs": [_token(other) for other in top]}
        for chosen, top in zip_longest(result["chosenCandidates"], others, fillvalue=())
        if chosen
    ]


def _token(token: dict[str, Any]) -> dict[str, Any]:
    text = _text(token.get("token"))
    return {"token": text, "logprob": token.get("logProbability") or 0.0, "bytes": list(text.encode())}


def _text(value: Any) -> str:
    """A string that may be missing; a TypeError for anything else."""
    if value is None:
        return ""
    if type(value) is not str:
        raise TypeError
    return value
