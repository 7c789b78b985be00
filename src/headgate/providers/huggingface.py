"""Hugging Face: its router to Inference Providers, and one's own servers of text generation and text embeddings.

https://huggingface.co/docs/inference-providers. All of them speak OpenAI's dialect; the router's embeddings do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import structs
from pydantic import field_validator

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.faults import Fault, Unsupported
from headgate.core.seams import Answered, Ask, Provider, Reader, Wire
from headgate.dialects import huggingface_embeddings, openai_chat, openai_embeddings
from headgate.dialects.openai_chat_forward import forward
from headgate.dialects.openai_chat_reader import AnswerReader, StreamReader
from headgate.dialects.openai_chat_watcher import Watcher, WholeWatcher
from headgate.dialects.openai_chat_writer import request
from headgate.dialects.sse import decode
from headgate.providers import _http

ROUTER = "https://router.huggingface.co"
MOST_INPUTS = 32
"""How many texts a server of text embeddings takes at once, unless told otherwise (`--max-client-batch-size`)."""

_MODEL = re.compile(r"[\w.-]+(?:/[\w.-]+)?", re.ASCII)
_NAMES = {"max_completion_tokens": "max_tokens"}
_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """`base_url` is given with or without its `/v1`: the router's, or that of a TGI or TEI server or an Endpoint."""

    env: ClassVar[Mapping[str, str]] = {"HF_TOKEN": "api_key"}
    default_model: ClassVar[str] = "openai/gpt-oss-20b"

    base_url: str = ROUTER

    @field_validator("base_url")
    @classmethod
    def _root(cls, value: str) -> str:
        return value.rstrip("/").removesuffix("/v1")


class HuggingFace(_http.HttpProvider):
    """Chat completions and embeddings."""

    dialect: ClassVar[str] = openai_chat.NAME

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._headers = _http.bearer(options.api_key)
        self._routed = options.base_url == ROUTER

    def ask(self, call: Call) -> Ask:
        """The caller's own bytes where it speaks the dialect, else a request made from the prompt."""
        if call.dialect == self.dialect:
            body = forward(call, names=_NAMES)
        else:
            said = request(call.prompt, call.model, stream=call.stream)
            body = _encode({_NAMES.get(name, name): value for name, value in said.items()})
        return Ask(path="/v1/chat/completions", body=body, headers=self._headers, stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A watcher that passes the answer on where the caller speaks the dialect, else a full reader."""
        if call.dialect == self.dialect:
            return Watcher() if call.stream else WholeWatcher()
        return StreamReader() if call.stream else AnswerReader()

    def fault(self, answered: Answered) -> Fault:
        """TGI and TEI say 424 where their model failed, which is no fault of the request."""
        status = 500 if answered.status == 424 else answered.status
        return super().fault(Answered(status, answered.headers, answered.body))

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors of texts; of token ids too at a server of one's own."""
        one = self._extract if self._routed else self._embed
        return joined([await one(batch) for batch in call.batches(MOST_INPUTS)])

    async def _embed(self, call: EmbedCall) -> Embedded:
        ask = Ask(path="/v1/embeddings", body=_encode(openai_embeddings.request(call)), headers=self._headers)
        body = await self.fetch(ask, call)
        return openai_embeddings.read(decode(body), len(call.inputs))

    async def _extract(self, call: EmbedCall) -> Embedded:
        """The router's way: the model is in the path, and only Hugging Face's own inference is asked."""
        model, _, provider = call.model.partition(":")
        if provider not in {"", "hf-inference"}:
            raise Unsupported(f"embeddings come from hf-inference alone, not from {provider}", field="model")
        if not _MODEL.fullmatch(model) or ".." in model:
            raise Unsupported("a model's name at Hugging Face has the form owner/name", field="model")
        path = f"/hf-inference/models/{model}/pipeline/feature-extraction"
        ask = Ask(path=path, body=_encode(huggingface_embeddings.request(call)), headers=self._headers)
        body = await self.fetch(ask, call)
        return structs.replace(huggingface_embeddings.read(body, len(call.inputs)), model=model)


def connect(options: Options, wire: Wire) -> Provider:
    """The provider of these settings."""
    return HuggingFace(options, wire)
