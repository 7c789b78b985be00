"""Anthropic's Messages API, and the servers that speak it.

A caller who speaks the same dialect is forwarded: its bytes, with the model's name replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from headgate.core.call import Call, System
from headgate.core.faults import Forbidden
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects import anthropic_messages
from headgate.dialects.anthropic_messages_reader import AnswerReader, StreamReader, Watcher, WholeWatcher, read_count
from headgate.dialects.anthropic_messages_request import MAX_TOKENS, count_request, request
from headgate.providers import _http

_VERSION = "2023-06-01"
_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_encode = msgspec.json.Encoder().encode


class Options(_http.Options):
    """`max_tokens` bounds the answer to a caller who set no bound, in tokens: the API wants one."""

    env: ClassVar[Mapping[str, str]] = {"ANTHROPIC_API_KEY": "api_key"}
    default_model: ClassVar[str] = "claude-sonnet-5-5"

    base_url: str = "https://api.anthropic.com/v1"
    max_tokens: int = MAX_TOKENS


class Anthropic(_http.HttpProvider):
    """Messages at Anthropic, or at a server of the dialect."""

    dialect = anthropic_messages.NAME

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._max_tokens = options.max_tokens
        self._headers = {"anthropic-version": _VERSION}
        if options.api_key:
            self._headers["x-api-key"] = options.api_key

    def ask(self, call: Call) -> Ask:
        """The caller's own bytes where it speaks the dialect, else a request made from the prompt."""
        if call.dialect == self.dialect:
            return self._ask("/messages", _forward(call), call)
        body = request(call.prompt, call.model, stream=call.stream, max_tokens=self._max_tokens)
        return self._ask("/messages", _encode(body), call)

    def reader(self, call: Call) -> Reader:
        """A watcher that passes the answer on where the caller speaks the dialect, else a full reader."""
        if call.dialect == self.dialect:
            return Watcher() if call.stream else WholeWatcher()
        return StreamReader() if call.stream else AnswerReader()

    async def count(self, call: Call) -> int:
        """The tokens of the call's prompt, as the upstream counts them. Raises Faults."""
        same = call.dialect == self.dialect
        body = _forward(call) if same else _encode(count_request(call.prompt, call.model))
        ask = self._ask("/messages/count_tokens", body, call)
        return read_count(await self.fetch(ask, call))

    def _ask(self, path: str, body: bytes, call: Call) -> Ask:
        headers = self._headers if call.dialect != self.dialect else {**self._headers, **call.headers}
        return Ask(path=path, body=body, headers=tuple(headers.items()), stream=call.stream)


def _forward(call: Call) -> bytes:
    """The caller's body for the upstream's model. Only a body whose one "model" is plain to see is changed in place."""
    same = call.system is None and not call.bounded and call.stream is (call.fields.get("stream") or False)
    if same and call.body.count(b'"model"') == 1 and b"\\u" not in call.body:
        return _MODEL.sub(lambda _: b'"model":' + _encode(call.model), call.body, count=1)
    fields = {**call.fields, "model": call.model}
    if call.stream or "stream" in fields:  # where tokens are counted there is no such field
        fields["stream"] = call.stream
    if call.bounded:
        fields["max_tokens"] = call.max_tokens
    return _encode(fields if call.system is None else with_system(fields, call.system))


def with_system(fields: dict[str, Any], system: System) -> dict[str, Any]:
    """The caller's fields with the operator's system prompt in front; under `replace` the caller's own wins.

    Raises Forbidden for one of the caller's where the policy is `forbid`.
    """
    own = fields.get("system")
    speaks = bool(own) or any(message["role"] == "system" for message in fields["messages"])
    if speaks and system.policy == "forbid":
        raise Forbidden("your tier may not send a system prompt", field="system")
    if not system.text or (speaks and system.policy == "replace"):
        return fields
    blocks = [{"type": "text", "text": own}] if isinstance(own, str) and own else own or []
    return {**fields, "system": [{"type": "text", "text": system.text}, *blocks] if blocks else system.text}


def connect(options: Options, wire: Wire) -> Provider:
    """The provider that these settings describe."""
    return Anthropic(options, wire)
