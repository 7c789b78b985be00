"""Newline-delimited JSON (https://github.com/ndjson/ndjson-spec): one object a line, LF or CRLF.

Bytes in, any split. Time is linear in the bytes, and a line longer than `limit` bytes is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headgate.core.events import Event
from headgate.core.faults import UpstreamBroken
from headgate.dialects.sse import LINE_LIMIT, decode

_BOM = b"\xef\xbb\xbf"


class Lines:
    """Cuts a byte stream into lines: `feed` returns those completed that are not blank."""

    __slots__ = ("_line", "_size", "_start", "limit")

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.limit = limit
        self._line: list[bytes] = []
        self._size = 0
        self._start = True

    @property
    def pending(self) -> bool:
        """Whether a line has begun that no line break has ended."""
        return bool(self._line)

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes. Raises UpstreamBroken past the limit."""
        out: list[bytes] = []
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._grow(line)
            whole = b"".join(self._line)
            self._line.clear()
            self._size = 0
            if self._start:
                self._start = False
                whole = whole.removeprefix(_BOM)
            if whole.strip():
                out.append(whole)
        if rest:
            self._grow(rest)
        return out

    def _grow(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self.limit:
            raise UpstreamBroken(f"the upstream sent a line of more than {self.limit} bytes")
        self._line.append(piece)


class NdjsonReader:
    """Base of the Readers whose upstream streams a JSON object a line. The last line may lack its line break."""

    finished = False

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Events of the lines that these bytes complete."""
        for line in self._lines.feed(chunk):
            yield from self.event(decode(line))

    def close(self) -> Iterable[Event]:
        """The last events; raises UpstreamBroken if the answer was not finished."""
        if self._lines.pending:
            yield from self.feed(b"\n")
        if not self.finished:
            raise UpstreamBroken("the upstream ended its answer in the middle")

    def event(self, data: dict[str, Any]) -> Iterable[Event]:
        """Say what one object means, and set `finished` when it ends the answer."""
        raise NotImplementedError
