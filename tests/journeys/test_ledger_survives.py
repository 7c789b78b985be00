"""Nothing is lost and nothing doubled, whatever is killed, locked, paused or stopped while calls run.

`HEADGATE_ROUNDS=20` does every round so many times more often than every run does.
"""

import asyncio
import os
import random
import sqlite3
from contextlib import closing

import psycopg
import pytest

from journeys._fleets import Fleet, fleet
from journeys._load import Load, rows_of_postgres, rows_of_sqlite
from journeys._service import command, serving
from servers import postgres, valkey

ROUNDS = int(os.environ.get("HEADGATE_ROUNDS", "1"))
CONFIG = """
[access]
api_keys = "key-of-ann:ann:counted"
[tiers.counted]
requests = "1000000/day"
concurrent = 1000
"""


@pytest.mark.anyio
async def test_a_process_that_is_killed_under_load_again_and_again(upstreams, tmp_path):
    chance, load = random.Random(1), Load(upstreams)
    for _ in range(3 * ROUNDS):
        async with serving(tmp_path, CONFIG + upstreams.config) as service, load.on(service.port):
            await asyncio.sleep(chance.uniform(0.3, 0.9))
            service.process.kill()
            await service.ended()
    before = len(load.seen)
    async with serving(tmp_path, CONFIG + upstreams.config) as service, load.on(service.port):
        await asyncio.sleep(0.5)
        service.terminate()
        assert await service.ended() == 0
    assert 30 < before < len(load.seen)
    load.check(rows_of_sqlite(tmp_path), killed=True)
    assert not list((tmp_path / ".headgate" / "outbox").iterdir())


@pytest.mark.anyio
async def test_a_database_file_that_somebody_else_has_locked(upstreams, tmp_path):
    load = Load(upstreams)
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        async with load.on(service.port):
            for _ in range(ROUNDS):
                with closing(sqlite3.connect(tmp_path / ".headgate" / "headgate.db", isolation_level=None)) as other:
                    other.execute("BEGIN EXCLUSIVE")
                    before = len(load.seen)
                    await asyncio.sleep(2.0)
                    assert len(load.seen) > before + 20, "callers had to wait for the database"
                await asyncio.sleep(0.3)
        assert load.cut == 0
        assert set(load.statuses) == {200}
    load.check(rows_of_sqlite(tmp_path))


@pytest.mark.anyio
async def test_a_service_that_is_told_to_stop_under_load(upstreams, tmp_path):
    load = Load(upstreams)
    async with serving(tmp_path, CONFIG + upstreams.config) as service, load.on(service.port):
        await asyncio.sleep(0.5)
        service.terminate()
        assert await service.ended() == 0
        before = load.cut
        await asyncio.sleep(0.1)
    assert load.cut > before  # nobody listens any more
    load.check(rows_of_sqlite(tmp_path))


@pytest.mark.anyio
async def test_workers_whose_database_and_counters_come_and_go(upstreams, tmp_path, tmp_path_factory):
    load = Load(upstreams)
    with postgres() as base, valkey(tmp_path_factory.mktemp("valkey")) as store:
        config = CONFIG + upstreams.config + f'[store]\nurl = "{base.url}"\n'
        (tmp_path / "headgate.toml").write_text(config)
        await command(tmp_path, "migrate")
        async with fleet("two workers", tmp_path, config, store.url, base.url) as here:
            [service] = here.services
            for _ in range(ROUNDS):
                async with load.on(service.port):
                    await without_the_database(base, load)
                assert load.cut == 0
                async with load.on(service.port):
                    await without_the_counters(store)
                assert load.cut == 0
                assert set(load.statuses) == {200, 503}
            async with load.on(service.port):
                await asyncio.sleep(0.3)
        load.check(await asyncio.to_thread(rows_of_postgres, base.url))
        async with fleet("two workers", tmp_path, config, store.url, base.url) as here:
            await lose_workers(here, load)
        load.check(await asyncio.to_thread(rows_of_postgres, base.url), killed=True)


async def without_the_database(base, load: Load) -> None:
    """Locked by another, then killed and started again: callers never notice."""
    with psycopg.connect(base.url) as other:
        other.execute("LOCK TABLE entries IN ACCESS EXCLUSIVE MODE")
        before = len(load.seen)
        await asyncio.sleep(1.5)
        assert len(load.seen) > before + 20, "callers had to wait for the database"
    await asyncio.sleep(0.3)
    await asyncio.to_thread(base.stop)
    before = len(load.seen)
    await asyncio.sleep(1.0)
    assert len(load.seen) > before + 10, "callers had to wait for the database"
    await asyncio.to_thread(base.start)
    await asyncio.sleep(0.3)


async def without_the_counters(store) -> None:
    """Paused, then killed and started again: callers are refused meanwhile."""
    store.pause()
    await asyncio.sleep(1.0)
    store.resume()
    await asyncio.sleep(1.5)
    store.kill()
    await asyncio.sleep(0.5)
    await asyncio.to_thread(store.start)
    await asyncio.sleep(1.5)


async def lose_workers(here: Fleet, load: Load) -> None:
    """One worker after the other is killed; each is replaced."""
    async with load.on(here.services[0].port):
        for _ in range(2 * ROUNDS):
            await asyncio.sleep(0.3)
            await here.kill_a_worker()
        await here.all_there()  # whoever comes in another's place takes over what it left
