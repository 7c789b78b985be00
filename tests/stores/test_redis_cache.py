"""The shared cache: what several processes see of each other, and what happens when the server is not there."""

import asyncio
import time

import pytest

from engine._gate import gate_over
from engine.test_cache import ANN, GOOD, asked, taken
from headgate.core.events import Begin, Text
from headgate.core.faults import UpstreamBroken
from headgate.engine.cache import Cache
from headgate.stores.redis_cache import RedisCache
from headgate.testing import ScriptedProvider
from servers import valkey

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(redis_url):
    store = RedisCache(redis_url, 1 << 20, patience=5.0)
    await store._redis.call(("FLUSHDB",))
    yield store
    await store.aclose()


async def test_a_claim_of_another_holds_until_it_is_given_up_or_ends(store):
    assert await store.claim("k", "one", 0.2)
    assert not await store.claim("k", "other", 60)
    await store.claim("k", "other", 0)
    assert not await store.claim("k", "other", 60)
    await asyncio.sleep(0.25)
    assert await store.claim("k", "other", 60)
    await store.claim("k", "other", 0)
    assert await store.claim("k", "one", 60)


async def test_the_cache_makes_room_again_where_the_server_threw_its_books_away(store):
    await store.put("k", b"x" * 500_000, 60)
    await store._redis.call(("DEL", "{headgate}:cache:ends"))
    await store.put("l", b"x" * 900_000, 60)
    assert await store.get("l")


async def test_two_processes_ask_once_and_stream_the_same(store, tmp_path):
    slow = ScriptedProvider([Begin("1", "m"), Text("Hello"), 0.3, *GOOD[2:]])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        gate_over(slow, tmp_path / "a", cache=Cache(store)) as one,
        gate_over(slow, tmp_path / "b", cache=Cache(store)) as other,
    ):
        streams = await asyncio.gather(*[taken(gate) for gate in (one, other) for _ in range(10)])
        assert len({len(said) for said, _ in streams}) == 1
        assert sorted(entry.cache for _, entry in streams) == ["hit"] * 19 + ["miss"]
    assert len(slow.calls) == 1


async def test_where_the_other_process_fails_this_one_asks_itself(store, tmp_path):
    provider = ScriptedProvider([0.2, UpstreamBroken("nonsense")], GOOD)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        gate_over(provider, tmp_path / "a", cache=Cache(store)) as one,
        gate_over(provider, tmp_path / "b", cache=Cache(store)) as other,
    ):
        one.admission.routes.named["m"].targets[0].upstream.retrying = 3
        first = asyncio.create_task(taken(one))
        await asyncio.sleep(0.05)
        said, entry = await taken(other)
        assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], UpstreamBroken)
    assert (said, entry.cache) == (GOOD, "miss")


async def test_who_has_waited_long_enough_for_another_process_asks_itself(store, tmp_path, monkeypatch):
    monkeypatch.setattr("headgate.engine.cache.PATIENCE", 0.2)
    provider = ScriptedProvider(GOOD)
    cache = Cache(store)
    async with gate_over(provider, tmp_path, cache=cache) as gate:
        key = None
        real = store.claim

        async def claim(wanted, holder, seconds):
            nonlocal key
            if key is None:
                key = wanted
                await real(wanted, "somebody who died", 60)
            return await real(wanted, holder, seconds)

        store.claim = claim
        began = time.monotonic()
        opened, reply = await gate.reply(ANN, asked())
    assert time.monotonic() - began >= 0.2
    assert (opened.cache, reply.text) == ("miss", "Hello there")


async def test_calls_are_answered_while_the_server_is_down_and_remembered_when_it_is_back(tmp_path):
    with valkey(tmp_path) as server:
        store = RedisCache(server.url, 1 << 20)
        provider = ScriptedProvider(GOOD)
        async with gate_over(provider, tmp_path, cache=Cache(store)) as gate:
            for expected in ("miss", "hit"):
                assert (await taken(gate))[1].cache == expected
                await asyncio.sleep(0.1)
            server.pause()
            for text in ("one", "two"):
                said, entry = await taken(gate, text=text)
                assert (said, entry.cache) == (GOOD, "miss")
            server.resume()
            server.kill()
            assert (await taken(gate, text="three"))[1].cache == "miss"
            server.start()
            async with asyncio.timeout(10):
                while (await taken(gate))[1].cache != "hit":  # noqa: ASYNC110 - a server comes back
                    await asyncio.sleep(0.1)
        await store.aclose()
    assert len(provider.calls) >= 5
