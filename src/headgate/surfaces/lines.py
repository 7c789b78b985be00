"""Header lines: a response's headers as they are written, `name: value` and CRLF; cheaper to join than a list."""

from __future__ import annotations

Headers = list[tuple[bytes, bytes]]


def lines_of(headers: Headers) -> bytes:
    """Headers as lines."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def headers_in(lines: bytes) -> Headers:
    """Lines as headers, for those who want pairs."""
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in pairs]
