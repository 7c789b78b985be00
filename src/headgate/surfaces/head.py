"""`Head`: the head of a request, as the same client sends it again and again by one connection.

What a parser found in the very same bytes before need not be found once more. Only the length of the body may differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from headgate.surfaces.lines import Headers

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_END = b"\r\n\r\n"
_MOST_DIGITS = 6


class Head(Struct, frozen=True):
    """A head that was parsed, and what was found in it, but for Content-Length; `handler` is whose requests it begins.

    `known` holds the bytes without the digits of the body's length, which begin at `begin`; `rest` bytes follow them.
    It is a set because looking something up in one tells by no timing how much of a credential was right.
    """

    url: bytes
    headers: Headers
    named: dict[bytes, bytes]
    handler: Callable[..., Any]
    known: frozenset[bytes]
    begin: int
    rest: int

    def body_in(self, data: bytes) -> tuple[int, bytes]:
        """The length of the body, and what came behind the head; -1 if the data do not begin with this head."""
        begin = self.begin
        end = data.find(b"\r\n", begin)
        start = end + self.rest
        digits = data[begin:end]
        if data[:begin] + data[end:start] in self.known and digits.isdigit() and len(digits) <= _MOST_DIGITS:
            return int(digits), data[start:]
        return -1, b""


def head_in(data: bytes, url: bytes, headers: Headers, handler: Callable[..., Any]) -> Head | None:
    """The head that the data begin with, which was parsed as these headers; None if it is not plainly all of them.

    Every line has to end in CRLF, and to be a header: else the parser may have seen the end of the head elsewhere.
    """
    words, end, _ = data.partition(_END)
    words += end
    length = _LENGTH.search(words)
    if not end or length is None or not words.count(b"\n") == words.count(b"\r\n") == len(headers) + 2:
        return None
    begin, stop = length.span(1)
    known = frozenset({words[:begin] + words[stop:]})
    headers = [(name, value) for name, value in headers if name != b"content-length"]
    return Head(url, headers, dict(headers), handler, known, begin, len(words) - stop)
