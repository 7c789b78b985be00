"""What an upstream may send at most."""

from __future__ import annotations

from msgspec import Struct


class Bounds(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, durations in seconds.

    `head` also bounds trailers and chunk extensions; `informational` counts 1xx answers before the real one; `body` is
    counted as sent and as decompressed; `ratio` is decompressed to sent bytes, beyond the first MiB; `error` is how
    much of an error's body is read, within `error_seconds`; `buffer` is what a stream may hold that nobody has taken.
    `connections` may be open at once, those unused for `rest` are closed: before servers' usual 60 s, so that seldom
    a request meets a connection that is being closed. One that rested for `doubt` seconds and then ends without a word
    is taken to have been closed meanwhile, and replaced; one that rested less was closed because of the request.
    """

    head: int = 16 * 1024
    headers: int = 200
    informational: int = 20
    body: int = 64 * 1024 * 1024
    ratio: int = 200
    error: int = 64 * 1024
    error_seconds: float = 5.0
    buffer: int = 32 * 1024
    connections: int = 1024
    rest: float = 30.0
    doubt: float = 1.0


BOUNDS = Bounds()
