"""OpenAI, and everything that speaks its chat dialect: other vendors are rows of `presets.toml`.

A caller who speaks the same dialect is forwarded: its bytes, with the model's name replaced. Callers of the Responses
API are forwarded too where the server has it, else they are served by chat completions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from headgate.core.call import Call, System
from headgate.core.faults import Forbidden
from headgate.core.seams import Ask, Provider, Reader, Wire
from headgate.dialects import openai_chat, openai_responses, openai_responses_reader
from headgate.dialects.openai_chat_reader import AnswerReader, StreamReader, Watcher, WholeWatcher
from headgate.dialects.openai_chat_writer import renamed, request
from headgate.dialects.openai_responses_request import forward
from headgate.providers import _http

_USAGE = b'{"stream_options":{"include_usage":true},'
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
        said = {
            "authorization": options.api_key and f"Bearer {options.api_key}",
            "openai-organization": options.organization,
            "openai-project": options.project,
        }
        self._headers = tuple((name, value) for name, value in said.items() if value)

    def ask(self, call: Call) -> Ask:
        """The caller's own bytes where it speaks the dialect, else a request made from the prompt."""
        if self._speaks_responses(call):
            return Ask(path="/responses", body=forward(call), headers=self._headers, stream=call.stream)
        body = self._forward(call) if call.dialect == self.dialect else self._translate(call)
        return Ask(path="/chat/completions", body=body, headers=self._headers, stream=call.stream)

    def reader(self, call: Call) -> Reader:
        """A watcher that passes the answer on where the caller speaks the dialect, else a full reader."""
        if self._speaks_responses(call):
            watcher = openai_responses_reader.Watcher if call.stream else openai_responses_reader.WholeWatcher
            return watcher()
        if call.dialect == self.dialect:
            return Watcher() if call.stream else WholeWatcher()
        return StreamReader() if call.stream else AnswerReader()

    def _speaks_responses(self, call: Call) -> bool:
        return self._responses and call.dialect == openai_responses.NAME

    def _translate(self, call: Call) -> bytes:
        body = request(call.prompt, call.model, stream=call.stream)
        if "max_completion_tokens" in body:
            body[self._max_tokens] = body.pop("max_completion_tokens")
        if not self._stream_usage:
            body.pop("stream_options", None)
        return _encode(body)

    def _forward(self, call: Call) -> bytes:
        add_usage = call.stream and self._stream_usage and not call.usage_wanted
        if call.system is None and not (add_usage and "stream_options" in call.fields):
            body = renamed(call)
            if body:
                return _USAGE + body.lstrip()[1:] if add_usage else body
        fields = {**call.fields, "model": call.model}
        if call.system is not None:
            fields["messages"] = with_system(fields["messages"], call.system)
        if add_usage:
            fields["stream_options"] = {**(fields.get("stream_options") or {}), "include_usage": True}
        return _encode(fields)


def with_system(messages: list[dict[str, Any]], system: System) -> list[dict[str, Any]]:
    """The caller's messages with the operator's system prompt in front; under `replace` the caller's own wins."""
    own = any(message["role"] in {"system", "developer"} for message in messages)
    if own and system.policy == "forbid":
        raise Forbidden("your tier may not send a system prompt", field="messages")
    if not system.text or (own and system.policy == "replace"):
        return messages
    return [{"role": "system", "content": system.text}, *messages]


def connect(options: Options, wire: Wire) -> Provider:
    """The provider that these settings describe."""
    return OpenAI(options, wire)
