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

_decode = msgspec.json.Decoder().decode


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
    keys = _count_keys(value, DEPTH)
    # In the bytes every key is followed by a colon. Equal counts prove that no key came twice; unequal ones may
    # also mean a quoted colon inside a text, so only then is the slow look worth it.
    if body.count(b'":') != keys or b" :" in body or b"\t:" in body or b"\n:" in body or b"\r:" in body:
        json.loads(body, object_pairs_hook=_unique)
    return value


def _reason(body: bytes, error: msgspec.DecodeError) -> str:
    if not body.strip():
        return "it is empty"
    if b"\\ud" in body.lower() and "truncated" in str(error):
        return "it has an unpaired surrogate escape or is cut off"
    return str(error).removeprefix("JSON is malformed: ")


def _count_keys(value: Any, levels: int) -> int:
    if levels == 0:
        raise InvalidJson(f"the body is nested more than {DEPTH} levels deep")
    if type(value) is dict:
        count = len(value)
        items = value.values()
    else:
        count = 0
        items = value
    for item in items:
        kind = type(item)
        if kind is dict or kind is list:
            count += _count_keys(item, levels - 1)
        elif kind is int and not -(2**63) <= item < 2**64:
            raise InvalidJson("the body has a whole number that does not fit 64 bits")
    return count


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
