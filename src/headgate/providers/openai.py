"""OpenAI, and everything that speaks its chat dialect: other vendors are rows of `presets.toml`.

A caller who speaks the same dialect is forwarded: its bytes, with the model's name replaced. Callers of the Responses
API and of the older completions are forwarded too where the server has them, else they are served by chat completions.
A server that turns out not to have the older completions for a model is asked for a chat again, and one whose model is
only in the Responses API is asked there, whatever the caller speaks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.faults import Fault, Then, UpstreamMissing
from headgate.core.seams import Answered, Ask, Provider, Reader, Wire
from headgate.dialects import (
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses_reader,
    openai_responses_request,
)
from headgate.dialects.openai_chat_forward import forward
from headgate.dialects.openai_chat_reader import AnswerReader, StreamReader
from headgate.dialects.openai_chat_watcher import Watcher, WholeWatcher
from headgate.dialects.openai_chat_writer import request
from headgate.dialects.openai_responses import NAME as RESPONSES
from headgate.dialects.sse import decode
from headgate.providers import _http

_MOST_REMEMBERED = 1000
_COMPLETES = re.compile(r"(ft:)?(gpt-3\.5-turbo-instruct|babbage|davinci)")
_ONLY_RESPONSES = re.compile(r"only supported in v1/responses")
_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """`stream_usage` asks for the tokens at the end of a stream; turn it off for a server that refuses the field.

    `max_tokens_field` is the name under which the server takes the bound on its answer. `responses` says whether the
    server has the Responses API; by default only OpenAI's own is taken to have it. `completions` says whether it has
    the older completions; by default all are taken to have them, OpenAI itself for those of its models that do. `chats`
    set to false says that it has the Responses API alone.
    """

    env: ClassVar[Mapping[str, str]] = {"OPENAI_API_KEY": "api_key", "OPENAI_BASE_URL": "base_url"}
    default_model: ClassVar[str] = "gpt-4o-mini"

    base_url: str = "https://api.openai.com/v1"
    organization: str = ""
    project: str = ""
    stream_usage: bool = True
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    responses: bool | None = None
    completions: bool | None = None
    chats: bool = True


class OnlyChats(UpstreamMissing):
    """The upstream has no older completions for this model: the same call may be asked as a chat."""

    then = Then.AGAIN


class OnlyResponses(UpstreamMissing):
    """The upstream has this model in the Responses API alone: the same call may be asked there."""

    then = Then.AGAIN


class OpenAI(_http.HttpProvider):
    """Chat completions at any server of the dialect."""

    dialect = openai_chat.NAME
    watched: ClassVar[type[Reader]] = Watcher
    streamed: ClassVar[type[Reader]] = StreamReader
    whole: ClassVar[type[Reader]] = AnswerReader
    options: Options

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        own = "api.openai.com" in options.base_url
        self._max_tokens = options.max_tokens_field or ("max_completion_tokens" if own else "max_tokens")
        self._stream_usage = options.stream_usage
        self._own = own
        self._only = not options.chats
        self._chats: set[str] = set()
        self._only_responses: set[str] = set()
        self._responses = own or not options.chats if options.responses is None else options.responses
        account = {"openai-organization": options.organization, "openai-project": options.project}
        self._headers = (*_http.bearer(options.api_key), *((name, value) for name, value in account.items() if value))

    def ask(self, call: Call) -> Ask:
        """The caller's own bytes where it speaks the dialect, else a request made from the prompt."""
        if call.dialect == self.dialect and not self._responds(call.model):
            body = forward(call, stream_usage=self._stream_usage, bound=self._max_tokens)
            return self._ask("/chat/completions", body, call.model, stream=call.stream)
        if self._responses and call.dialect == RESPONSES:
            body = openai_responses_request.forward(call)
            return self._ask("/responses", body, call.model, stream=call.stream)
        if self._completes(call):
            body = openai_completions.forward(call, stream_usage=self._stream_usage)
            return self._ask("/completions", body, call.model, stream=call.stream)
        if self._responds(call.model):
            body = _encode(openai_responses_request.request(call.prompt, call.model, stream=call.stream))
            return self._ask("/responses", body, call.model, stream=call.stream)
        return self._ask("/chat/completions", self._translate(call), call.model, stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A watcher that passes the answer on where the caller speaks the dialect, else a full reader."""
        if call.dialect == self.dialect and not self._responds(call.model):
            return self.watched() if call.stream else WholeWatcher()
        if self._responses and call.dialect == RESPONSES:
            return openai_responses_reader.watcher(stream=call.stream)
        if self._completes(call):
            return Watcher() if call.stream else openai_completions.WholeWatcher()
        if self._responds(call.model):
            return openai_responses_reader.reader(stream=call.stream)
        return self.streamed() if call.stream else self.whole()

    def refused(self, call: Call, answered: Answered) -> Fault:
        """What a refusal means; where another API has the model is remembered, so that the next try goes there."""
        fault = self.fault(answered)
        if _ONLY_RESPONSES.search(fault.message) and len(self._only_responses) < _MOST_REMEMBERED:
            self._only_responses.add(call.model)
            return OnlyResponses(fault.message)
        unknown = self.options.completions is None and len(self._chats) < _MOST_REMEMBERED
        if unknown and isinstance(fault, UpstreamMissing) and self._completes(call):
            self._chats.add(call.model)
            return OnlyChats(fault.message)
        return fault

    def _completes(self, call: Call) -> bool:
        """Whether the older completions are asked. They have no place for the operator's system prompt: chats do."""
        if (
            call.dialect != openai_completions.NAME
            or call.model in self._chats
            or (call.system is not None and call.system.text)
        ):
            return False
        known = self.options.completions
        return bool(_COMPLETES.match(call.model)) if known is None and self._own else known is not False

    def _responds(self, model: str) -> bool:
        """Whether the Responses API is asked, by a call that came in another dialect."""
        return self._only or model in self._only_responses

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors, also of token ids."""
        return joined([await self._embed(batch) for batch in call.batches(openai_embeddings.MOST_INPUTS)])

    async def _embed(self, call: EmbedCall) -> Embedded:
        ask = self._ask("/embeddings", _encode(openai_embeddings.request(call)), call.model)
        body = await self.fetch(ask, call)
        return openai_embeddings.read(decode(body), len(call.inputs))

    def _ask(self, path: str, body: bytes, model: str, *, stream: bool = False) -> Ask:  # noqa: ARG002 - Azure's
        """A request; only at Azure does its path depend on the model."""
        return Ask(path=path, body=body, headers=self._headers, stream=stream)

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
