"""What every Limiter promises."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from headgate.core.limit import Want
from headgate.core.seams import Limiter, Refusal
from headgate.stores._redis import Script
from headgate.stores.memory import MemoryLimiter
from headgate.stores.redis import SCRIPTS, RedisLimiter

pytestmark = pytest.mark.anyio


@dataclass
class Bench:
    """A limiter, and a way to let its time pass."""

    limiter: Limiter
    sleep: Callable[[float], Awaitable[None]]


@asynccontextmanager
async def memory(_: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    time = [1000.0]

    async def sleep(seconds):
        time[0] += seconds

    yield Bench(MemoryLimiter(lambda: time[0]), sleep)


@asynccontextmanager
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    # Time is the server's; here it is as much ahead as a key of it says.
    now, ahead = "+ clock[2]", "+ clock[2] + (redis.call('GET', 'ahead') or 0)"
    scripts = [Script.of(Script.named(name).text.replace(now, ahead)) for name in SCRIPTS]
    limiter = RedisLimiter(request.getfixturevalue("redis_url"), patience=5.0, scripts=scripts)
    await limiter._redis.call(("FLUSHDB",))
    slept = [0.0]

    async def sleep(seconds):
        slept[0] += seconds
        await limiter._redis.call(("SET", "ahead", int(slept[0] * 1_000_000)))
        limiter._send_leases()  # as it would have, had the time passed

    yield Bench(limiter, sleep)
    await limiter.aclose()


@pytest.fixture(params=[memory, redis])
async def bench(request):
    async with request.param(request) as bench:
        yield bench


def requests(limit, window=60.0, key="r"):
    return Want(key, "requests", 1, limit, window)


def tokens(amount, limit, window=60.0, key="t"):
    return Want(key, "tokens", amount, limit, window)


def concurrent(limit):
    return Want("c", "concurrent", 1, limit, 0.0)


async def granted(bench, *wants):
    grant = await bench.limiter.reserve(wants)
    assert not isinstance(grant, Refusal), grant
    return grant


async def refused(bench, *wants):
    refusal = await bench.limiter.reserve(wants)
    assert isinstance(refusal, Refusal)
    return refusal


async def left(bench, want):
    (level,) = await bench.limiter.levels([want])
    return level.left


async def test_as_many_are_let_in_as_the_limit_says(bench):
    for _ in range(3):
        await granted(bench, requests(3))
    await refused(bench, requests(3))


async def test_a_hundred_parallel_callers_against_twenty_a_window_let_twenty_in(bench):
    results = []

    async def call():
        results.append(await bench.limiter.reserve([requests(20)]))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(call)
    assert sum(not isinstance(result, Refusal) for result in results) == 20


async def test_the_window_slides_and_has_no_edge_to_burst_over(bench):
    await granted(bench, requests(2))
    await bench.sleep(40)
    await granted(bench, requests(2))
    await bench.sleep(15)
    await refused(bench, requests(2))
    await bench.sleep(6)
    await granted(bench, requests(2))
    await refused(bench, requests(2))


async def test_a_refusal_says_when_the_wanted_amount_fits_and_then_it_does(bench):
    await granted(bench, tokens(60, 100))
    await bench.sleep(10)
    await granted(bench, tokens(30, 100))
    first = await refused(bench, tokens(50, 100))
    both = await refused(bench, tokens(80, 100))
    assert first.worst.retry_after == pytest.approx(50, abs=0.5)
    assert both.worst.retry_after == pytest.approx(60, abs=0.5)
    await bench.sleep(first.worst.retry_after + 0.01)
    await granted(bench, tokens(50, 100))


async def test_the_wait_ends_at_the_very_entry_that_makes_room(bench):
    for _ in range(3):
        await granted(bench, requests(3))
        await bench.sleep(10)
    assert (await refused(bench, requests(3))).worst.retry_after == pytest.approx(30, abs=0.5)


async def test_all_wants_are_taken_or_none_is(bench):
    await granted(bench, requests(1, key="b"))
    refusal = await refused(bench, requests(5, key="a"), requests(1, key="b"), requests(5, key="c"))
    assert [level.retry_after > 0 for level in refusal.levels] == [False, True, False]
    assert refusal.worst.want.key == "b"
    assert await left(bench, requests(5, key="a")) == 5
    assert await left(bench, requests(5, key="c")) == 5


async def test_the_longest_wait_is_the_one_told(bench):
    short, long = requests(1, 60.0, "short"), requests(1, 3600.0, "long")
    await granted(bench, short, long)
    refusal = await refused(bench, long, short)
    assert refusal.worst.want.key == "long"
    assert refusal.worst.retry_after == pytest.approx(3600, abs=0.5)


async def test_settling_gives_back_what_was_not_used(bench):
    grant = await granted(bench, tokens(100, 100))
    await refused(bench, tokens(1, 100))
    grant.settle({"tokens": 30})
    assert await left(bench, tokens(1, 100)) == 70
    await granted(bench, tokens(70, 100))
    await refused(bench, tokens(1, 100))


async def test_settling_at_zero_gives_everything_back(bench):
    grant = await granted(bench, requests(1), tokens(100, 100))
    grant.settle({"requests": 0, "tokens": 0})
    await granted(bench, requests(1), tokens(100, 100))


async def test_what_was_used_beyond_the_reservation_is_counted_too(bench):
    grant = await granted(bench, tokens(10, 100))
    grant.settle({"tokens": 150})
    assert await left(bench, tokens(1, 100)) == 0
    assert (await refused(bench, tokens(1, 100))).worst.retry_after == pytest.approx(60, abs=0.5)
    await bench.sleep(60.01)
    await granted(bench, tokens(100, 100))


async def test_a_kind_that_is_not_named_stays_as_reserved(bench):
    grant = await granted(bench, requests(5), tokens(40, 100))
    grant.settle({"tokens": 10})
    assert await left(bench, requests(5)) == 4
    assert await left(bench, tokens(1, 100)) == 90


async def test_a_grant_is_settled_once_however_often_it_is_tried(bench):
    grant = await granted(bench, tokens(50, 100), concurrent(5))
    await granted(bench, tokens(50, 100), concurrent(5))
    for _ in range(3):
        grant.settle({"tokens": 0})
    assert await left(bench, tokens(1, 100)) == 50
    assert await left(bench, concurrent(5)) == 4


async def test_two_grants_of_the_same_size_are_told_apart(bench):
    first = await granted(bench, tokens(50, 100))
    await bench.sleep(30)
    await granted(bench, tokens(50, 100))
    first.settle({"tokens": 0})
    await bench.sleep(31)
    assert await left(bench, tokens(1, 100)) == 50


async def test_a_settlement_after_the_window_has_passed_changes_nothing(bench):
    grant = await granted(bench, tokens(50, 100))
    await bench.sleep(61)
    await granted(bench, tokens(100, 100))
    grant.settle({"tokens": 0})
    assert await left(bench, tokens(1, 100)) == 0


async def test_use_counts_from_the_moment_of_reservation(bench):
    grant = await granted(bench, tokens(100, 100))
    await bench.sleep(50)
    grant.settle({"tokens": 80})
    await bench.sleep(10.01)
    await granted(bench, tokens(100, 100))


async def test_concurrent_calls_are_freed_when_settled_and_not_by_time(bench):
    grants = [await granted(bench, concurrent(2)) for _ in range(2)]
    await bench.sleep(100)
    assert (await refused(bench, concurrent(2))).worst.retry_after > 0
    grants[0].settle({})
    await granted(bench, concurrent(2))
    await refused(bench, concurrent(2))


async def test_what_can_never_fit_is_refused_for_its_window(bench):
    refusal = await refused(bench, tokens(101, 100))
    assert (refusal.worst.retry_after, refusal.worst.never) == (60, True)
    await granted(bench, tokens(50, 60, key="used"))
    assert not (await refused(bench, tokens(50, 60, key="used"))).worst.never
    assert await left(bench, tokens(1, 100)) == 100


async def test_a_limit_of_nothing_lets_nothing_in(bench):
    await refused(bench, requests(0))
    await refused(bench, concurrent(0))


async def test_what_costs_nothing_fits_a_budget_that_is_used_up(bench):
    spent = await granted(bench, Want("s", "spend", 10, 10, 60.0))
    spent.settle({"spend": 12})
    await granted(bench, Want("s", "spend", 0, 10, 60.0))
    await refused(bench, Want("s", "spend", 1, 10, 60.0))


async def test_more_used_than_a_want_of_nothing_is_counted(bench):
    grant = await granted(bench, Want("s", "spend", 0, 10, 60.0))
    grant.settle({"spend": 7})
    assert await left(bench, Want("s", "spend", 1, 10, 60.0)) == 3


async def test_levels_take_nothing(bench):
    await granted(bench, requests(3))
    for _ in range(5):
        (level,) = await bench.limiter.levels([requests(3)])
    assert (level.left, level.retry_after) == (2, 0.0)
    assert level.reset_after == pytest.approx(60, abs=0.5)


async def test_the_levels_of_a_grant_have_the_grant_in_them(bench):
    grant = await granted(bench, requests(3), concurrent(2))
    assert [level.left for level in grant.levels] == [2, 1]
    assert all(level.retry_after == 0 for level in grant.levels)


async def test_money_is_counted_to_the_last_billionth(bench):
    budget = 3 * 10**18
    grant = await granted(bench, Want("s", "spend", budget - 1, budget, 86_400.0))
    assert await left(bench, Want("s", "spend", 1, budget, 86_400.0)) == 1
    grant.settle({"spend": 10**30})
    assert await left(bench, Want("s", "spend", 1, budget, 86_400.0)) == 0


async def test_a_reset_forgets_what_was_used_and_nothing_else(bench):
    await granted(bench, requests(1, key="a"), tokens(90, 100), requests(1, key="b"))
    await bench.limiter.reset([requests(1, key="a"), tokens(1, 100)])
    assert await left(bench, requests(1, key="a")) == 1
    assert await left(bench, tokens(1, 100)) == 100
    assert await left(bench, requests(1, key="b")) == 0
    await granted(bench, requests(1, key="a"), tokens(100, 100))
    await refused(bench, requests(1, key="a"))


async def test_what_ran_while_its_limit_was_reset_is_settled_with_nobody(bench):
    before = await granted(bench, tokens(100, 100), concurrent(1))
    await bench.limiter.reset([tokens(1, 100), concurrent(1)])
    after = await granted(bench, tokens(60, 100), concurrent(1))
    before.settle({"tokens": 10})
    assert await left(bench, tokens(1, 100)) == 40
    await refused(bench, concurrent(1))
    after.settle({"tokens": 5})
    assert await left(bench, tokens(1, 100)) == 95
    assert await left(bench, concurrent(1)) == 1


async def test_a_reset_of_what_was_never_used_changes_nothing(bench):
    await bench.limiter.reset([requests(3), concurrent(2)])
    await bench.limiter.reset([])
    for _ in range(3):
        await granted(bench, requests(3))
    await refused(bench, requests(3))


async def test_an_allowance_on_top_ends_with_its_window(bench):
    for _ in range(2):
        await granted(bench, requests(2))
    await bench.sleep(20)
    assert await left(bench, requests(2)) == 0
    await granted(bench, Want("r", "requests", -3, 2, 60.0))
    assert await left(bench, requests(2)) == 3
    for _ in range(3):
        await granted(bench, requests(2))
    await refused(bench, requests(2))
    await bench.sleep(40.1)  # the first two have left, the allowance still holds
    for _ in range(2):
        await granted(bench, requests(2))
    await refused(bench, requests(2))
    await bench.sleep(20)  # the allowance and what it let in have left
    await refused(bench, requests(2))
    await bench.sleep(40.1)
    for _ in range(2):
        await granted(bench, requests(2))
    await refused(bench, requests(2))


async def test_an_allowance_lets_in_what_the_limit_alone_never_would(bench):
    await refused(bench, tokens(150, 100))
    await granted(bench, tokens(-100, 100))
    grant = await granted(bench, tokens(150, 100))
    grant.settle({"tokens": 120})
    assert await left(bench, tokens(1, 100)) == 80


async def test_an_allowance_may_be_more_than_a_double_can_count(bench):
    budget = 3 * 10**15
    want = Want("s", "spend", budget, budget, 86_400.0)
    await granted(bench, want)
    await granted(bench, Want("s", "spend", -2 * budget, budget, 86_400.0))
    await granted(bench, Want("s", "spend", 2 * budget - 1, budget, 86_400.0))
    assert await left(bench, Want("s", "spend", 1, budget, 86_400.0)) == 1
    await refused(bench, Want("s", "spend", 2, budget, 86_400.0))


async def test_an_allowance_is_forgotten_with_a_reset(bench):
    await granted(bench, Want("r", "requests", -5, 2, 60.0))
    await bench.limiter.reset([requests(2)])
    assert await left(bench, requests(2)) == 2
