"""OpenAI's embeddings, both sides: the caller's request and reply, and those of an upstream that speaks the dialect.

https://platform.openai.com/docs/api-reference/embeddings. An input is a text or the ids of its tokens; a vector is
written as numbers, or as the base64 of little-endian float32.
"""

from __future__ import annotations

import binascii
import struct
from typing import Any

import msgspec

from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.embedding import EmbedCall, Embedded, Purpose
from headgate.core.entry import Entry
from headgate.core.events import Usage
from headgate.core.faults import InvalidField, UpstreamBroken
from headgate.dialects.errors import fault_in_band
from headgate.dialects.strict import check_count, check_text

NAME = "openai-embeddings"
MOST_INPUTS = 2048

_MOST_TOKENS = 2**31
_MODELLED = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_ANSWERED = frozenset({"object", "data", "model", "usage"})
_encode = msgspec.json.Encoder().encode
# `input_type` is not OpenAI's, but every vendor that tells queries from documents calls it so.
_PURPOSES: dict[str, Purpose] = {
    "query": "query",
    "search_query": "query",
    "document": "document",
    "passage": "document",
    "search_document": "document",
}


def envelope(fields: dict[str, Any], body: bytes) -> Call:
    """What the gate wants to know of a decoded body: a call that asks for no words. Raises InvalidField."""
    check_text("model", fields.get("model"))
    return Call(
        model=fields.get("model") or "", understand=_texts, dialect=NAME, _fields=fields, body=body, max_tokens=0
    )


def _texts(fields: dict[str, Any]) -> Prompt:
    texts = [item for item in _inputs(fields.get("input")) if isinstance(item, str)]
    return Prompt(messages=tuple(Message("user", (TextPart(text),)) for text in texts))


def parse(fields: dict[str, Any]) -> EmbedCall:
    """The call that a decoded body asks for. Raises InvalidField."""
    check_text("model", fields.get("model"))
    check_text("user", fields.get("user"))
    check_text("encoding_format", fields.get("encoding_format"))
    check_count("dimensions", fields.get("dimensions"), 1, 100_000)
    if fields.get("encoding_format") not in {None, "float", "base64"}:
        raise InvalidField("encoding_format must be float or base64", field="encoding_format")
    kind = fields.get("input_type")
    return EmbedCall(
        model=fields.get("model") or "",
        inputs=_inputs(fields.get("input")),
        dimensions=fields.get("dimensions"),
        purpose=_PURPOSES.get(kind, "") if isinstance(kind, str) else "",
        user=fields.get("user") or "",
        extra={name: value for name, value in fields.items() if name not in _MODELLED},
    )


def _inputs(value: Any) -> tuple[str | tuple[int, ...], ...]:
    """What is to be embedded: a text, several, the token ids of one, or those of several."""
    if isinstance(value, str):
        return (value,)
    if type(value) is not list or not value:
        raise InvalidField("input is required and must be a string or an array that is not empty", field="input")
    if _is_token(value[0]):
        return (_tokens("input", value),)
    if len(value) > MOST_INPUTS:
        raise InvalidField(f"input must have at most {MOST_INPUTS} entries", field="input")
    return tuple(item if isinstance(item, str) else _tokens(f"input[{at}]", item) for at, item in enumerate(value))


def _tokens(where: str, value: Any) -> tuple[int, ...]:
    if type(value) is not list or not value or not all(_is_token(item) for item in value):
        raise InvalidField(f"{where} must be a string or an array of token ids", field=where)
    return tuple(value)


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST_TOKENS


def whole(fields: dict[str, Any], embedded: Embedded, entry: Entry) -> bytes:
    """The reply to a checked body, in the encoding it asks for; the usage is what the ledger has."""
    base64 = fields.get("encoding_format") == "base64"
    told = (embedded.usage and embedded.usage.raw) or {}
    return _encode(
        {
            **embedded.extra,
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": packed(vector) if base64 else vector}
                for index, vector in enumerate(embedded.vectors)
            ],
            "model": embedded.model or fields.get("model") or entry.target,
            "usage": {
                **(told if "prompt_tokens" in told else {}),
                "prompt_tokens": entry.tokens_in,
                "total_tokens": entry.tokens_in,
                "cost_usd": entry.cost_usd,
            },
        }
    )


def packed(vector: list[float]) -> str:
    """A vector as base64. Raises UpstreamBroken for a number that float32 cannot hold."""
    try:
        return binascii.b2a_base64(struct.pack(f"<{len(vector)}f", *vector), newline=False).decode()
    except OverflowError:
        raise UpstreamBroken("the upstream sent an embedding with a number out of range") from None


def request(call: EmbedCall) -> dict[str, Any]:
    """The body for an upstream of the dialect; numbers are asked for, which every one of them knows."""
    body = {**call.extra, "model": call.model, "input": list(call.inputs), "encoding_format": "float"}
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    if call.user:
        body["user"] = call.user
    return body


def read(data: dict[str, Any], count: int) -> Embedded:
    """The `count` vectors of an answer, in the order of the inputs. Raises the fault it reports, or UpstreamBroken."""
    if data.get("error") or data.get("object") == "error":
        raise fault_in_band(data)
    try:
        found = {item.get("index", at): _vector(item["embedding"]) for at, item in enumerate(data["data"])}
        vectors = [found.pop(index) for index in range(count)]
        if found:
            raise ValueError
        tokens = (data.get("usage") or {}).get("prompt_tokens")
        model = data.get("model")
    except (AttributeError, LookupError, TypeError, ValueError, struct.error):
        raise UpstreamBroken("the upstream sent embeddings of an unknown shape, or not all of them") from None
    usage = Usage(tokens, 0, raw=data["usage"]) if type(tokens) is int else None
    extra = {name: value for name, value in data.items() if name not in _ANSWERED}
    return Embedded(vectors, usage, model if isinstance(model, str) else "", extra)


def _vector(value: Any) -> list[float]:
    if isinstance(value, str):
        data = binascii.a2b_base64(value, strict_mode=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    return numbers(value)


def numbers(value: Any) -> list[float]:
    """A vector as an upstream sends it. Raises TypeError or ValueError for anything else."""
    if type(value) is not list or not value:
        raise TypeError
    return [float(number) for number in value]
