"""What a database of an older version holds is there after its migration, too."""

from __future__ import annotations

import pytest
from msgspec import structs

from headgate.core.entry import Entry
from headgate.stores import schema
from headgate.stores.ledger import COLUMNS, ROW, LedgerTable
from headgate.stores.opening import open_database

HOUR = 3600.0
DAY = 24 * HOUR
START = 20_000 * DAY


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request, tmp_path):
    url = "sqlite:///headgate.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url, tmp_path)
    yield database
    database.close()


def test_rows_from_before_the_sums_are_in_the_sums(empty, monkeypatch):
    known = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: [each for each in known if each.version < 5])
    empty.migrate()
    old = [
        Entry(id=str(n), at=START + at, request_id="r", kind="key", principal="ann", key_id="k", tokens_in=2, cost=cost)
        for n, (at, cost) in enumerate([(0.0, 5), (HOUR - 0.4, None), (HOUR, 7), (DAY - 0.5, 11), (DAY, 13)])
    ]
    empty.many(f"INSERT INTO entries ({', '.join(COLUMNS)}) VALUES {ROW}", [structs.astuple(entry) for entry in old])
    monkeypatch.undo()
    assert "0005_usage" in empty.migrate()
    table = LedgerTable(empty)
    table.write([Entry(id="new", at=START + 1.0, request_id="r", kind="key", principal="ann", cost=100)])
    table.write([Entry(id="0", at=START, request_id="r", cost=1)])
    assert [(t.name, t.requests, t.tokens_in, t.cost, t.unpriced) for t in table.totals("day")] == [
        ("2024-10-04", 5, 8, 123, 1),
        ("2024-10-05", 1, 2, 13, 0),
    ]
    assert {t.name: t.cost for t in table.totals("key", START, START + HOUR)} == {"k": 5, "": 100}
    assert table.totals(since=START + HOUR)[0].requests == 3
