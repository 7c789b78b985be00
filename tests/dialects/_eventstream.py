"""Writes Amazon's event stream encoding, for tests of what reads it."""

import json
import struct
from zlib import crc32


def header(name, value, kind=7):
    """One header; `value` is text, or the bytes of another kind of value."""
    data = struct.pack(">H", len(value.encode())) + value.encode() if isinstance(value, str) else value
    return bytes([len(name)]) + name.encode() + bytes([kind]) + data


def message(payload=b"", headers=b""):
    """One message, with its sums."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    data = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return data + struct.pack(">I", crc32(data))


def event(name, **payload):
    """An event of a service."""
    said = header(":event-type", name) + header(":content-type", "application/json") + header(":message-type", "event")
    return message(json.dumps(payload, ensure_ascii=False).encode(), said)


def failure(name, text, **payload):
    """An exception that a service raises in the middle of a stream."""
    said = header(":exception-type", name) + header(":message-type", "exception")
    return message(json.dumps({"message": text} | payload).encode(), said)
