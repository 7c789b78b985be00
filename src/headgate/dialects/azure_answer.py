"""Azure OpenAI's chat completions, the answering side: OpenAI's dialect, and what Azure's content filters found.

https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter. Each finding is an Extra under Azure's own
name: `prompt_filter_results` about the prompt, `content_filter_results` and `content_filter_offsets` about a choice.
A caller of the same dialect gets them too, in chunks that have the answer's name as OpenAI's all have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headgate.core.events import Begin, Event, Extra
from headgate.dialects import openai_chat_reader, openai_chat_watcher
from headgate.dialects.sse import decode

VENDOR = "azure"

_encode = msgspec.json.Encoder().encode
_NAMELESS = re.compile(rb'"id"\s*:\s*""')
_NAMING = ("id", "object", "created", "model", "choices")
_FOUND = ("content_filter_results", "content_filter_offsets", "content_filter_result")


class StreamReader(openai_chat_reader.StreamReader):
    """Reads a stream. With asynchronous filters findings also come alone, even after the reason to stop."""

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """Events of one chunk, then what the filters say about it."""
        yield from super().event(name, data)
        yield from findings(data)


class Watcher(openai_chat_watcher.Watcher):
    """Passes a stream on to a caller of the same dialect.

    Azure tells what it found before the answer, and sometimes after it, in chunks without a name: what stands before
    goes into the first chunk of the answer, the others are given its name.
    """

    def __init__(self) -> None:
        super().__init__()
        self._head: dict[str, Any] = {}
        self._before: dict[str, Any] = {}

    def _watch(self, name: str, data: bytes, passed: list[bytes], meant: list[Event]) -> None:
        if not self._head or _NAMELESS.search(data):
            chunk = decode(data)
            if chunk.get("id"):
                self._head = {field: chunk[field] for field in _NAMING if field in chunk and field != "choices"}
                data = _encode({**self._before, **chunk}) if self._before else data
            elif self._head:
                choices = [{"delta": {}, **choice} for choice in chunk.get("choices") or ()]
                data = _encode({**chunk, **self._head, "choices": choices}) if choices else data
            elif chunk.get("choices") == []:
                self._before |= {field: value for field, value in chunk.items() if field not in _NAMING}
                return
        super()._watch(name, data, passed, meant)


class AnswerReader(openai_chat_reader.AnswerReader):
    """Reads a whole answer."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """Its events, as if it had been streamed."""
        found = list(findings(data))
        for event in super().answer(data):
            yield event
            if isinstance(event, Begin):
                yield from found


def findings(data: dict[str, Any]) -> Iterator[Event]:
    """What the filters found in the prompt, and in the choices of an answer or a chunk."""
    if found := data.get("prompt_filter_results"):
        yield Extra(VENDOR, "prompt_filter_results", found)
    for at, choice in enumerate(data.get("choices") or ()):
        for name in _FOUND:
            if found := choice.get(name):
                yield Extra(VENDOR, name, found, choice.get("index", at) or 0)
