"""What no client should send as a body, by name."""

from __future__ import annotations


def nested(depth: int) -> bytes:
    """An object with arrays this deep in it."""
    return b'{"model":"parrot","x":' + b"[" * depth + b"]" * depth + b"}"


NOT_JSON = {
    "empty": b"",
    "blank": b" \n",
    "cut": b'{"message": "hi"',
    "words": b"hello",
    "two": b'{"message": "hi"} {"message": "hi"}',
    "array": b"[]",
    "array of objects": b'[{"message": "hi"}]',
    "null": b"null",
    "number": b"5",
    "string": b'"hi"',
    "NaN": b'{"message": "hi", "temperature": NaN}',
    "Infinity": b'{"message": "hi", "temperature": -Infinity}',
    "1e999": b'{"message": "hi", "temperature": 1e999}',
    "trailing comma": b'{"message": "hi",}',
    "comment": b'{"message": "hi"} // hm',
    "single quotes": b"{'message': 'hi'}",
    "BOM": b'\xef\xbb\xbf{"message": "hi"}',
    "UTF-16": '{"message": "hi"}'.encode("utf-16"),
    "not UTF-8": b'{"message": "\xff\xfe"}',
    "cut UTF-8": b'{"message": "\xe2\x82"}',
    "UTF-8 surrogate": b'{"message": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"message": "\xc0\xaf"}',
    "lone surrogate": b'{"message": "\\ud800"}',
    "low surrogate": b'{"message": "a\\udc00b"}',
    "swapped surrogates": b'{"message": "\\udc00\\ud800"}',
    "surrogate in a key": b'{"\\ud800": 1, "message": "hi"}',
    "control character": b'{"message": "a\nb"}',
    "same key twice": b'{"message": "hi", "message": "ho"}',
    "same key, escaped": b'{"message": "hi", "m\\u0065ssage": "ho"}',
    "same key, spaced": b'{"message" : "hi", "message"\t: "ho"}',
    "same key, nested": b'{"message": "hi", "x": {"a": 1, "a": 2}}',
    "same key, nested in arrays": b'{"message": "hi", "x": [[{"a": 1, "b": 2, "a": 2}]]}',
    "same key, quoted colons": b'{"message": "\\":\\":", "x": {"a": 1, "a": 2}}',
    "100 deep": nested(100),
    "100,000 deep": nested(90_000),
    "100,000 open": b"[" * 100_000,
    "objects 20,000 deep": b'{"a":' * 20_000,
    "huge int": b'{"message": "hi", "max_tokens": 1' + b"0" * 400 + b"}",
    "int of 10,000 digits": b'{"message": "hi", "seed": ' + b"9" * 10_000 + b"}",
    "NUL bytes": b'\x00{"message": "hi"}',
}
