"""What the models say, in the bytes of OpenAI, Anthropic and Gemini: whole and streamed, as those vendors send it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from clients._models import MODELS, TOKENS, VECTOR, Refuses, Says
from headgate.testing import LAST_CHUNK, SeenRequest, Step, Upset, chunk, stream_head, whole
from journeys._upstreams import data

_RESULTS = (b'"tool_call_id"', b'"tool_result"', b'"functionResponse"')
_IN, _OUT = TOKENS


def played(name: str) -> list[Step]:
    """The script of a model: it answers every request in the dialect in which it is asked."""

    def answer(request: SeenRequest) -> list[Step]:
        if "count" in request.path:
            tokens = len(request.body) // 4
            return [whole(json.dumps({"input_tokens": tokens, "totalTokens": tokens}).encode())]
        if "embed" in request.path.lower():
            return [whole(json.dumps(_vectors(request)).encode())]
        turns = MODELS[name]
        said = turns[min(len(turns) - 1, any(mark in request.body for mark in _RESULTS))]
        dialect = next(dialect for path, dialect in _DIALECTS.items() if path in request.path)
        if isinstance(said, Refuses):
            headers = {} if said.wait is None else {"retry-after": str(said.wait)}
            return [whole(json.dumps(dialect.error(said.status, said.type)).encode(), said.status, headers)]
        if "streamGenerateContent" in request.path or json.loads(request.body).get("stream"):
            return [stream_head(), *map(chunk, dialect.frames(said)), *dialect.end(said)]
        return [whole(json.dumps(dialect.whole(said)).encode())]

    return [answer]


def _vectors(request: SeenRequest) -> dict[str, Any]:
    asked = json.loads(request.body)
    if "requests" in asked:
        return {"embeddings": [{"values": VECTOR} for _ in asked["requests"]]}
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    found = [{"object": "embedding", "index": at, "embedding": VECTOR} for at in range(len(inputs))]
    return {"object": "list", "data": found, "model": "e", "usage": {"prompt_tokens": 4, "total_tokens": 4}}


def _pieces(text: str, size: int = 9) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


class _Dialect:
    def whole(self, said: Says) -> dict[str, Any]:
        raise NotImplementedError

    def frames(self, said: Says) -> Iterator[bytes]:
        raise NotImplementedError

    def error(self, status: int, kind: str) -> dict[str, Any]:
        raise NotImplementedError

    def broken(self) -> bytes:
        return data({"error": {"message": "it broke", "type": "server_error", "code": 500}})

    def end(self, said: Says) -> list[Step]:
        """How the stream ends: well, or as a broken one does."""
        ends = {"": [LAST_CHUNK], "silence": [LAST_CHUNK], "reset": [0.2, Upset.RESET]}
        return ends.get(said.breaks) or [chunk(self.broken()), LAST_CHUNK]


class _OpenAI(_Dialect):
    def whole(self, said: Says) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
        if said.thought:
            message["reasoning_content"] = said.thought
        if said.calls:
            message["tool_calls"] = [self._call(at, *call) for at, call in enumerate(said.calls)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish(said)}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage}

    def frames(self, said: Says) -> Iterator[bytes]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in _pieces(said.thought):
            yield self._chunk({"reasoning_content": piece})
        for piece in _pieces(said.text):
            yield self._chunk({"content": piece})
        for at, (name, arguments) in enumerate(said.calls):
            begun = {"index": at, **self._call(at, name, None)}
            yield self._chunk({"tool_calls": [begun]})
            for piece in _pieces(json.dumps(arguments)):
                yield self._chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})
        if not said.breaks:
            yield self._chunk({}, self._finish(said))
            yield data({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage})
            yield b"data: [DONE]\n\n"

    def error(self, status: int, kind: str) -> dict[str, Any]:
        return {"error": {"message": f"told to say {status}", "type": kind, "param": None, "code": None}}

    _usage = {"prompt_tokens": _IN, "completion_tokens": _OUT, "total_tokens": _IN + _OUT}  # noqa: RUF012

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1_800_000_000, "model": "gpt", "system_fingerprint": "f"}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _call(self, at: int, name: str, arguments: dict[str, Any] | None) -> dict[str, Any]:
        text = "" if arguments is None else json.dumps(arguments)
        return {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": text}}

    def _finish(self, said: Says) -> str:
        words = {"stop": "tool_calls" if said.calls else "stop", "length": "length", "filter": "content_filter"}
        return words[said.end]


class _Anthropic(_Dialect):
    def whole(self, said: Says) -> dict[str, Any]:
        usage = {"input_tokens": _IN, "output_tokens": _OUT}
        return {**self._head, "content": self._blocks(said), "stop_reason": self._finish(said), "usage": usage}

    def frames(self, said: Says) -> Iterator[bytes]:
        usage = {"input_tokens": _IN, "output_tokens": 1}
        message = {**self._head, "content": [], "stop_reason": None, "usage": usage}
        yield self._event("message_start", message=message)
        yield self._event("ping")
        for at, block in enumerate(self._blocks(said)):
            yield from self._streamed(at, block, last=bool(said.breaks))
        if not said.breaks:
            delta = {"stop_reason": self._finish(said), "stop_sequence": None}
            yield self._event("message_delta", delta=delta, usage={"output_tokens": _OUT})
            yield self._event("message_stop")

    def error(self, status: int, kind: str) -> dict[str, Any]:
        kind = {"server_error": "api_error"}.get(kind, kind)
        return {"type": "error", "error": {"type": kind, "message": f"told to say {status}"}, "request_id": "req_1"}

    def broken(self) -> bytes:
        return self._event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    _head = {  # noqa: RUF012
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "stop_sequence": None,
    }

    def _event(self, kind: str, **fields: Any) -> bytes:
        return data({"type": kind, **fields}, kind)

    def _blocks(self, said: Says) -> list[dict[str, Any]]:
        thought = [{"type": "thinking", "thinking": said.thought, "signature": "c2ln"}] if said.thought else []
        text = [{"type": "text", "text": said.text}] if said.text else []
        calls = [
            {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": given}
            for at, (name, given) in enumerate(said.calls)
        ]
        return [*thought, *text, *calls]

    def _streamed(self, at: int, block: dict[str, Any], *, last: bool) -> Iterator[bytes]:
        kind = block["type"]
        empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
        yield self._event("content_block_start", index=at, content_block={**block, **empty[kind]})
        name, text = {
            "thinking": ("thinking", block.get("thinking", "")),
            "text": ("text", block.get("text", "")),
            "tool_use": ("input_json", json.dumps(block.get("input"))),
        }[kind]
        field = "partial_json" if name == "input_json" else name
        for piece in _pieces(text):
            yield self._event("content_block_delta", index=at, delta={"type": f"{name}_delta", field: piece})
        if kind == "thinking":
            signed = {"type": "signature_delta", "signature": block["signature"]}
            yield self._event("content_block_delta", index=at, delta=signed)
        if not last:
            yield self._event("content_block_stop", index=at)

    def _finish(self, said: Says) -> str:
        return {"stop": "tool_use" if said.calls else "end_turn", "length": "max_tokens", "filter": "refusal"}[said.end]


class _Gemini(_Dialect):
    def whole(self, said: Says) -> dict[str, Any]:
        return self._answer(self._parts(said, said.text and [said.text]), self._finish(said))

    def frames(self, said: Says) -> Iterator[bytes]:
        parts = self._parts(said, _pieces(said.text))
        for part in parts:
            yield data(self._answer([part]))
        if not said.breaks:
            yield data(self._answer([{"text": ""}], self._finish(said)))

    def error(self, status: int, kind: str) -> dict[str, Any]:
        words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
        error = {"code": status, "message": f"told to say {status}", "status": words.get(status, "INTERNAL")}
        return {"error": error}

    def _parts(self, said: Says, texts: Any) -> list[dict[str, Any]]:
        thought = [{"text": said.thought, "thought": True}] if said.thought else []
        calls = [{"functionCall": {"name": name, "args": arguments}} for name, arguments in said.calls]
        return [*thought, *({"text": text} for text in texts), *calls]

    def _answer(self, parts: list[dict[str, Any]], finish: str = "") -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
        usage = {"promptTokenCount": _IN, "candidatesTokenCount": _OUT, "totalTokenCount": _IN + _OUT}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini", "responseId": "r1"}

    def _finish(self, said: Says) -> str:
        return {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}[said.end]


_DIALECTS = {"/chat/completions": _OpenAI(), "/messages": _Anthropic(), "/models/": _Gemini()}
