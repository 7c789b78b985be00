"""Azure OpenAI's chat completions, the answering side: OpenAI's dialect, and what Azure's content filters found.

https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter. Each finding is an Extra under Azure's own
name: `prompt_filter_results` about the prompt, `content_filter_results` and `content_filter_offsets` about a choice.
A caller of the same dialect gets them where Azure put them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from headgate.core.events import Begin, Event, Extra
from headgate.dialects import openai_chat_reader

VENDOR = "azure"

_FOUND = ("content_filter_results", "content_filter_offsets", "content_filter_result")


class StreamReader(openai_chat_reader.StreamReader):
    """Reads a stream. With asynchronous filters findings also come alone, even after the reason to stop."""

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """Events of one chunk, then what the filters say about it."""
        yield from super().event(name, data)
        yield from findings(data)


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
