"""`RedisCache`: answers kept by a Redis or Valkey server for all processes that share it.

It has a connection of its own, since a large answer must not hold up those who count. While the server is down nothing
is found and nothing is kept; callers learn nothing of it.
"""

from __future__ import annotations

from contextlib import suppress

import hiredis

from headgate.core.faults import Unavailable
from headgate.stores._redis import PATIENCE, Redis, Script

PREFIX = "{headgate}:cache:"
"""In braces, so that on a cluster all keys are in one place."""

_OUT = (Unavailable, hiredis.ReplyError)


class RedisCache:
    """The CacheStore of processes that share a server. All of them together keep `max_bytes`; the oldest go first."""

    def __init__(self, url: str, max_bytes: int, *, patience: float = PATIENCE) -> None:
        self._remember, self._claim = Script.named("remember"), Script.named("claim")
        self._redis = Redis(url, (self._remember, self._claim), patience=patience)
        self._max_bytes = max_bytes

    async def get(self, key: str) -> bytes | None:
        """The value, or None where there is none."""
        with suppress(*_OUT):
            value = await self._redis.call(("GET", f"{PREFIX}={key}"))
            if isinstance(value, str):
                return value.encode()
        return None

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value; one that is larger than all there is room for is not kept."""
        words = (1, PREFIX, key, value, max(1, int(ttl * 1000)), self._max_bytes)
        with suppress(*_OUT):
            await self._redis.run(self._remember, words)

    async def claim(self, key: str, holder: str, seconds: float) -> bool:
        """Whether `holder` may make the value now; see `core.seams.CacheStore`."""
        with suppress(*_OUT):
            words = (1, f"{PREFIX}!{key}", holder, int(seconds * 1000))
            return bool(await self._redis.run(self._claim, words))
        return True

    async def aclose(self) -> None:
        """Close the connection."""
        await self._redis.aclose()
