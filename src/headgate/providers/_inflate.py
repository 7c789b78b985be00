"""Compressed bodies, opened in small pieces: neither their size nor their ratio can exhaust memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from headgate.core.faults import UpstreamBroken
from headgate.providers._bounds import Bounds

PIECE = 64 * 1024

_GRACE = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_CODINGS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": zlib.MAX_WBITS}


def inflate_for(coding: bytes, bounds: Bounds) -> Inflate | None:
    """What opens a body whose Content-Encoding this is, None for a plain one."""
    if not coding or (coding := coding.strip().lower()) == b"identity":
        return None
    return Inflate(coding, bounds)


class Inflate:
    """Opens one body of this content coding (`gzip`, `deflate`). Raises UpstreamBroken for any other, or a bomb."""

    def __init__(self, coding: bytes, bounds: Bounds) -> None:
        if coding not in _CODINGS:
            raise UpstreamBroken("the upstream compressed its answer in a way that was not asked for")
        self._bounds = bounds
        self._bits = _CODINGS[coding]
        self._opener: zlib._Decompress | None = None
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The plain bytes of the next compressed ones, in pieces."""
        self._taken += len(data)
        if self._opener is None:
            self._opener = zlib.decompressobj(self._window(data[0]))
        while True:
            if self._opener.eof:
                raise UpstreamBroken("the upstream sent more after the end of its compressed answer")
            try:
                piece = self._opener.decompress(data, PIECE)
            except zlib.error:
                raise UpstreamBroken("the upstream sent a compressed answer that cannot be opened") from None
            self._given += len(piece)
            if self._given > min(self._bounds.body, _GRACE + self._bounds.ratio * self._taken):
                raise UpstreamBroken("the upstream sent a compressed answer that grows out of bounds")
            if piece:
                yield piece
            data = self._opener.unconsumed_tail or self._opener.unused_data
            if not data and (self._opener.eof or len(piece) < PIECE):
                return

    def close(self) -> None:
        """The body ended. Raises UpstreamBroken if it was cut."""
        if self._opener is not None and not self._opener.eof:
            raise UpstreamBroken("the upstream broke off in the middle of its answer")

    def _window(self, first: int) -> int:
        """The window bits for zlib: servers send `deflate` in its wrapper, as RFC 9110 8.4.1.2 says, or bare."""
        if self._bits == zlib.MAX_WBITS and first & 0x0F != zlib.DEFLATED:
            return -zlib.MAX_WBITS
        return self._bits
