"""What every `LedgerStore` keeps, whatever it is made of."""

from __future__ import annotations

import threading

import pytest
from msgspec import structs

from headgate.core.entry import Entry
from headgate.core.faults import Unavailable
from headgate.stores.ledger import LedgerTable

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
    assert {e.id for e in store.entries(tenant="user:alice")} == {"a", "b"}
    assert store.spent(0, tenant="user:alice") == 3
    assert store.totals(tenant="user:alice")[0].requests == 2
    assert store.spent(0, tenant="anonymous:alice") == 8
    assert store.totals("user", tenant="user:nobody") == []
    assert store.spent(0) == 31


def test_a_span_of_time_includes_its_start_and_not_its_end(store):
    store.write([entry(str(n), at=float(n), cost=1 << n) for n in range(5)])
    assert store.totals("all", 1.0, 3.0)[0].cost == 0b110
    assert store.spent(3.0) == 0b11000
    assert [e.id for e in store.entries(until=3.0, limit=2)] == ["2", "1"]


def test_an_unknown_grouping_is_refused(store):
    with pytest.raises(KeyError):
        store.totals("model; DROP TABLE entries")
