"""Upstreams that say what a test tells them: one server, and each of its models has scripts of its own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from itertools import count
from typing import Any

from headgate.testing import LAST_CHUNK, ScriptedUpstream, SeenConnection, SeenRequest, Step, chunk, stream_head, whole

KINDS = ("openai", "anthropic", "gemini")
_GEMINI = re.compile(r"/models/([^/:]+):")


class Upstreams:
    """A `ScriptedUpstream` behind three providers, `openai`, `anthropic` and `gemini`.

    `model` makes a name nobody used before, so that tests share a service and not their models' health.
    """

    def __init__(self) -> None:
        self.server = ScriptedUpstream([self._dispatch])
        self._scripts: dict[str, list[Iterable[Step]]] = {}
        self._numbers = count(1)

    @property
    def config(self) -> str:
        """The providers, as TOML."""
        paths = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}
        tables = [
            f'[providers.{kind}]\nkind = "{kind}"\napi_key = "{SECRET}"\nbase_url = "{self.server.url}{path}"\n'
            for kind, path in paths.items()
        ]
        return "\n".join(tables)

    def model(self, *scripts: Iterable[Step], name: str = "") -> str:
        """A model that plays these scripts, one for each request, the last one again and again."""
        name = name or f"m{next(self._numbers)}"
        self._scripts[name] = list(scripts)
        return name

    def requests(self, model: str) -> list[SeenRequest]:
        """What a model was asked."""
        return [seen for seen in self.server.requests if model_of(seen) == model]

    def connections(self, model: str) -> list[SeenConnection]:
        """The connections on which a model was asked."""
        return [c for c in self.server.connections if any(model_of(seen) == model for seen in c.requests)]

    async def hung_up(self, model: str, patience: float = 1.0) -> None:
        """Wait until everybody who asked a model has hung up. Raises TimeoutError."""
        async with asyncio.timeout(patience):
            for connection in self.connections(model):
                await connection.closed.wait()

    async def asked(self, model: str, times: int = 1, patience: float = 5.0) -> None:
        """Wait until a model was asked so often."""
        async with asyncio.timeout(patience):
            while len(self.requests(model)) < times:  # noqa: ASYNC110 - tests may look and wait
                await asyncio.sleep(0.01)

    def _dispatch(self, request: SeenRequest) -> Iterable[Step]:
        scripts = self._scripts[model_of(request)]
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]


SECRET = "sk-test-51f0c2a97c7b4d0e8a11"  # what no caller may ever read


def model_of(request: SeenRequest) -> str:
    """The model that a request of any of the three dialects asks."""
    found = _GEMINI.search(request.path)
    return found[1] if found else json.loads(request.body)["model"]


def data(value: Any, event: str = "") -> bytes:
    """A Server-Sent Event."""
    return (f"event: {event}\n" if event else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


def frames(kind: str, *texts: str, end: bool = True) -> list[bytes]:
    """The frames of a stream of this dialect that says these texts; without `end` it has no finish reason."""
    if kind == "openai":
        return [*map(_chunk, texts), *([_chunk(None), _OPENAI_USAGE, b"data: [DONE]\n\n"] if end else [])]
    if kind == "anthropic":
        start = {"type": "message", "id": "msg_1", "role": "assistant", "model": "claude", "content": []}
        start |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        said = [
            data({"type": "message_start", "message": start}, "message_start"),
            data(block, "content_block_start"),
            *(
                data(
                    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
                    "content_block_delta",
                )
                for text in texts
            ),
        ]
        if end:
            delta = {"stop_reason": "end_turn", "stop_sequence": None}
            said += [
                data({"type": "content_block_stop", "index": 0}, "content_block_stop"),
                data({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}, "message_delta"),
                data({"type": "message_stop"}, "message_stop"),
            ]
        return said
    said = [data(_gemini(text)) for text in texts]
    return [*said, data({**_gemini("", "STOP"), "usageMetadata": _GEMINI_USAGE})] if end else said


def stream(kind: str, *texts: str) -> list[Step]:
    """A script: a stream that says these texts and ends well."""
    return [stream_head(), *map(chunk, frames(kind, *texts)), LAST_CHUNK]


def answer(kind: str, text: str = "Hello there") -> dict[str, Any]:
    """The body of a whole answer of this dialect."""
    if kind == "openai":
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"id": "c1", "object": "chat.completion", "model": "gpt", "choices": choices, "usage": usage}
    if kind == "anthropic":
        said = {"type": "message", "id": "msg_1", "role": "assistant", "model": "claude", "stop_reason": "end_turn"}
        usage = {"input_tokens": 5, "output_tokens": 7}
        return {**said, "stop_sequence": None, "content": [{"type": "text", "text": text}], "usage": usage}
    return {**_gemini(text, "STOP"), "usageMetadata": _GEMINI_USAGE}


def said(kind: str, text: str = "Hello there", *, streamed: bool) -> list[Step]:
    """A script: a good answer, whole or as a stream of two pieces."""
    if streamed:
        return stream(kind, text[:5], text[5:])
    return [whole(json.dumps(answer(kind, text)).encode())]


_GEMINI_USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}
_OPENAI_USAGE = data(
    {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "gpt",
        "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
)


def _chunk(text: str | None) -> bytes:
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if text is None else None}
    return data({"id": "c1", "object": "chat.completion.chunk", "model": "gpt", "choices": [choice]})


def _gemini(text: str, finish: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini", "responseId": "r1"}
