"""Ollama, over its own API (https://docs.ollama.com/api): models on one's own machine, or on ollama.com."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from pydantic import field_validator

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects.ollama import embed_request, read_embeddings, request
from headgate.dialects.ollama_answer import AnswerReader, StreamReader
from headgate.dialects.sse import decode
from headgate.providers import _http

_PORT = 11434
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - where a server may listen
_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """`base_url` is what OLLAMA_HOST may hold, `host`, `host:port` or a URL.

    `num_ctx` is the window that a model is loaded with, in tokens (a longer prompt loses its beginning), `keep_alive`
    how long it stays loaded, such as `5m`.
    """

    env: ClassVar[Mapping[str, str]] = {"OLLAMA_HOST": "base_url"}
    default_model: ClassVar[str] = "llama3.2"

    base_url: str = f"http://127.0.0.1:{_PORT}"
    num_ctx: int | None = None
    keep_alive: str = ""

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        return address(value)


class Ollama(_http.HttpProvider):
    """Chat and embeddings."""

    dialect: ClassVar[str] = "ollama"

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._headers = _http.bearer(options.api_key)
        self._loaded = {"keep_alive": options.keep_alive} if options.keep_alive else {}
        self._window = {"num_ctx": options.num_ctx} if options.num_ctx else {}

    def ask(self, call: Call) -> Ask:
        """The request. Raises Unsupported, naming the feature, for what Ollama cannot do."""
        return self._ask("/api/chat", request(call.prompt, call.model, stream=call.stream), stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A Reader for the answer, streamed or whole."""
        return StreamReader() if call.stream else AnswerReader()

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors of texts."""
        body = await self.fetch(self._ask("/api/embed", embed_request(call)), call)
        return read_embeddings(decode(body), len(call.inputs))

    def _ask(self, path: str, body: dict[str, Any], *, stream: bool = False) -> Ask:
        body |= self._loaded
        if self._window:
            body["options"] = self._window | body.get("options", {})
        return Ask(path=path, body=_encode(body), headers=self._headers, stream=stream)


def address(host: str) -> str:
    """The URL that OLLAMA_HOST means, read as Ollama's own clients read it; where it listens becomes where it is."""
    scheme, given, rest = host.strip().rstrip("/").removesuffix("/api").rpartition("://")
    place, slash, path = rest.partition("/")
    name, colon, port = place.rpartition(":") if re.search(r":\d+$", place) else (place, "", "")
    if not given:
        colon, port = ":", port or str(_PORT)
    return f"{scheme or 'http'}://{_EVERYWHERE.get(name, name)}{colon}{port}{slash}{path}"


def connect(options: Options, wire: Wire) -> Provider:
    """The provider of these settings."""
    return Ollama(options, wire)
