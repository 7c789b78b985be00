"""Who counts the limits: this process in its memory, or a server for all processes that share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.config import Config, ConfigError, Problem
from headgate.stores.memory import MemoryLimiter

if TYPE_CHECKING:
    from headgate.stores.redis import RedisLimiter


def limiter_of(config: Config) -> MemoryLimiter | RedisLimiter:
    """The limiter that `[shared]` asks for. Raises ConfigError where its client is not installed."""
    shared = config.shared
    if not shared.url:
        return MemoryLimiter()
    try:
        from headgate.stores.redis import RedisLimiter  # noqa: PLC0415 - an extra: hiredis may not be there
    except ImportError:
        what = 'needs hiredis: pip install "headgate[redis]"'
        raise ConfigError([Problem("shared.url", str(config.path or "environment"), what)]) from None
    return RedisLimiter(shared.url, local=shared.when_down == "local", share=shared.replicas * config.server.workers)
