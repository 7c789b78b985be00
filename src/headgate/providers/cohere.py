"""Cohere, over version 2 of its own API (https://docs.cohere.com/reference/about)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from pydantic import field_validator

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects import cohere_embeddings
from headgate.dialects.cohere import request
from headgate.dialects.cohere_answer import AnswerReader, StreamReader
from headgate.dialects.sse import decode
from headgate.providers import _http

_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """Settings of a provider of kind `cohere`; `base_url` is given with or without its `/v2`."""

    env: ClassVar[Mapping[str, str]] = {"CO_API_KEY": "api_key", "COHERE_API_KEY": "api_key"}
    default_model: ClassVar[str] = "command-a-03-2025"

    base_url: str = "https://api.cohere.com"

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        return value.rstrip("/").removesuffix("/v2")


class Cohere(_http.HttpProvider):
    """Chat and embeddings."""

    dialect: ClassVar[str] = "cohere"

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._headers = _http.bearer(options.api_key)

    def ask(self, call: Call) -> Ask:
        """The request. Raises Unsupported, naming the feature, for what Cohere cannot do."""
        body = _encode(request(call.prompt, call.model, stream=call.stream))
        return Ask(path="/v2/chat", body=body, headers=self._headers, stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A Reader for the answer, streamed or whole."""
        return StreamReader() if call.stream else AnswerReader()

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors of texts."""
        return joined([await self._embed(batch) for batch in call.batches(cohere_embeddings.MOST_INPUTS)])

    async def _embed(self, call: EmbedCall) -> Embedded:
        ask = Ask(path="/v2/embed", body=_encode(cohere_embeddings.request(call)), headers=self._headers)
        body = await self.fetch(ask, call)
        return cohere_embeddings.read(decode(body), len(call.inputs))


def connect(options: Options, wire: Wire) -> Provider:
    """The provider of these settings."""
    return Cohere(options, wire)
