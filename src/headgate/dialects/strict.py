"""JSON as callers must send it: UTF-8, one object at most 64 deep, no duplicate keys, no NaN, no lone surrogates.

Whole numbers fit 64 bits, so that what is taken apart here can be put together again.

Lenient parsers disagree about such bodies, and what passes here in one reading must not reach a model in another.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headgate.core.faults import InvalidField, InvalidJson

DEPTH = 64

_LOOKS = bytes.maketrans(b"123456789[", b"000000000{")
_LONG = b"0" * 19
"""What every number of 19 digits becomes; to look for it so costs a tenth of a pattern."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def read_object(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises InvalidJson, saying what is wrong with it."""
    try:
        value = _decode(body)
    except msgspec.DecodeError as error:
        raise InvalidJson(f"the body is not valid JSON: {_reason(body, error)}") from None
    except UnicodeDecodeError:
        raise InvalidJson("the body is not valid UTF-8") from None
    except RecursionError:
        raise InvalidJson(f"the body is nested more than {DEPTH} levels deep") from None
    if type(value) is not dict:
        raise InvalidJson("the body must be a JSON object")
    looks = body.translate(_LOOKS)
    if looks.count(b"{") > DEPTH or looks.find(_LONG) >= 0:
        _check(value, DEPTH)
    written = _encode(value)
    if written == body:  # as most clients write it
        return value
    # Every key is followed by a colon. As many colons in the bytes as in what was read from them, none of them written
    # by number, prove that no key came twice: what is lost of a doubled key has at least one.
    if body.count(b":") != written.count(b":") or b"\\u003" in body:
        json.loads(body, object_pairs_hook=_unique)
    return value


def _reason(body: bytes, error: msgspec.DecodeError) -> str:
    if not body.strip():
        return "it is empty"
    if b"\\ud" in body.lower() and "truncated" in str(error):
        return "it has an unpaired surrogate escape or is cut off"
    return str(error).removeprefix("JSON is malformed: ")


def _check(value: Any, levels: int) -> None:
    """Refuse what is too deep, and whole numbers that others would read as something else."""
    if levels == 0:
        raise InvalidJson(f"the body is nested more than {DEPTH} levels deep")
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is dict or kind is list:
            _check(item, levels - 1)
        elif kind is int and not -(2**63) <= item < 2**64:
            raise InvalidJson("the body has a whole number that does not fit 64 bits")


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidJson(f"the body has the key {key[:100]!r} twice in one object")
        seen.add(key)


def want_text(fields: dict[str, Any], name: str) -> str:
    """A required string field."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidField(f"{name} is required and must be a string", field=name)
    return value


def check_flag(name: str, value: Any) -> None:
    """Refuse what is not a boolean (or null)."""
    if value is not None and type(value) is not bool:
        raise InvalidField(f"{name} must be true or false", field=name)


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Refuse what is not a number between the bounds (or null)."""
    if value is not None and (type(value) not in {int, float} or not low <= value <= high):
        raise InvalidField(f"{name} must be a number from {low:g} to {high:g}", field=name)


def check_count(name: str, value: Any, low: int, high: int) -> None:
    """Refuse what is not a whole number between the bounds (or null)."""
    if value is not None and (type(value) is not int or not low <= value <= high):
        raise InvalidField(f"{name} must be a whole number from {low} to {high}", field=name)


def check_object(name: str, value: Any) -> None:
    """Refuse what is not an object (or null)."""
    if value is not None and type(value) is not dict:
        raise InvalidField(f"{name} must be an object", field=name)


def check_objects(name: str, value: Any) -> None:
    """Refuse what is not an array of objects (or null)."""
    if value is not None and (type(value) is not list or any(type(item) is not dict for item in value)):
        raise InvalidField(f"{name} must be an array of objects", field=name)


def check_text(name: str, value: Any) -> None:
    """Refuse what is not a string (or null)."""
    if value is not None and type(value) is not str:
        raise InvalidField(f"{name} must be a string", field=name)
