"""OpenAI's chat completions, passed on: the caller's own body for another model, fields that nobody models included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from headgate.core.call import Call, System
from headgate.core.faults import Forbidden

_USAGE = b'{"stream_options":{"include_usage":true},'
_NOTHING: Mapping[str, str] = {}
_encode = msgspec.json.Encoder().encode


def forward(call: Call, *, stream_usage: bool = True, names: Mapping[str, str] = _NOTHING) -> bytes:
    """The body of a call that came in this dialect, the model's name replaced; its bytes wherever that is all.

    `stream_usage` asks for the tokens at the end of a stream; `names` renames fields that the server calls otherwise.
    """
    add_usage = call.stream and stream_usage and not call.usage_wanted
    plain = call.system is None and (not names or call.fields.keys().isdisjoint(names))
    if plain and not (add_usage and "stream_options" in call.fields):
        body = renamed(call)
        if body:
            return _USAGE + body.lstrip()[1:] if add_usage else body
    fields = {names.get(name, name): value for name, value in call.fields.items()} | {"model": call.model}
    if call.system is not None:
        fields["messages"] = with_system(fields["messages"], call.system)
    if add_usage:
        fields["stream_options"] = {**(fields.get("stream_options") or {}), "include_usage": True}
    return _encode(fields)


def renamed(call: Call) -> bytes:
    """The caller's bytes with the target's model in the place of the one asked for; empty where that is not plain.

    It is where the body says `"model"` once and escapes nothing by number, so that no other key can be meant.
    """
    body, asked = call.body, call.fields.get("model")
    if asked == call.model:
        return body
    at = body.find(b'"model"')
    if asked is None or at < 0 or body.find(b'"model"', at + 7) >= 0 or b"\\u" in body:
        return b""
    written = _encode(asked)
    begin = body.find(written, at + 7)
    if begin < 0 or body[at + 7 : begin].strip() != b":":
        return b""
    return b"%b%b%b" % (body[:begin], _encode(call.model), body[begin + len(written) :])


def with_system(messages: list[dict[str, Any]], system: System) -> list[dict[str, Any]]:
    """The caller's messages with the operator's system prompt in front; under `replace` the caller's own wins."""
    own = any(message["role"] in {"system", "developer"} for message in messages)
    if own and system.policy == "forbid":
        raise Forbidden("your tier may not send a system prompt", field="messages")
    if not system.text or (own and system.policy == "replace"):
        return messages
    return [{"role": "system", "content": system.text}, *messages]
