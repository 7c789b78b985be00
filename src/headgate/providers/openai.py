"""OpenAI, and everything that speaks its chat dialect: other vendors are rows of `presets.toml`.

A caller who speaks the same dialect is forwarded: its bytes, with the model's name replaced. Callers of the Responses
API are forwarded too where the server has it, else they are served by chat completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects import openai_chat, openai_embeddings, openai_responses_reader, openai_responses_request
from headgate.dialects.openai_chat_forward import forward
from headgate.dialects.openai_chat_reader import AnswerReader, StreamReader, Watcher, WholeWatcher
from headgate.dialects.openai_chat_writer import request
from headgate.dialects.openai_responses import NAME as RESPONSES
from headgate.dialects.sse import decode
from headgate.providers import _http

_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """`stream_usage` asks for the tokens at the end of a stream; turn it off for a server that refuses the field.

    `max_tokens_field` is the name under which the server takes the bound on its answer. `responses` says whether the
    server has the Responses API; by default only OpenAI's own is taken to have it.
    """

    env: ClassVar[Mapping[str, str]] = {"OPENAI_API_KEY": "api_key", "OPENAI_BASE_URL": "base_url"}
    default_model: ClassVar[str] = "gpt-4o-mini"

    base_url: str = "https://api.openai.com/v1"
    organization: str = ""
    project: str = ""
    stream_usage: bool = True
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    responses: bool | None = None


class OpenAI(_http.HttpProvider):
    """Chat completions at any server of the dialect."""

    dialect = openai_chat.NAME

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        own = "api.openai.com" in options.base_url
        self._max_tokens = options.max_tokens_field or ("max_completion_tokens" if own else "max_tokens")
        self._stream_usage = options.stream_usage
        self._responses = own if options.responses is None else options.responses
        account = {"openai-organization": options.organization, "openai-project": options.project}
        self._headers = (*_http.bearer(options.api_key), *((name, value) for name, value in account.items() if value))

    def ask(self, call: Call) -> Ask:
        """The caller's own bytes where it speaks the dialect, else a request made from the prompt."""
        if self._responses and call.dialect == RESPONSES:
            body = openai_responses_request.forward(call)
            return Ask(path="/responses", body=body, headers=self._headers, stream=call.stream)
        same = call.dialect == self.dialect
        body = self._forward(call) if same else self._translate(call)
        return Ask(path="/chat/completions", body=body, headers=self._headers, stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A watcher that passes the answer on where the caller speaks the dialect, else a full reader."""
        if self._responses and call.dialect == RESPONSES:
            return openai_responses_reader.watcher(stream=call.stream)
        if call.dialect == self.dialect:
            return Watcher() if call.stream else WholeWatcher()
        return StreamReader() if call.stream else AnswerReader()

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors, also of token ids."""
        return joined([await self._embed(batch) for batch in call.batches(openai_embeddings.MOST_INPUTS)])

    async def _embed(self, call: EmbedCall) -> Embedded:
        ask = Ask(path="/embeddings", body=_encode(openai_embeddings.request(call)), headers=self._headers)
        body = await self.fetch(ask, call.clocks, call.deadline)
        return openai_embeddings.read(decode(body), len(call.inputs))

    def _forward(self, call: Call) -> bytes:
        return forward(call, stream_usage=self._stream_usage, bound=self._max_tokens)

    def _translate(self, call: Call) -> bytes:
        body = request(call.prompt, call.model, stream=call.stream)
        if "max_completion_tokens" in body:
            body[self._max_tokens] = body.pop("max_completion_tokens")
        if not self._stream_usage:
            body.pop("stream_options", None)
        return _encode(body)


def connect(options: Options, wire: Wire) -> Provider:
    """The provider that these settings describe."""
    return OpenAI(options, wire)
