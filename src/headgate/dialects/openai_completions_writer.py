"""OpenAI's older completions, written: events as the caller's stream, a Reply as a body.

https://platform.openai.com/docs/api-reference/completions/object. There is no place in them for thoughts and tools.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.events import Begin, Done, Event, Reason, Receipt, Refusal, Reply, Text, Usage, Verbatim
from headgate.dialects.openai_chat_writer import usage_body
from headgate.dialects.sse import frame

_encode = msgspec.json.Encoder().encode
_FINISH: dict[Reason, str] = {"length": "length", "filter": "content_filter", "error": "error"}


class Writer:
    """Writes a stream of `text_completion` objects; the Receipt adds the usage, if wanted, and the end mark.

    Once bytes were passed on, what they meant is not written again.
    """

    def __init__(self, call: Call) -> None:
        self._usage_wanted = call.usage_wanted
        self._id = f"cmpl-{call.id}"
        self._model = call.model
        self._created = int(time.time())
        self._echo = echo_of(call)
        self._spoken: set[int] = set()
        self._usage: Usage | None = None
        self._passing = False

    def feed(self, event: Event) -> bytes:
        """The bytes for one event."""
        match event:
            case Verbatim():
                self._passing = True
                return event.data
            case Text() | Refusal():
                return self._choice(event.choice, event.text, None)
            case Done() if not self._passing:
                return self._choice(event.choice, "", _FINISH.get(event.reason, "stop"))
            case Usage():
                self._usage = event
            case Begin():
                self._id = event.id or self._id
                self._model = event.model or self._model
            case Receipt():
                return self._end(event.entry)
        return b""

    def fail(self, error: bytes) -> bytes:
        """The rendered error as a chunk of its own; no end mark follows."""
        return frame(error)

    def _choice(self, index: int, text: str, finish: str | None) -> bytes:
        if index not in self._spoken:
            self._spoken.add(index)
            text = self._echo + text
        choice = {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
        return frame(_encode({**self._head(), "choices": [choice]}))

    def _head(self) -> dict[str, Any]:
        return {"id": self._id, "object": "text_completion", "created": self._created, "model": self._model}

    def _end(self, entry: Entry) -> bytes:
        if not self._usage_wanted:
            return b"data: [DONE]\n\n"
        chunk = {**self._head(), "choices": [], "usage": usage_body(self._usage, entry)}
        return frame(_encode(chunk)) + b"data: [DONE]\n\n"


def whole(call: Call, reply: Reply) -> bytes:
    """A whole answer as a `text_completion` body; one that came in this dialect is passed on untouched."""
    if reply.verbatim:
        return reply.verbatim
    echo, entry = echo_of(call), reply.entry
    return _encode(
        {
            "id": reply.begin.id or f"cmpl-{call.id}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": reply.begin.model or call.model,
            "choices": [
                {
                    "text": echo + choice.text + choice.refusal,
                    "index": index,
                    "logprobs": None,
                    "finish_reason": _FINISH.get(choice.done.reason, "stop") if choice.done else None,
                }
                for index, choice in enumerate(reply.choices)
            ],
            "usage": None if entry is None else usage_body(reply.usage, entry),
        }
    )


def echo_of(call: Call) -> str:
    """The prompt, where it is to stand before the answer."""
    prompt = call.fields.get("prompt")
    text = prompt[0] if isinstance(prompt, list) else prompt
    return text if call.fields.get("echo") and isinstance(text, str) else ""
