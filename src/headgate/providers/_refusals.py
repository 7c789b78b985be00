"""Answers that are not what was asked for: another status, or a 200 that holds something else."""

from __future__ import annotations

import functools

import msgspec

from headgate.core.faults import Fault, UpstreamBroken
from headgate.core.seams import Answered
from headgate.dialects.errors import complaint
from headgate.providers._bounds import Bounds
from headgate.providers._connection import Connection
from headgate.providers._inflate import inflate_for

_STREAMS = frozenset(
    {b"text/event-stream", b"application/x-ndjson", b"application/stream+json", b"application/vnd.amazon.eventstream"}
)


@functools.lru_cache(maxsize=256)
def fits(content_type: bytes, stream: bool) -> bool:
    """Whether this is the type that was asked for; a whole answer may come without one."""
    kind = _media_type(content_type)
    return kind in _STREAMS if stream else not kind or _is_json(kind)


async def refusal(connection: Connection, stream: bool, bounds: Bounds) -> Answered | UpstreamBroken:
    """What to raise for an answer of another status or type; an error inside a 200 counts as the status it claims."""
    body = await _start_of_body(connection, bounds)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in connection.headers.items()}
    if not 200 <= connection.status < 300:
        return Answered(connection.status, headers, body)
    kind = _media_type(connection.header(b"content-type"))
    status = _claimed_status(body) if stream and _is_json(kind) else None
    if status is not None:
        return Answered(status, headers, body)
    wanted = "a stream" if stream else "JSON"
    came = kind[:80].decode("ascii", "replace") or "no content type"
    return UpstreamBroken(f"the upstream answered with {came}, not {wanted}")


def _media_type(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()


def _is_json(kind: bytes) -> bool:
    return kind in (b"application/json", b"text/json") or kind.endswith(b"+json")


async def _start_of_body(connection: Connection, bounds: Bounds) -> bytes:
    """The first bytes of an error's body; what cannot be read of it is left out."""
    parts: list[bytes] = []
    size = 0
    try:
        inflate = inflate_for(connection.header(b"content-encoding"), bounds)
        while size < bounds.error and not connection.over():
            if (news := connection.news()) is not None:
                await news
            chunk = connection.take()
            for piece in inflate.feed(chunk) if inflate else (chunk,):
                parts.append(piece)
                size += len(piece)
                if size >= bounds.error:
                    break
    except Fault:
        pass
    return b"".join(parts)[: bounds.error]


def _claimed_status(body: bytes) -> int | None:
    """The status that an error inside a 200 claims, 502 if it claims none; None if this is no error."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict) or not value.get("error"):
        return None
    return complaint(value).status or 502
