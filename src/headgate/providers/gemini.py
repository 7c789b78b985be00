"""Google's Gemini, over its native API (https://ai.google.dev/api). The key travels in a header, never in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

import msgspec

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects import gemini_embeddings
from headgate.dialects.gemini import count_request, request, resource
from headgate.dialects.gemini_answer import AnswerReader, StreamReader, count_of
from headgate.dialects.sse import decode
from headgate.providers import _http


class Options(_http.Options):
    """Settings of a provider of kind `gemini`."""

    env: ClassVar[Mapping[str, str]] = {"GEMINI_API_KEY": "api_key", "GOOGLE_API_KEY": "api_key"}
    default_model: ClassVar[str] = "gemini-2.5-flash"

    base_url: str = "https://generativelanguage.googleapis.com/v1beta"


class Gemini(_http.HttpProvider):
    """Asks generateContent, or streamGenerateContent for a stream."""

    dialect: ClassVar[str] = "gemini"

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._headers = (("x-goog-api-key", options.api_key),) if options.api_key else ()

    def ask(self, call: Call) -> Ask:
        """The request. Raises Unsupported, naming the feature, for what Gemini cannot do."""
        verb = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
        body = msgspec.json.encode(request(call.prompt, call.model))
        return Ask(path=f"{_path(call.model)}:{verb}", body=body, headers=self._headers, stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A Reader for the answer, streamed or whole."""
        return StreamReader() if call.stream else AnswerReader()

    async def count(self, call: Call) -> int:
        """The tokens of the call's prompt, as Gemini counts them."""
        body = msgspec.json.encode(count_request(call.prompt, call.model))
        ask = Ask(path=f"{_path(call.model)}:countTokens", body=body, headers=self._headers)
        return count_of(decode(await self.fetch(ask, call)))

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors of texts."""
        return joined([await self._embed(batch) for batch in call.batches(gemini_embeddings.BATCH_LIMIT)])

    async def _embed(self, call: EmbedCall) -> Embedded:
        said = gemini_embeddings.request(call.texts("Gemini"), call.model, call.dimensions, call.purpose)
        path = f"{_path(call.model)}:batchEmbedContents"
        body = await self.fetch(Ask(path=path, body=msgspec.json.encode(said), headers=self._headers), call)
        return gemini_embeddings.read(decode(body), len(call.inputs))


def connect(options: Options, wire: Wire) -> Provider:
    """The provider of these settings."""
    return Gemini(options, wire)


def _path(model: str) -> str:
    """Where the model is. No name can leave its place in the path."""
    collection, _, name = resource(model).partition("/")
    return f"/{collection}/{quote(name, safe='')}"
