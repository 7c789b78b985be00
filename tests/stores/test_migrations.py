"""What a database of an older version holds is there after its migration, too."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headgate.core.entry import Entry
from headgate.stores import schema
from headgate.stores.ledger import LedgerTable
from headgate.stores.opening import open_database
from journeys._service import SOURCE

HOUR = 3600.0
DAY = 24 * HOUR
START = 20_000 * DAY
# fmt: off
COLUMNS = [
    "id", "at", "request_id", "kind", "principal", "key_id", "tier", "address", "surface", "stream", "model",
    "provider", "target", "tries", "tokens_in", "tokens_out", "cached", "cache_write", "reasoning",
    "estimated", "cost", "price", "cache", "first_ms", "total_ms", "status", "finish", "error",
]
"""Of the first version's rows."""
# fmt: on


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
    rows = [[getattr(entry, name) for name in COLUMNS] for entry in old]
    empty.run(*empty.inserts("entries", COLUMNS, rows))
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


@pytest.fixture(params=["sqlite", "postgres"])
def folder(request, tmp_path):
    """An operator's folder, whose configuration names an empty database."""
    url = "sqlite:///data/headgate.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    (tmp_path / "headgate.toml").write_text(f'[store]\nurl = "{url}"\n')
    return tmp_path


def run(folder, *words):
    """A `headgate …` that has been started."""
    return subprocess.Popen(
        [sys.executable, "-m", "headgate", *words],
        cwd=folder,
        env={"PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_three_processes_that_migrate_at_once_one_does_the_work(folder):
    started = [run(folder, "migrate") for _ in range(3)]
    said = sorted(process.communicate(timeout=60)[0] for process in started)
    assert [process.returncode for process in started] == [0, 0, 0]
    assert said[:2] == ["The schema is up to date.\n"] * 2
    assert said[2].split() == [word for each in schema.migrations() for word in ("applied", each.name)]


def test_a_database_of_a_newer_version_is_served_by_nobody_and_left_alone(folder):
    run(folder, "migrate").communicate(timeout=60)
    url = (folder / "headgate.toml").read_text().split('"')[1]
    database = open_database(url, folder)
    database.run(("INSERT INTO schema_migrations (version, name, at) VALUES (9999, 'future', 0)", ()))
    for words in (("serve", "--port", "0"), ("migrate",), ("usage",)):
        process = run(folder, *words)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1, told
        assert "9999" in told
        assert "newer version" in told
        assert "Traceback" not in told
    assert database.rows("SELECT COUNT(*) FROM schema_migrations") == [(len(schema.migrations()) + 1,)]
    database.close()
