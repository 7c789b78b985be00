"""Who counts the limits: this process in its memory, or a server for all processes that share it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headgate.config import Config, ConfigError, Problem
from headgate.core.faults import Forbidden, NotFound
from headgate.core.limit import Want
from headgate.core.principal import Principal
from headgate.core.seams import Limiter
from headgate.engine.limits import RuleBook
from headgate.engine.routing import Routes
from headgate.stores.ledger import LedgerTable
from headgate.stores.memory import MemoryLimiter
from headgate.stores.usage import DAY, HOUR, Past

if TYPE_CHECKING:
    from headgate.stores.redis import RedisLimiter

WEEK = 7 * DAY


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


async def refill(
    limiter: Limiter, table: LedgerTable, rules: RuleBook, routes: Routes, keys: Sequence[Principal]
) -> None:
    """Have a limiter in memory count again what was used in windows of an hour or longer, as the ledger says.

    Each window begins with its exact sum. What expires of it may do so up to an hour late, of windows of a week or
    longer up to a day. `keys` are those with limits of their own. Raises Unavailable.
    """
    if not isinstance(limiter, MemoryLimiter):
        return
    own = {key.key_id: key.limits for key in keys if key.limits}
    for window in sorted(rules.windows(own.values())):
        if window < HOUR:
            continue
        now = time.time()
        for past in await asyncio.to_thread(table.past, now - window, DAY if window >= WEEK else HOUR):
            used = {"requests": past.requests, "tokens": past.tokens, "spend": past.cost}
            for want in _wants(past, rules, routes, own.get(past.key_id, ())):
                if want.window == window:
                    limiter.remember(want, max(0.0, now - past.end), used[want.kind])


def _wants(past: Past, rules: RuleBook, routes: Routes, limits: tuple[tuple[str, str], ...]) -> tuple[Want, ...]:
    """What the rules of today count the past under."""
    try:
        model = routes.find(past.model).name
    except NotFound:
        model = past.model
    who = Principal(kind=past.kind, id=past.principal, tier=past.tier, key_id=past.key_id, limits=limits)  # type: ignore[arg-type]
    try:
        plan = rules.plan(who, model)
    except Forbidden:  # the tier is gone; the model's rules and the service's still count
        plan = rules.plan(Principal(kind="admin", id="", tier=past.tier), model)
    return plan.fixed + plan.metered
