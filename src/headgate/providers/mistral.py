"""Mistral, over its own API (https://docs.mistral.ai/api), whose dialect is OpenAI's with an accent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects import openai_embeddings
from headgate.dialects.mistral import MOST_INPUTS, AnswerReader, StreamReader, embed_request, request
from headgate.dialects.sse import decode
from headgate.providers import _http

_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """Settings of a provider of kind `mistral`."""

    env: ClassVar[Mapping[str, str]] = {"MISTRAL_API_KEY": "api_key"}
    default_model: ClassVar[str] = "mistral-small-latest"

    base_url: str = "https://api.mistral.ai/v1"


class Mistral(_http.HttpProvider):
    """Chat completions and embeddings."""

    dialect: ClassVar[str] = "mistral"

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._headers = _http.bearer(options.api_key)

    def ask(self, call: Call) -> Ask:
        """The request. Raises Unsupported, naming the feature, for what Mistral cannot do."""
        body = _encode(request(call.prompt, call.model, stream=call.stream))
        return Ask(path="/chat/completions", body=body, headers=self._headers, stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A Reader for the answer, streamed or whole."""
        return StreamReader() if call.stream else AnswerReader()

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors of texts."""
        return joined([await self._embed(batch) for batch in call.batches(MOST_INPUTS)])

    async def _embed(self, call: EmbedCall) -> Embedded:
        ask = Ask(path="/embeddings", body=_encode(embed_request(call)), headers=self._headers)
        body = await self.fetch(ask, call)
        return openai_embeddings.read(decode(body), len(call.inputs))


def connect(options: Options, wire: Wire) -> Provider:
    """The provider of these settings."""
    return Mistral(options, wire)
