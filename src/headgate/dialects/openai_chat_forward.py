"""OpenAI's chat completions, passed on: the caller's own body for another model, fields that nobody models included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from headgate.core.call import Call, System
from headgate.core.faults import Forbidden

_BOUNDS = frozenset({"max_tokens", "max_completion_tokens"})
_NOTHING: Mapping[str, str] = {}
_encode = msgspec.json.Encoder().encode


def forward(
    call: Call, *, stream_usage: bool = True, names: Mapping[str, str] = _NOTHING, bound: str = "max_tokens"
) -> bytes:
    """The body of a call that came in this dialect, the model's name replaced; its bytes wherever that is all.

    `stream_usage` asks for the tokens at the end of a stream; `names` renames fields that the server calls otherwise;
    `bound` is what it calls the bound on its answer, where that is ours.
    """
    added: dict[str, Any] = {}
    if call.bounded:
        added[bound] = call.max_tokens
    if call.stream and stream_usage and not call.usage_wanted:
        added["stream_options"] = {**(call.fields.get("stream_options") or {}), "include_usage": True}
    if not added and not names and call.system is None and (body := renamed(call)):
        return body
    said = call.fields.keys()
    replaced = (call.bounded and not said.isdisjoint(_BOUNDS)) or not said.isdisjoint(added)
    if call.system is None and not replaced and said.isdisjoint(names):
        body = renamed(call)
        if body:
            return _encode(added)[:-1] + b"," + body.lstrip()[1:] if added else body
    fields = {names.get(name, name): value for name, value in call.fields.items()}
    if call.bounded:
        fields = {name: value for name, value in fields.items() if name not in _BOUNDS}
    fields |= {"model": call.model, **added}
    if call.system is not None:
        fields["messages"] = with_system(fields["messages"], call.system)
    return _encode(fields)


def renamed(call: Call) -> bytes:
    """The caller's bytes with the target's model in the place of the one asked for; empty where that is not plain.

    It is where the body says `"model"` once and escapes nothing by number, so that no other key can be meant.
    """
    body, asked = call.body, call.asked
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
