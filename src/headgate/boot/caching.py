"""Where answers are remembered: in this process, or by a server for all processes that share it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from headgate.config import Config
from headgate.core.call import Reuse
from headgate.core.seams import CacheStore
from headgate.engine.cache import Cache
from headgate.stores.cache import MemoryCache


@asynccontextmanager
async def cache_of(config: Config) -> AsyncIterator[Cache]:
    """The cache that `[cache]` and `[shared]` ask for; it is there, but empty, where no call is to be cached."""
    settings = config.cache
    async with AsyncExitStack() as stack:
        store: CacheStore = MemoryCache(settings.max_bytes)
        if config.shared.url:
            from headgate.stores.redis_cache import RedisCache  # noqa: PLC0415 - an extra, which the limiter has found

            shared = RedisCache(config.shared.url, settings.max_bytes)
            stack.push_async_callback(shared.aclose)
            store = shared
        cache = Cache(store, ttl=settings.ttl, max_entry=settings.max_entry)
        stack.push_async_callback(cache.aclose)
        yield cache


def reuse_of(config: Config) -> Reuse | None:
    """What holds for calls that do not say whether they may be cached."""
    return Reuse() if config.cache.enabled else None
