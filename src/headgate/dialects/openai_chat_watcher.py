"""OpenAI's chat completions, passed on: an upstream's answer for a caller of the same dialect, its bytes untouched.

Only what clients could not read is mended: a whole answer without the fields that every answer has, tool calls in a
stream that nobody could put together.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headgate.core.events import Begin, Event, Usage, Verbatim
from headgate.core.faults import Fault
from headgate.dialects.openai_chat_plain import Alike, glance, goes_on
from headgate.dialects.openai_chat_reader import (
    Calls,
    Choices,
    check_answer,
    check_choice,
    check_chunk,
    done,
    index_of,
    meaning,
    reason_of,
    text_of,
    usage_of,
)
from headgate.dialects.sse import IDLE, SseReader, WholeReader, decode, frame

_ANSWER = frozenset({"id", "object", "created", "model"})
_CHOICE = frozenset({"index", "message", "finish_reason"})
_FIRST = {0}
_encode = msgspec.json.Encoder().encode


class Watcher(SseReader):
    """Passes a stream on to a caller of the same dialect: one `Verbatim` a read, then its bare meaning.

    The chunk that carries only usage, and the end mark, are not passed on: the Writer makes its own after the ledger.
    """

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._plain = False
        self._alike = Alike()
        self._choices = Choices()
        self._calls: dict[int, Calls] = {}

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Frames completed by these bytes, then what they meant. A fault comes after the frames before it."""
        return (Verbatim(chunk),) if self.passes(chunk) else self._read(chunk)

    def passes(self, chunk: bytes) -> bool:
        """Whether the bytes are one event, and it is but a piece of the first choice."""
        if not self._plain or not self._frames.between:
            return False
        if self._alike.fits(chunk):
            return True
        data = self._frames.alone(chunk)
        if data is None or not goes_on(data):
            return False
        self._alike.learn(chunk)
        return True

    def _read(self, chunk: bytes) -> Iterator[Event]:
        passed: list[bytes] = []
        meant: list[Event] = []
        fault = None
        try:
            for name, data in self._frames.feed(chunk):
                if self._plain and not name and goes_on(data):
                    passed.append(frame(data))
                elif data not in IDLE:
                    self._watch(name, data, passed, meant)
        except Fault as error:
            fault = error
        if passed:
            yield Verbatim(b"".join(passed), len(passed))
        yield from meant
        if fault is not None:
            raise fault

    def _watch(self, name: str, data: bytes, passed: list[bytes], meant: list[Event]) -> None:
        chunk = decode(data)
        check_chunk(name, chunk)
        choices = chunk.get("choices")
        if not self._begun and (choices or chunk.get("id")):
            self._begun = True
            meant.append(Begin(text_of(chunk.get("id")), text_of(chunk.get("model"))))
        usage = usage_of(chunk)
        if usage is not None:
            meant.append(usage)
        mended = choices is None and usage is None
        if mended:
            if name == "ping":
                return
            chunk["choices"] = []
        first = not self._choices.begun
        for choice in choices or ():
            index, reason = index_of(choice), reason_of(choice)
            self.finished = self._choices.see(index, ended=bool(reason))
            delta = choice.get("delta")
            if delta and "tool_calls" in delta:
                mended = self._mend(delta["tool_calls"] or (), index) or mended
            if reason:
                check_choice(choice)
                meant.append(done(reason, index))
                usage = usage_of(choice)
                if usage is not None:
                    meant.append(usage)
        # Once the first choice alone has begun; a stream that is ever more than its words is read in full from there.
        self._plain = first and self._choices.begun == _FIRST
        if choices or usage is None:
            passed.append(frame(_encode(chunk) if mended else data))

    def _mend(self, pieces: Iterable[dict[str, Any]], index: int) -> bool:
        """Give pieces of tool calls the number that they belong to, and calls an id; whether any was amiss."""
        calls, mended = self._calls.setdefault(index, Calls()), False
        for piece in pieces:
            function = piece.get("function") or piece.get("custom") or {}
            at, fresh = calls.place(piece, function.get("name") or "")
            if piece.get("index") != at:
                piece["index"], mended = at, True
            if fresh:
                mended = _mend_call(piece, f"call_{index}_{at}", "") or mended
        return mended


class WholeWatcher(WholeReader):
    """Passes a whole answer on to a caller of the same dialect."""

    def close(self) -> Iterable[Event]:
        """The body, then its bare meaning."""
        body = b"".join(self._parts)
        plain = glance(body)
        if plain is None:
            return self._read(body)
        reason, tokens_in, tokens_out = plain
        return [Verbatim(body), done(reason, 0), Usage(tokens_in, tokens_out)]

    def _read(self, body: bytes) -> list[Event]:
        data = decode(body)
        check_answer(data)
        if _amiss(data):
            body = _encode(_completed(data))
        meant: list[Event] = [Verbatim(body)]
        usage = usage_of(data)
        for at, choice in enumerate(data["choices"]):
            index = index_of(choice, at)
            if usage is None:  # somebody must count the words
                meant += meaning(choice.get("message") or {}, choice, index, Calls())
            meant.append(done(reason_of(choice), index))
        if usage is not None:
            meant.append(usage)
        return meant


def _amiss(data: dict[str, Any]) -> bool:
    """Whether the answer lacks what every answer has. Tool calls are mended in place."""
    lacking = not data.keys() >= _ANSWER
    for choice in data["choices"]:
        lacking = lacking or not choice.keys() >= _CHOICE
        calls = (choice.get("message") or {}).get("tool_calls")
        for at, call in enumerate(calls or ()):
            lacking = _mend_call(call, f"call_{index_of(choice)}_{at}", "{}") or lacking
    return lacking


def _mend_call(call: dict[str, Any], id_: str, nothing: str) -> bool:
    """Give a tool call an id, a type, and its arguments as text (`nothing` for none); whether any was amiss."""
    amiss = False
    for name, value in (("id", id_), ("type", "function")):
        if not call.get(name):
            call[name], amiss = value, True
    function = call.get("function")
    if function and type(function.get("arguments")) is not str:
        arguments = function.get("arguments")
        function["arguments"], amiss = _encode(arguments).decode() if arguments else nothing, True
    return amiss


def _completed(data: dict[str, Any]) -> dict[str, Any]:
    """The answer with what it lacks; Azure leaves out a message that its filter stopped, Copilot what the answer is."""
    made = int(time.time())
    answer = {"id": f"chatcmpl-{made}", "object": "chat.completion", "created": made, "model": "", **data}
    nothing = {"message": {"role": "assistant", "content": None}, "finish_reason": None}
    answer["choices"] = [{"index": at, **nothing, **choice} for at, choice in enumerate(data["choices"])]
    return answer
