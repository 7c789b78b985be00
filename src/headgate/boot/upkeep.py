"""Upkeep: what goes on beside the calls for as long as a Runtime is open."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

from headgate.boot.clearing import clear_up
from headgate.boot.gauges import Pulse
from headgate.boot.models import Source
from headgate.boot.reload import watch
from headgate.core.faults import Unavailable
from headgate.runtime import Runtime
from headgate.stores.idempotency import LEASE, IdempotencyTable
from headgate.stores.memory import MemoryLimiter

if TYPE_CHECKING:
    from headgate.stores.redis import RedisLimiter

log = logging.getLogger("headgate")


def keep_up(stack: AsyncExitStack, runtime: Runtime, sources: dict[str, Source]) -> None:
    """Follow keys, configuration and leases, take documents in, clear up, and measure how everything stands."""
    stack.push_async_callback(lambda: runtime.identify.aclose())  # noqa: PLW0108 - a reload replaces it
    pulse = Pulse(runtime)
    runtime.gauges = pulse.gauges
    background(stack, runtime.ring.watch())
    background(stack, watch(runtime, sources))
    background(stack, renew(runtime.idempotency))
    background(stack, runtime.knowledge.ingester.work())
    background(stack, clear_up(runtime.entries, runtime.responses, runtime.config.store.keep))
    background(stack, pulse.beat())


def look_after(limiter: MemoryLimiter | RedisLimiter, runtime: Runtime, stack: AsyncExitStack) -> None:
    """Keep a shared limiter connected, and say when it is not."""
    if isinstance(limiter, MemoryLimiter):
        return
    stack.push_async_callback(limiter.aclose)
    background(stack, limiter.watch())
    watched = runtime.degraded if limiter.local else runtime.checks
    watched["shared"] = lambda: "the shared store is out of reach" if limiter.degraded else ""


async def renew(table: IdempotencyTable) -> None:
    """Keep the leases of calls with an Idempotency-Key alive while they are made."""
    while True:
        await asyncio.sleep(LEASE / 3)
        try:
            await asyncio.to_thread(table.renew)
        except Unavailable as fault:
            log.warning("the leases of Idempotency-Keys could not be renewed: %s", fault.message)


def background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Do the work until the stack is closed."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


def settle_down() -> None:
    """What is there now stays; requests make few cycles, and the default looks for them too often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
