"""Server-Sent Events, by the WHATWG rules (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Bytes in, any split; CR, LF and CRLF; a BOM; comments; `data:` with or without a space; several data lines.
Time is linear in the bytes, and a line or an event longer than `limit` bytes is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from headgate.core.events import Event
from headgate.core.faults import UpstreamBroken

IDLE = frozenset({b"", b"[DONE]", b"[DONE] "})
"""Data that says nothing: a sign of life, and the end mark of OpenAI's dialect, which others send too."""
LINE_LIMIT = 16 * 1024 * 1024
BODY_LIMIT = 64 * 1024 * 1024

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_CR = ord("\r")  # a number: to look for bytes in bytes, Python first has an error made of them
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_decode = msgspec.json.Decoder().decode


class Frames:
    """Cuts a byte stream into SSE events: `feed` returns those completed, as (event name, data).

    `between` says that one has just been completed, and nothing of the next is there.
    """

    __slots__ = ("_data", "_line", "_name", "_size", "_skip_lf", "_start", "between", "limit")

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.limit = limit
        self._line: list[bytes] = []
        self._size = 0
        self._name = b""
        self._data: list[bytes] = []
        self._skip_lf = False
        self._start = True
        self.between = False

    @property
    def pending(self) -> bool:
        """Whether an event has begun that no blank line has ended."""
        return bool(self._line or self._data)

    def alone(self, chunk: bytes) -> bytes | None:
        """The data of bytes that are one event of one line, as most reads are; None of others, which are to be fed."""
        if not self.between or len(chunk) > self.limit:
            return None
        line, _, rest = chunk.partition(b"\n")
        name, _, data = line.partition(b": ")
        return data if name == b"data" and rest == b"\n" and _CR not in line else None

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Take the next bytes. Raises UpstreamBroken past the limit."""
        data = self.alone(chunk)
        if data is not None:
            return [("", data)]
        out: list[tuple[str, bytes]] = []
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            if self._line:
                self._line.append(line)
                whole = b"".join(self._line)
                self._line.clear()
            else:
                whole = line
            self._end_line(whole, out)
        if rest:
            self._line.append(rest)
            self._grow(len(rest))
        self.between = not (rest or self._line or self._data or self._name or self._skip_lf)
        return out

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self.limit:
            raise UpstreamBroken(f"the upstream sent an event of more than {self.limit} bytes")

    def _end_line(self, line: bytes, out: list[tuple[str, bytes]]) -> None:
        if self._start:
            self._start = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                out.append((self._name.decode("utf-8", "replace"), b"\n".join(self._data)))
                self._data = []
            self._name = b""
            self._size = 0
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._grow(len(value))
            self._data.append(value)
        elif name == b"event":
            self._name = value


class SseReader:
    """Base of the Readers whose upstream streams Server-Sent Events with a JSON object in each.

    Bytes that follow the last blank line are read as an event too: some servers forget it.
    """

    finished = False

    def __init__(self) -> None:
        self._frames = Frames()

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Events of the frames that these bytes complete."""
        for name, data in self._frames.feed(chunk):
            yield from self.frame(name, data)

    def close(self) -> Iterable[Event]:
        """The last events; raises UpstreamBroken if the answer was not finished."""
        if self._frames.pending:
            yield from self.feed(b"\n\n")
        if not self.finished:
            raise UpstreamBroken("the upstream ended its answer in the middle")

    def frame(self, name: str, data: bytes) -> Iterable[Event]:
        """Decode one frame."""
        if data in IDLE:
            return ()
        return self.event(name, decode(data))

    def event(self, name: str, data: dict[str, Any]) -> Iterable[Event]:
        """Say what one decoded frame means, and set `finished` when it ends the answer."""
        raise NotImplementedError


class WholeReader:
    """Base of the Readers of answers that come in one piece: a JSON object."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Collect. Raises UpstreamBroken past the limit."""
        self._size += len(chunk)
        if self._size > BODY_LIMIT:
            raise UpstreamBroken(f"the upstream sent an answer of more than {BODY_LIMIT} bytes")
        self._parts.append(chunk)
        return ()

    def close(self) -> Iterable[Event]:
        """The events of the whole answer."""
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        return self.answer(decode(body))

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """Say what the answer means; raises an UpstreamFault if it is an error or not an answer."""
        raise NotImplementedError


def decode(data: bytes) -> dict[str, Any]:
    """A JSON object of an upstream; raises UpstreamBroken for anything else."""
    value = peek(_decode, data)
    if not isinstance(value, dict):
        raise UpstreamBroken("the upstream sent JSON that is not an object")
    return value


def peek(decoder: Callable[[bytes], T], data: bytes) -> T:
    """What a decoder makes of an upstream's JSON; raises UpstreamBroken for what is none.

    Half a surrogate pair is a replacement character: servers that cut texts by UTF-16 units send such, and no model is
    to kill its stream by an emoji.
    """
    try:
        return decoder(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return decoder(_ESCAPES.sub(lambda found: b"\\ufffd" if found[1] else found[0], data.removeprefix(_BOM)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamBroken("the upstream sent something that is not JSON") from None


def frame(data: bytes, name: bytes = b"") -> bytes:
    """One event of JSON text as bytes; line breaks in it, which mean nothing there, become spaces."""
    data = data.replace(b"\n", b" ")
    return b"event: %b\ndata: %b\n\n" % (name, data) if name else b"data: %b\n\n" % data
