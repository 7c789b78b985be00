"""What every CacheStore promises."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from headgate.core.seams import CacheStore
from headgate.stores.cache import ENTRY, MemoryCache
from headgate.stores.redis_cache import RedisCache
from headgate.testing import FrozenClock

pytestmark = pytest.mark.anyio

ROOM = 10_000


@dataclass
class Bench:
    """A store with room for `ROOM` bytes, and a way to let its time pass."""

    store: CacheStore
    sleep: Callable[[float], Awaitable[None]]


@asynccontextmanager
async def memory(_):
    clock = FrozenClock()

    async def sleep(seconds):
        clock.advance(seconds)

    yield Bench(MemoryCache(ROOM, clock), sleep)


@asynccontextmanager
async def redis(request):
    store = RedisCache(request.getfixturevalue("redis_url"), ROOM, patience=5.0)
    await store._redis.call(("FLUSHDB",))
    yield Bench(store, asyncio.sleep)
    await store.aclose()


@pytest.fixture(params=[memory, redis])
async def bench(request):
    async with request.param(request) as bench:
        yield bench


async def test_what_is_kept_is_found(bench):
    await bench.store.put("k", "héllo \N{LOBSTER} \0".encode(), 60)
    assert await bench.store.get("k") == "héllo \N{LOBSTER} \0".encode()
    assert await bench.store.get("other") is None


async def test_a_later_value_replaces_an_earlier_one(bench):
    for value in (b"one", b"two"):
        await bench.store.put("k", value, 60)
    assert await bench.store.get("k") == b"two"


async def test_a_value_ends_with_its_time(bench):
    await bench.store.put("k", b"v", 0.1)
    await bench.store.put("l", b"v", 60)
    await bench.sleep(0.15)
    assert await bench.store.get("k") is None
    assert await bench.store.get("l") == b"v"


async def test_there_is_never_more_than_there_is_room_for(bench):
    size = 1000
    for number in range(50):
        await bench.store.put(f"k{number}", b"x" * size, 60 + number)
    kept = [number for number in range(50) if await bench.store.get(f"k{number}") is not None]
    assert kept == list(range(50 - ROOM // (size + ENTRY), 50))


async def test_what_has_ended_leaves_room(bench):
    for number in range(8):
        await bench.store.put(f"old{number}", b"x" * 1000, 0.1)
    await bench.sleep(0.15)
    for number in range(8):
        await bench.store.put(f"new{number}", b"x" * 1000, 60)
    assert all([await bench.store.get(f"new{number}") for number in range(8)])


async def test_a_value_larger_than_all_room_is_not_kept_and_its_forerunner_is_gone(bench):
    await bench.store.put("k", b"x", 60)
    await bench.store.put("other", b"x", 60)
    await bench.store.put("k", b"x" * ROOM, 60)
    assert await bench.store.get("k") is None
    assert await bench.store.get("other") == b"x"


async def test_a_claim_is_granted_to_whoever_has_it(bench):
    assert await bench.store.claim("k", "one", 60)
    assert await bench.store.claim("k", "one", 60)
    await bench.store.claim("k", "one", 0)
    assert await bench.store.claim("k", "other", 60)
