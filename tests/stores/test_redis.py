"""What only a shared limiter must bear: other processes, and a server that is slow, paused, killed or started again."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress

import hiredis
import pytest

from headgate.core.faults import Unavailable
from headgate.core.limit import Want
from headgate.core.seams import Refusal
from headgate.stores._redis import Address, Redis, Script
from headgate.stores.memory import MemoryLimiter
from headgate.stores.redis import SCRIPTS, RedisLimiter
from servers import valkey

pytestmark = pytest.mark.anyio

RACER = """
import asyncio, sys
from headgate.core.limit import Want
from headgate.core.seams import Refusal
from headgate.stores.redis import RedisLimiter

async def main():
    limiter = RedisLimiter(sys.argv[1], patience=10.0)
    wants = [Want("race", "requests", 1, 100, 600.0), Want("race-tokens", "tokens", 7, 10**6, 600.0)]
    await limiter.levels(wants)
    print("ready", flush=True)
    sys.stdin.readline()
    answers = await asyncio.gather(*(limiter.reserve(wants) for _ in range(200)))
    print(sum(not isinstance(answer, Refusal) for answer in answers), flush=True)
    await limiter.aclose()

asyncio.run(main())
"""
HOLDER = """
import asyncio, sys
from headgate.core.limit import Want
from headgate.stores.redis import RedisLimiter

async def main():
    limiter = RedisLimiter(sys.argv[1], lease=1.0, patience=10.0)
    watching = asyncio.create_task(limiter.watch())
    for _ in range(2):
        await limiter.reserve([Want("held", "concurrent", 1, 2, 0.0), Want("paid", "tokens", 30, 100, 60.0)])
    print("ready", flush=True)
    await watching

asyncio.run(main())
"""


def requests(limit, key="r", window=60.0):
    return Want(key, "requests", 1, limit, window)


def concurrent(limit, key="c"):
    return Want(key, "concurrent", 1, limit, 0.0)


@asynccontextmanager
async def limiting(url, **settings):
    """A limiter that is being looked after."""
    limiter = RedisLimiter(url, **settings)
    watching = asyncio.create_task(limiter.watch())
    try:
        yield limiter
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await limiter.aclose()


async def left(limiter, want):
    return (await limiter.levels([want]))[0].left


async def eventually(check, patience=10.0):
    """Wait until the check holds."""
    async with asyncio.timeout(patience):
        while not await check():  # noqa: ASYNC110 - it is the server that changes
            await asyncio.sleep(0.02)


async def is_back(limiter):
    with suppress(Unavailable):
        await limiter.levels([requests(1)])
        return not limiter.degraded
    return False


@pytest.fixture
def server(tmp_path):
    """A server of this test's own."""
    with valkey(tmp_path) as server:
        yield server


@pytest.fixture
async def url(redis_url):
    """The shared server, empty."""
    redis = Redis(redis_url)
    await redis.call(("FLUSHDB",))
    await redis.aclose()
    return redis_url


def process(script, url):
    return subprocess.Popen(
        [sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


async def test_of_600_calls_that_three_processes_race_for_exactly_the_limit_is_let_in(url):
    racers = [process(RACER, url) for _ in range(3)]
    try:
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        won = [int(racer.stdout.readline()) for racer in racers]
    finally:
        for racer in racers:
            racer.communicate()
    assert sum(won) == 100
    async with limiting(url) as limiter:
        assert await left(limiter, requests(100, "race", 600.0)) == 0
        assert await left(limiter, Want("race-tokens", "tokens", 0, 10**6, 600.0)) == 10**6 - 700


async def test_a_killed_process_frees_its_concurrent_calls_and_keeps_what_it_may_have_used(url):
    holder = process(HOLDER, url)
    assert holder.stdout.readline() == "ready\n"
    async with limiting(url) as limiter:
        await asyncio.sleep(1.5)  # longer than the lease: a living process renews it
        assert await left(limiter, concurrent(2, "held")) == 0
        holder.kill()
        holder.communicate()

        async def freed():
            return await left(limiter, concurrent(2, "held")) == 2

        await eventually(freed)
        assert await left(limiter, Want("paid", "tokens", 0, 100, 60.0)) == 40


async def test_it_decides_as_the_limiter_in_memory_does(url):
    """Time moves in steps larger than a slot, so that the two must agree to the last call."""
    chance, now = random.Random(1), [0.0]
    time_of = ("+ clock[2]", "+ clock[2] * 0 + (redis.call('GET', 'now') or 0) - clock[1] * 1000000 + 1e15")
    shared = RedisLimiter(
        url, patience=5.0, scripts=[Script.of(Script.named(name).text.replace(*time_of)) for name in SCRIPTS]
    )
    memory, open_grants, outcomes = MemoryLimiter(lambda: now[0]), [], set()
    for _ in range(600):
        now[0] = round(now[0] + chance.choice([0.0, 0.1, 1.0, 7.0]), 1)
        await shared._redis.call(("SET", "now", int(now[0] * 1e6)))
        wants = [
            requests(12, "a", 60.0),
            Want("b", "tokens", chance.choice([0, 5, 40, 101]), 100, 30.0),
            requests(5, "d", 10.0),
        ]
        one, other = await shared.reserve(wants), await memory.reserve(wants)
        granted = not isinstance(one, Refusal)
        outcomes.add(granted)
        assert granted == (not isinstance(other, Refusal))
        for ours, theirs in zip(one.levels, other.levels, strict=True):
            assert (ours.want, ours.left) == (theirs.want, theirs.left)
            assert ours.reset_after == pytest.approx(theirs.reset_after, abs=1e-3)
            assert ours.retry_after == pytest.approx(theirs.retry_after, abs=1e-3)
        if granted:
            open_grants.append((one, other))
        while len(open_grants) > 3:
            used = {"tokens": chance.choice([0, 3, 60])}
            for grant in open_grants.pop(chance.randrange(len(open_grants))):
                grant.settle(used)
    assert outcomes == {True, False}
    await shared.aclose()


async def test_all_callers_share_one_connection(url):
    async with limiting(url, patience=5.0) as limiter:
        await asyncio.gather(*(limiter.reserve([requests(1000)]) for _ in range(300)))
        clients = await limiter._redis.call(("CLIENT", "LIST"))
        assert clients.count("cmd=evalsha") <= 1
        assert await left(limiter, requests(1000)) == 700


async def test_a_rule_takes_bounded_room_and_leaves_none_behind(url):
    async with limiting(url, patience=5.0) as limiter:
        for _ in range(30):
            await asyncio.gather(*(limiter.reserve([requests(10**6, window=0.5)]) for _ in range(100)))
        assert await limiter._redis.call(("ZCARD", "{headgate}:r")) <= 1001

        async def gone():
            return await limiter._redis.call(("DBSIZE",)) == 0

        await eventually(gone)


async def test_a_connection_that_the_server_closed_is_opened_again_unnoticed(url):
    async with limiting(url) as limiter:
        await limiter.reserve([requests(5)])
        killer = Redis(url)
        await killer.call(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        await limiter.reserve([requests(5)])
        await killer.call(("SCRIPT", "FLUSH"))
        await limiter.reserve([requests(5)])
        assert await left(limiter, requests(5)) == 2
        assert not limiter.degraded
        await killer.aclose()


async def test_a_caller_who_leaves_before_the_answer_takes_nothing(url):
    async with limiting(url) as limiter:
        await limiter.levels([requests(5)])
        leaving = asyncio.create_task(limiter.reserve([requests(5), concurrent(5)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()

        async def given_back():
            return [level.left for level in await limiter.levels([requests(5), concurrent(5)])] == [5, 5]

        await eventually(given_back)


async def test_a_paused_server_refuses_quickly_and_counts_nothing_for_those_it_never_answered(server):
    async with limiting(server.url, patience=0.3) as limiter:
        await limiter.reserve([requests(50)])
        server.pause()
        began = time.monotonic()
        for outcome in await asyncio.gather(
            *(limiter.reserve([requests(50)]) for _ in range(10)), return_exceptions=True
        ):
            assert isinstance(outcome, Unavailable)
            assert outcome.retry_after == 1.0
        assert limiter.degraded
        assert time.monotonic() - began < 5
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(Unavailable):
                await limiter.reserve([requests(50)])
        assert time.monotonic() - began < 2  # nobody waits for a server that is known to be down
        await asyncio.sleep(0.4)  # what was sent is too late from now on
        server.resume()
        await eventually(lambda: is_back(limiter))
        assert await left(limiter, requests(50)) == 49


async def test_a_settlement_waits_for_the_server_and_nobody_for_the_settlement(server):
    async with limiting(server.url) as limiter:
        grant = await limiter.reserve([Want("t", "tokens", 60, 100, 60.0), concurrent(1)])
        server.pause()
        with pytest.raises(Unavailable):
            await limiter.reserve([requests(1)])
        grant.settle({"tokens": 10})
        server.resume()
        await eventually(lambda: is_back(limiter))
        assert await left(limiter, Want("t", "tokens", 0, 100, 60.0)) == 90
        assert await left(limiter, concurrent(1)) == 1


async def test_after_a_restart_running_calls_are_still_counted(server):
    async with limiting(server.url) as limiter:
        running = await limiter.reserve([concurrent(2)])
        server.kill()
        with pytest.raises(Unavailable):
            await limiter.reserve([concurrent(2)])
        server.start()
        await eventually(lambda: is_back(limiter))
        assert await left(limiter, concurrent(2)) == 1
        running.settle({})
        assert await left(limiter, concurrent(2)) == 2


async def test_while_the_server_is_out_a_process_may_count_its_share_but_spend_nothing(server):
    spend = Want("s", "spend", 5, 100, 60.0)
    async with limiting(server.url, local=True, share=3) as limiter:
        await limiter.reserve([requests(10)])
        server.kill()
        outcomes = [await limiter.reserve([requests(10)]) for _ in range(5)]
        assert [isinstance(outcome, Refusal) for outcome in outcomes] == [False, False, False, True, True]
        assert limiter.degraded
        over_the_share = await limiter.reserve([Want("t", "tokens", 50, 100, 60.0)])
        assert not over_the_share.worst.never
        assert over_the_share.worst.retry_after == 60
        with pytest.raises(Unavailable):
            await limiter.reserve([spend, requests(10, "other")])
        assert await left(limiter, requests(10, "other")) == 3
        outcomes[0].settle({"requests": 0})
        assert await left(limiter, requests(10)) == 1
        server.start()
        await eventually(lambda: is_back(limiter))
        assert await left(limiter, requests(10)) == 10


async def test_a_server_that_answers_but_cannot_count_is_down(server):
    async with limiting(server.url) as limiter:
        await limiter.levels([requests(1)])
        await limiter._redis.call(("CONFIG", "SET", "maxmemory", 1))
        with pytest.raises(Unavailable):
            await limiter.reserve([requests(1)])


async def test_a_password_and_a_database_are_told_to_the_server_and_to_nobody_else(server, caplog):
    plain = Redis(server.url)
    await plain.call(("CONFIG", "SET", "requirepass", "p@ss"))
    await plain.aclose()
    host = server.url.removeprefix("redis://")
    async with limiting(f"redis://:p%40ss@{host}/3") as limiter:
        await limiter.reserve([requests(2)])
        assert await limiter._redis.call(("DBSIZE",)) == 2
        await limiter._redis.call(("SELECT", 0))
        assert await limiter._redis.call(("DBSIZE",)) == 0
    async with limiting(f"redis://:wr0ng@{host}") as limiter:
        with pytest.raises(Unavailable) as caught:
            await limiter.reserve([requests(2)])
    assert "WRONGPASS" in caplog.text
    assert "wr0ng" not in caplog.text + str(caught.value)


async def test_an_error_of_the_server_is_the_callers(url):
    redis = Redis(url)
    with pytest.raises(hiredis.ReplyError):
        await redis.call(("NONSENSE",))
    assert await redis.call(("PING",)) == "PONG"
    await redis.aclose()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", ("cache", 6379, "", False, (("PING",),))),
        ("valkey://u:p@cache:7000/2", ("cache", 7000, "", False, (("AUTH", "u", "p"), ("SELECT", "2"), ("PING",)))),
        ("rediss://[::1]:1/0", ("::1", 1, "", True, (("PING",),))),
        ("unix:///run/redis.sock?db=1", ("127.0.0.1", 6379, "/run/redis.sock", False, (("SELECT", "1"), ("PING",)))),
    ],
)
async def test_an_address_says_where_the_server_is(url, address):
    found = Address.of(url)
    assert (found.host, found.port, found.path, found.tls, found.greeting) == address
