"""`MemoryCache`: answers kept in this process, within a bound on their bytes; the least recently used go first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

ENTRY = 200
"""Bytes that an entry takes beside its value."""


class MemoryCache:
    """The CacheStore of a single process: at most `max_bytes`, on the monotonic clock."""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.size = 0
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        """The value, or None where there is none."""
        value, expires = self._kept.get(key, (None, 0.0))
        if value is None:
            return None
        if expires <= self._clock():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value; one that is larger than all there is room for is not kept."""
        self._forget(key)
        size = ENTRY + len(value)
        if size > self._max_bytes:
            return
        while self.size + size > self._max_bytes:
            self._forget(next(iter(self._kept)))
        self._kept[key] = (value, self._clock() + ttl)
        self.size += size

    async def claim(self, key: str, holder: str, seconds: float) -> bool:  # noqa: ARG002 - as the shared one's
        """There is nobody else."""
        return True

    def _forget(self, key: str) -> None:
        value, _ = self._kept.pop(key, (None, 0.0))
        if value is not None:
            self.size -= ENTRY + len(value)
