"""Amazon's event stream encoding (`application/vnd.amazon.eventstream`): binary messages with checked sums.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html has the layout; it is the same for every
service. A message is a prelude (its length, its headers' length, their CRC-32), headers, a payload, and the CRC-32 of
all that. Bytes in, any split; a message of more than `limit` bytes, or one whose sums are wrong, is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

from msgspec import Struct

from headgate.core.faults import UpstreamBroken
from headgate.dialects.sse import LINE_LIMIT

_PRELUDE = struct.Struct(">III")
_SUM = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_STRING = 7
_BYTES = 6
# The lengths of the values that have a fixed one, by type: true, false, byte, short, integer, long, timestamp, UUID.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Message(Struct, frozen=True):
    """One message; of its headers those that are strings."""

    headers: dict[str, str]
    payload: bytes


class Messages:
    """Cuts a byte stream into messages: `feed` gives those completed."""

    __slots__ = ("_buffer", "limit")

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self.limit = limit
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether a message has begun that is not complete."""
        return bool(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """Take the next bytes. Raises UpstreamBroken, after the messages before, for what is no message."""
        self._buffer += chunk
        at = 0
        try:
            while len(self._buffer) - at >= _PRELUDE.size:
                end = at + self._length(at)
                if len(self._buffer) < end:
                    break
                message = self._message(bytes(self._buffer[at:end]))
                at = end
                yield message
        finally:
            del self._buffer[:at]

    def _length(self, at: int) -> int:
        length, headers, told = _PRELUDE.unpack_from(self._buffer, at)
        if crc32(self._buffer[at : at + 8]) != told:
            raise UpstreamBroken("the upstream sent an event whose length is damaged")
        if length > self.limit:
            raise UpstreamBroken(f"the upstream sent an event of more than {self.limit} bytes")
        if length < _PRELUDE.size + headers + _SUM.size:
            raise UpstreamBroken("the upstream sent an event that is shorter than its parts")
        return int(length)

    def _message(self, data: bytes) -> Message:
        if crc32(data[: -_SUM.size]) != _SUM.unpack_from(data, len(data) - _SUM.size)[0]:
            raise UpstreamBroken("the upstream sent an event that is damaged")
        start = _PRELUDE.size + _PRELUDE.unpack_from(data)[1]
        return Message(_headers(data[_PRELUDE.size : start]), data[start : -_SUM.size])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            end = at + 1 + data[at]
            name, kind = data[at + 1 : end].decode(), data[end]
            at = end + 1
            if kind in (_BYTES, _STRING):
                length = _LENGTH.unpack_from(data, at)[0]
                at += _LENGTH.size
            else:
                length = _FIXED[kind]
            value = data[at : at + length]
            at += length
            if kind == _STRING:
                found[name] = value.decode()
    except (IndexError, KeyError, UnicodeDecodeError, struct.error):
        at = -1
    if at != len(data):
        raise UpstreamBroken("the upstream sent an event whose headers cannot be read")
    return found
