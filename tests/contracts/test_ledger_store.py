"""What every `LedgerStore` keeps, whatever it is made of."""

from __future__ import annotations

import random
import threading
import time

import pytest
from msgspec import structs

from headgate.core.entry import Entry
from headgate.core.faults import Unavailable
from headgate.stores.ledger import LedgerTable
from headgate.stores.sqlite import SqliteDatabase
from headgate.stores.usage import HOUR, Past

DAY = 86_400.0
NOON = 20_000 * DAY + 43_200  # 2024-10-04 12:00 UTC


def entry(name, **fields):
    return Entry(**{"id": name, "at": NOON, "request_id": f"req-{name}", "kind": "key", "principal": "alice"} | fields)


@pytest.fixture
def store(database):
    return LedgerTable(database)


def test_an_entry_comes_back_as_it_was_written(store):
    full = dict.fromkeys(("tries", "tokens_in", "tokens_out", "cached", "cache_write", "reasoning", "cost"), 7)
    texts = {f: f"a {f} ✓" for f in ("key_id", "tier", "address", "surface", "model", "provider", "target", "price")}
    written = entry("a", stream=True, estimated=True, first_ms=1.5, total_ms=2.25, **full, **texts)
    store.write([written, entry("b")])
    assert store.entries() == [entry("b"), written]
    assert store.entries()[1].stream is True


def test_odd_texts_are_kept_as_far_as_the_database_can(store):
    odd = '\\u0000 "quoted" ? %s 😀\n'
    store.write([entry("a", model=odd), entry("b", model=f"{odd}\0")])
    kept = {e.id: e.model for e in store.entries()}
    assert kept["a"] == odd
    assert kept["b"] in (f"{odd}\0", f"{odd}\ufffd")


def test_an_id_that_is_there_already_is_left_as_it_is(store):
    store.write([entry("a", tokens_in=1)])
    store.write([entry("a", tokens_in=2), entry("b", tokens_in=3), entry("b", tokens_in=4)])
    assert {e.id: e.tokens_in for e in store.entries()} == {"a": 1, "b": 3}


def test_nothing_to_write_is_no_mistake(store):
    store.write([])
    assert store.entries() == []


def test_a_batch_with_an_impossible_entry_is_refused_whole_and_not_as_an_outage(store):
    with pytest.raises(Exception) as caught:
        store.write([entry("a"), entry("b", tokens_in=1 << 70)])
    assert not isinstance(caught.value, Unavailable)
    assert store.entries() == []


def test_threads_may_write_the_same_entries_at_once(store):
    entries = [entry(f"{n:04}") for n in range(300)]
    threads = [threading.Thread(target=store.write, args=(entries[n:],)) for n in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.totals()[0].requests == 300


def test_out_of_reach_is_unavailable(store, database):
    database.close()
    with pytest.raises(Unavailable):
        store.write([entry("a")])


def test_totals_add_up_and_say_what_is_not_known(store):
    store.write(
        [
            entry("a", model="m", tokens_in=10, tokens_out=5, cached=3, cost=100),
            entry("b", model="m", tokens_in=10, tokens_out=5, cost=None),
            entry("c", model="m", status="refused", error="rate_limited"),
            entry("d", model="m", status="partial", tokens_in=1, cost=7),
            entry("e", model="m", status="failed"),
            entry("f", model="n", cost=0),
        ]
    )
    m, n = store.totals("model")
    assert structs.asdict(m) == {
        "name": "m", "requests": 5, "tokens_in": 21, "tokens_out": 10, "cached": 3,
        "cost": 107, "unpriced": 1, "errors": 2, "refused": 1,
    }  # fmt: skip
    assert (n.name, n.requests, n.cost, n.unpriced) == ("n", 1, 0, 0)
    assert store.totals()[0].requests == 6


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("user", {"user:alice": 3, "user:bob": 1, "anonymous:10.0.0.1": 1}),
        ("key", {"k1": 2, "": 3}),
        ("tier", {"free": 2, "": 3}),
        ("provider", {"openai": 4, "": 1}),
        ("status", {"ok": 4, "cancelled": 1}),
        ("day", {"2024-10-04": 4, "2024-10-05": 1}),
        ("all", {"": 5}),
    ],
)
def test_totals_are_grouped(store, by, names):
    store.write(
        [
            entry("a", key_id="k1", tier="free", provider="openai", at=20_000 * DAY),
            entry("b", key_id="k1", tier="free", provider="openai", at=20_001 * DAY - 0.25),
            entry("c", kind="user", provider="openai"),
            entry("d", kind="user", principal="bob", provider="openai", at=20_001 * DAY),
            entry("e", kind="anonymous", principal="10.0.0.1", status="cancelled"),
        ]
    )
    assert {total.name: total.requests for total in store.totals(by)} == names


def test_a_tenant_sees_its_own_rows_through_all_its_keys_and_no_others(store):
    store.write(
        [
            entry("a", cost=1),
            entry("b", kind="user", cost=2),
            entry("c", principal="bob", cost=4),
            entry("d", kind="anonymous", cost=8),
            entry("e", kind="anonymous", principal="user:alice", cost=16),
        ]
    )
    for since in (0, NOON, NOON - 1):
        [alice] = store.totals(since=since, tenant="user:alice")
        assert (alice.requests, alice.cost) == (2, 3)
        assert store.totals(since=since, tenant="anonymous:alice")[0].cost == 8
        assert store.totals("user", since, tenant="user:nobody") == []
        assert store.totals(since=since)[0].cost == 31


def test_a_span_of_time_includes_its_start_and_not_its_end(store):
    store.write([entry(str(n), at=float(n), cost=1 << n) for n in range(5)])
    assert store.totals("all", 1.0, 3.0)[0].cost == 0b110
    assert store.totals(since=3.0)[0].cost == 0b11000
    assert [e.id for e in store.entries(until=3.0, limit=2)] == ["2", "1"]


@pytest.mark.parametrize("by", ["all", "model", "user", "status", "day"])
def test_totals_are_those_of_the_rows_wherever_a_span_cuts_hours_and_days(store, by):
    draw = random.Random(7)
    entries = [
        entry(
            f"{n:04}",
            at=NOON + draw.uniform(-3 * DAY, 3 * DAY),
            kind=draw.choice(["key", "user", "anonymous"]),
            principal=draw.choice("abc"),
            model=draw.choice("mn"),
            status=draw.choice(["ok", "ok", "failed", "refused"]),
            tokens_in=draw.randrange(3),
            cost=draw.choice([None, n]),
        )
        for n in range(400)
    ]
    store.write(entries[:250])
    store.write(entries[200:])
    edges = [NOON, NOON + 1.5, NOON + 3599, NOON + 3600, NOON + DAY / 2, NOON + DAY / 2 - 0.5, NOON + 2 * DAY]
    for since in (0.0, NOON - 2 * DAY - 7, *edges):
        for until in (*edges, None):
            for tenant in (None, "user:a", "anonymous:b"):
                wanted = summed(entries, by, since, until, tenant)
                found = {t.name: (t.requests, t.tokens_in, t.cost, t.unpriced, t.errors, t.refused) for t in
                         store.totals(by, since, until, tenant=tenant)}  # fmt: skip
                assert found == wanted


def summed(entries, by, since, until, tenant):
    groups = {}
    for e in entries:
        owner = f"{'user' if e.kind == 'key' else e.kind}:{e.principal}"
        if e.at < since or e.at >= (until or 9e9) or tenant not in (None, owner):
            continue
        day = time.strftime("%Y-%m-%d", time.gmtime(e.at))
        name = {"all": "", "model": e.model, "user": owner, "status": e.status, "day": day}[by]
        unpriced = e.cost is None and e.tokens_in > 0
        one = (1, e.tokens_in, e.cost or 0, unpriced, e.status == "failed", e.status == "refused")
        groups[name] = tuple(map(sum, zip(groups.get(name, (0,) * 6), one, strict=True)))
    return groups


def test_the_past_is_told_by_caller_and_model_without_what_was_refused(store):
    store.write(
        [
            entry("a", at=NOON + 1, model="m", tokens_in=3, tokens_out=4, cost=5),
            entry("b", at=NOON + 3599.5, model="m", cost=None),
            entry("c", at=NOON - 2 * DAY, kind="user", model="m", cost=7),
            entry("d", at=NOON + 2, model="m", status="refused"),
            entry("e", at=NOON - 3 * DAY, cost=9),
            entry("f", at=NOON - DAY, model="n", tokens_in=8, cache="hit"),
            entry("g", at=NOON - DAY / 2, model="n", tokens_in=2, cache="miss"),
        ]
    )
    hour = Past(NOON + 3600, "key", "alice", "", "", "m", 2, 7, 5)
    since = NOON - 2.25 * DAY
    assert store.past(since, HOUR) == [
        Past(NOON - 2 * DAY + 3600, "user", "alice", "", "", "m", 1, 0, 7),
        Past(NOON - DAY + 3600, "key", "alice", "", "", "n", 1, 0, 0),
        Past(NOON - DAY / 2 + 3600, "key", "alice", "", "", "n", 1, 2, 0),
        hour,
    ]
    assert [(p.end, p.cost, p.tokens) for p in store.past(since, DAY)] == [
        (NOON - 2 * DAY + 3600, 7, 0),
        (NOON - DAY / 2, 0, 0),
        (NOON + DAY / 2, 5, 7),
        (NOON + DAY / 2, 0, 2),
    ]
    assert store.past(NOON, HOUR) == [hour]


def test_an_unknown_grouping_is_refused(store):
    with pytest.raises(KeyError):
        store.totals("model; DROP TABLE entries")


def test_old_calls_are_forgotten_in_steps_and_their_days_sums_stay(store):
    hour = 3600.0
    store.write([entry(f"{n:02}", at=NOON + n * hour / 2, cost=1) for n in range(20)])
    before = NOON + 4.75 * hour
    steps = 0
    while store.forget(before, 3):
        steps += 1
    assert steps == 3
    assert not store.forget(before, 3)
    assert sorted(e.id for e in store.entries()) == [f"{n:02}" for n in range(10, 20)]
    assert store.totals("day")[0].requests == 20
    assert store.totals(since=NOON + 5 * hour, until=NOON + 10 * hour)[0].requests == 10
    assert store.totals(since=NOON + 3 * hour, until=NOON + 5 * hour)[0].requests == 2


def test_what_is_asked_is_found_by_indexes(store, database):
    """Not by reading all of a table: a month's totals must not slow down with the years."""
    hour = 3600.0
    store.write([entry(f"{n:05}", at=NOON - n * hour, principal=f"u{n % 50}", model="m") for n in range(4000)])
    for table in ("entries", "usage_hours", "usage_days"):
        database.run((f"ANALYZE {table}", ()))
    asked = []

    class Watched:
        def rows(self, sql, values=()):
            asked.append((sql, values))
            return database.rows(sql, values)

    watched = LedgerTable(Watched())
    assert watched.totals("model", NOON - 7 * DAY - 5)[0].requests == 169
    assert watched.totals("day", NOON - 7 * DAY, NOON - 1, tenant="user:u1")
    assert len(watched.entries(limit=20)) == 20
    for sql, values in asked:
        plan = "\n".join(str(line[-1]) for line in database.rows(f"{explain(database)} {sql}", values))
        assert "Seq Scan" not in plan, plan
        assert "SCAN entries" not in plan, plan
        assert "SCAN usage" not in plan, plan
        assert "Index" in plan or "SEARCH" in plan or "USING INDEX" in plan, plan


def explain(database):
    return "EXPLAIN QUERY PLAN" if isinstance(database, SqliteDatabase) else "EXPLAIN"
