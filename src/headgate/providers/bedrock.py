"""Amazon Bedrock: models of many makers behind one API, Converse, in an AWS account of one's own.

https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html. Built from that documentation, and
tested against recorded-style answers and local servers, not the live cloud.

Only a key made for Bedrock (AWS_BEARER_TOKEN_BEDROCK) is found in the environment: AWS_ACCESS_KEY_ID is set on many
machines for other purposes, and is configured as `access_key_id = "env:AWS_ACCESS_KEY_ID"`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import msgspec
from pydantic import Field, model_validator

from headgate.core.call import Call
from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.faults import Fault
from headgate.core.seams import Answered, Ask, Provider, Reader, Wire
from headgate.dialects import bedrock_embeddings
from headgate.dialects.bedrock_converse import count_request, request
from headgate.dialects.bedrock_converse_answer import AnswerReader, StreamReader, count_of, status_of
from headgate.dialects.sigv4 import Keys, Scope, sign
from headgate.dialects.sse import decode
from headgate.providers import _http

_REGION = "us-east-1"
_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """`region` is where the models are asked. `api_key` is a key of Bedrock's own, sent as it is.

    Or `access_key_id` and `secret_access_key`, of AWS's own, sign every request; `session_token` belongs to temporary
    ones, which are not renewed (a `file:` is read again when it changes).
    """

    env: ClassVar[Mapping[str, str]] = {"AWS_BEARER_TOKEN_BEDROCK": "api_key"}
    default_model: ClassVar[str] = "amazon.nova-lite-v1:0"

    region: str = Field(_REGION, pattern=r"^[a-z0-9-]+$")
    access_key_id: str = Field("", repr=False)
    secret_access_key: str = Field("", repr=False)
    session_token: str = Field("", repr=False)

    @model_validator(mode="before")
    @classmethod
    def _located(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"base_url": f"https://bedrock-runtime.{values.get('region', _REGION)}.amazonaws.com", **values}

    @model_validator(mode="after")
    def _paired(self) -> Options:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key belong together")
        return self

    @classmethod
    def found(cls, environ: Mapping[str, str]) -> dict[str, str]:
        """The settings that the well-known variables make: a key, and the region if there is a key."""
        settings = super().found(environ)
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        return {**settings, "region": region} if settings and region else settings


class Bedrock(_http.HttpProvider):
    """Converses with models, counts their tokens, and embeds texts with Amazon's and Cohere's."""

    dialect: ClassVar[str] = "bedrock"

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._bearer = _http.bearer(options.api_key)
        self._keys = Keys(options.access_key_id, options.secret_access_key, options.session_token)
        self._scope = Scope(options.region, "bedrock")
        url = urlsplit(options.base_url)
        self._host, self._prefix = url.netloc, url.path.rstrip("/")

    def ask(self, call: Call) -> Ask:
        """The request, signed now. Raises Unsupported, naming the feature, for what Bedrock or the model cannot do."""
        verb = "converse-stream" if call.stream else "converse"
        return self._ask(call.model, verb, request(call.prompt, call.model), stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A Reader for the answer, streamed or whole."""
        return StreamReader() if call.stream else AnswerReader()

    def fault(self, answered: Answered) -> Fault:
        """What the exception means that the answer names in a header."""
        status = status_of(answered.headers.get("x-amzn-errortype", ""), answered.body, answered.status)
        return super().fault(Answered(status, answered.headers, answered.body))

    async def count(self, call: Call) -> int:
        """The tokens of the call's prompt, as the model counts them; not every model can."""
        ask = self._ask(call.model, "count-tokens", count_request(call.prompt, call.model))
        return count_of(decode(await self.fetch(ask, call)))

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors of texts."""
        return joined([await self._embed(batch) for batch in call.batches(bedrock_embeddings.batch_limit(call.model))])

    async def _embed(self, call: EmbedCall) -> Embedded:
        ask = self._ask(call.model, "invoke", bedrock_embeddings.request(call))
        return bedrock_embeddings.read(decode(await self.fetch(ask, call)), len(call.inputs))

    def _ask(self, model: str, verb: str, said: dict[str, Any], *, stream: bool = False) -> Ask:
        path, body = f"/model/{quote(model, safe='')}/{verb}", _encode(said)
        headers = {"host": self._host, "content-type": "application/json"}
        if self._keys.access_key_id and not self._bearer:
            headers = sign(self._keys, self._scope, "POST", self._prefix + path, headers, body, time.time())
        return Ask(path=path, body=body, headers=(*headers.items(), *self._bearer), stream=stream)


def connect(options: Options, wire: Wire) -> Provider:
    """The provider that these settings describe."""
    return Bedrock(options, wire)
