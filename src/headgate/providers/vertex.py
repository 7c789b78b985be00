"""Google Cloud's Vertex AI: Google's own Gemini models, and Anthropic's Claude models, in a project of one's own.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference and
https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai. Built from that documentation, and tested
against recorded-style answers and local servers, not the live cloud.

It is configured in the file alone: GOOGLE_APPLICATION_CREDENTIALS is set on many machines for other purposes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field, field_validator, model_validator

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.events import Event
from headgate.core.faults import Fault, Unsupported
from headgate.core.seams import Answered, Ask, Events, Provider, Reader, Wire
from headgate.dialects import anthropic_messages, gemini, gemini_answer, vertex_embeddings
from headgate.dialects import anthropic_messages_reader as claude
from headgate.dialects.anthropic_messages_request import MAX_TOKENS, count_request, request
from headgate.dialects.sse import decode
from headgate.providers import _http
from headgate.providers._google_token import Tokens, credentials_of
from headgate.providers.anthropic import with_system

_CLAUDE_VERSION = "vertex-2023-10-16"
_COUNTED = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})
_MULTI_REGIONS = ("us", "eu")
_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """`project` and `location` (`global`, `us`, `eu`, or a region such as `europe-west4`) say where the models are.

    `credentials` is the JSON of a service account's key or the path of its file:
    `credentials = "env:GOOGLE_APPLICATION_CREDENTIALS"`. Instead of it, `token` is an access token that is not renewed,
    or `api_key` a key of the project. `max_tokens` bounds the answer of a Claude model to a caller who set no bound.
    """

    default_model: ClassVar[str] = "gemini-2.5-flash"

    project: str = Field(min_length=1)
    location: str = Field("global", pattern=r"^[a-z0-9-]+$")
    credentials: str = Field("", repr=False)
    token: str = Field("", repr=False)
    max_tokens: int = Field(MAX_TOKENS, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _located(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"base_url": f"https://{host(str(values.get('location', 'global')))}", **values}

    @field_validator("credentials")
    @classmethod
    def _read(cls, value: str) -> str:
        if not value:
            return value
        if not value.lstrip().startswith("{"):
            try:
                value = Path(value).expanduser().read_text(encoding="utf-8")
            except (OSError, ValueError):
                raise ValueError("the file of the credentials cannot be read") from None
        credentials_of(value)
        return value


def host(location: str) -> str:
    """Where a location's API is."""
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


class Vertex(_http.HttpProvider):
    """Generates content with Gemini models, speaks Messages with Claude models, counts tokens, embeds texts."""

    options: Options

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._tokens = Tokens(credentials_of(options.credentials)) if options.credentials else None
        self._token = options.token
        project, location = quote(options.project, safe=""), quote(options.location, safe="")
        self._publishers = f"/v1/projects/{project}/locations/{location}/publishers"

    def ask(self, call: Call) -> Ask:
        """The request. Raises Unsupported, naming the feature, for what the model cannot do."""
        publisher, model = publisher_of(call.model)
        if publisher == "anthropic":
            verb = "streamRawPredict" if call.stream else "rawPredict"
            body = self._messages(call, model)
            beta = call.headers.get("anthropic-beta") if call.dialect == anthropic_messages.NAME else None
            more = (("anthropic-beta", beta),) if beta else ()
        else:
            verb = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
            body, more = gemini.request(call.prompt, model), ()
        return Ask(
            path=self._path(publisher, model, verb),
            body=_encode(body),
            headers=(*self._credential(), *more),
            stream=call.stream,
        )

    def reader(self, call: Call) -> Reader:
        """A watcher that passes a Claude model's answer on to a caller of that dialect, else a full reader."""
        if publisher_of(call.model)[0] == "google":
            return gemini_answer.StreamReader() if call.stream else gemini_answer.AnswerReader()
        if call.dialect == anthropic_messages.NAME:
            return claude.Watcher() if call.stream else claude.WholeWatcher()
        return claude.StreamReader() if call.stream else claude.AnswerReader()

    def fault(self, answered: Answered) -> Fault:
        """A token that is refused before its end is not used again."""
        if answered.status == 401 and self._tokens is not None:
            self._tokens.forget(self._token)
        return super().fault(answered)

    async def events(self, call: Call) -> Events:
        """Ask, and say what comes back."""
        await self._authorize(call.deadline)
        async with aclosing(super().events(call)) as events:
            async for event in events:
                yield event

    async def answer(self, call: Call) -> Sequence[Event]:
        """Ask for a whole answer, and say all that it says."""
        await self._authorize(call.deadline)
        return await super().answer(call)

    async def count(self, call: Call) -> int:
        """The tokens of the call's prompt, as the model's publisher counts them."""
        publisher, model = publisher_of(call.model)
        await self._authorize(call.deadline)
        if publisher == "anthropic":
            native = call.dialect == anthropic_messages.NAME
            body = self._own(call) if native else count_request(call.prompt, model)
            body = {"anthropic_version": _CLAUDE_VERSION, **body, "model": model}
            path = self._path(publisher, "count-tokens", "rawPredict")
        else:
            said = gemini.request(call.prompt, model)
            body = {name: value for name, value in said.items() if name in _COUNTED}
            path = self._path(publisher, model, "countTokens")
        ask = Ask(path=path, body=_encode(body), headers=self._credential())
        answer = await self.fetch(ask, call)
        return claude.read_count(answer) if publisher == "anthropic" else gemini_answer.count_of(decode(answer))

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors of texts."""
        publisher, model = publisher_of(call.model)
        if publisher != "google":
            raise Unsupported("Anthropic's models make no embeddings", field="model")
        await self._authorize(call.deadline)
        batches = call.batches(vertex_embeddings.batch_limit(model))
        return joined([await self._embed(batch, model) for batch in batches])

    async def _embed(self, call: EmbedCall, model: str) -> Embedded:
        if vertex_embeddings.predicts(model):
            verb, body = "predict", vertex_embeddings.predict_request(call)
        else:
            verb, body = "embedContent", vertex_embeddings.embed_request(call)
        ask = Ask(path=self._path("google", model, verb), body=_encode(body), headers=self._credential())
        return vertex_embeddings.read(decode(await self.fetch(ask, call)), len(call.inputs))

    async def _authorize(self, deadline: float) -> None:
        if self._tokens is not None:
            self._token = await self._tokens.get(deadline)

    def _credential(self) -> tuple[tuple[str, str], ...]:
        if self._token or not self.options.api_key:
            return _http.bearer(self._token)
        return (("x-goog-api-key", self.options.api_key),)

    def _path(self, publisher: str, model: str, verb: str) -> str:
        """No model's name can leave its place."""
        return f"{self._publishers}/{publisher}/models/{quote(model, safe='@')}:{verb}"

    def _messages(self, call: Call, model: str) -> dict[str, Any]:
        """The body for a Claude model: the model's name stands in the path, and a version in the body."""
        if call.dialect == anthropic_messages.NAME:
            body = {**self._own(call), "stream": call.stream}
            if call.bounded:
                body["max_tokens"] = call.max_tokens
        else:
            body = request(call.prompt, model, stream=call.stream, max_tokens=self.options.max_tokens)
        return {"anthropic_version": _CLAUDE_VERSION} | {name: said for name, said in body.items() if name != "model"}

    def _own(self, call: Call) -> dict[str, Any]:
        """The fields of a caller who speaks Claude's dialect, with the operator's system prompt."""
        return call.fields if call.system is None else with_system(call.fields, call.system)


def publisher_of(model: str) -> tuple[str, str]:
    """Who made the model, and its bare name: of `anthropic/claude-opus-4-5`, `claude-opus-4-5` or `gemini-2.5-pro`.

    Raises Unsupported for another publisher than Google and Anthropic.
    """
    publisher, slash, name = model.rpartition("/")
    if not slash:
        return ("anthropic" if model.startswith("claude") else "google"), model
    if publisher not in {"google", "anthropic"}:
        raise Unsupported(f"Vertex AI is asked for models of Google and Anthropic, not of {publisher}", field="model")
    return publisher, name


def connect(options: Options, wire: Wire) -> Provider:
    """The provider that these settings describe."""
    return Vertex(options, wire)
