"""Behind PgBouncer in transaction mode, where each transaction may meet another session, and none is ever reset."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from headgate.core.entry import Entry
from headgate.core.faults import Unavailable
from headgate.stores.keys import KeyStore
from headgate.stores.ledger import LedgerTable
from headgate.stores.postgres import PostgresDatabase
from headgate.stores.schema import migrations
from journeys._asking import ask
from journeys._service import ADMIN, SOURCE, command, serving
from servers import pgbouncer


@pytest.fixture
def pooled_url(postgres_url):
    """An empty database whose two connections all share."""
    with tempfile.TemporaryDirectory(prefix="headgate-pgb-") as folder, pgbouncer(Path(folder), postgres_url) as url:
        yield url


@pytest.fixture
def database(pooled_url, tmp_path):
    database = PostgresDatabase(pooled_url, tmp_path)
    yield database
    database.close()


def test_many_who_share_two_connections_get_their_own_answers(database, pooled_url):
    database.migrate()
    ledger, keys = LedgerTable(database), KeyStore(database)

    def work(who):
        for n in range(10):
            ledger.write([Entry(id=f"{who}-{m}", at=1e9 + m, request_id="r", principal=f"{who}") for m in range(n + 1)])
            text, record = keys.create(user=f"{who}")
            assert keys.get(record.id).user == f"{who}"
            assert ledger.totals("all", tenant=f"nobody:{who}")[0].requests == n + 1
        return len(text)

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(work, range(8)))) == 8
    assert ledger.totals()[0].requests == 80
    with psycopg.connect(pooled_url, autocommit=True, prepare_threshold=None) as plain:
        sessions = plain.execute("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()
        assert sessions is not None
        assert sessions[0] <= 2
        for _ in range(4):
            assert plain.execute("SHOW statement_timeout").fetchone() == ("0",)
            assert plain.execute("SELECT COUNT(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert plain.execute("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_transaction_that_failed_leaves_nothing_to_whoever_comes_next(database):
    database.run(("CREATE TABLE t (n INTEGER PRIMARY KEY)", ()))
    for _ in range(5):
        with pytest.raises(psycopg.IntegrityError):
            database.run(("INSERT INTO t VALUES (1)", ()), ("INSERT INTO t VALUES (1)", ()))
        assert database.rows("SELECT COUNT(*) FROM t") == [(0,)]


def test_its_bounds_hold_there_too(pooled_url, tmp_path):
    database = PostgresDatabase(pooled_url, tmp_path, patience=0.3)
    with pytest.raises(Unavailable, match="57014"):
        database.rows("SELECT pg_sleep(60)")
    assert database.rows("SELECT 1") == [(1,)]
    database.close()


def test_of_three_processes_that_migrate_at_once_one_does_the_work(pooled_url, tmp_path):
    (tmp_path / "headgate.toml").write_text(f'[store]\nurl = "{pooled_url}"\n')
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "headgate", "migrate"],
            cwd=tmp_path,
            env={"PYTHONPATH": SOURCE},
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    said = sorted(process.communicate(timeout=60)[0].decode() for process in started)
    assert [process.returncode for process in started] == [0, 0, 0]
    assert said[:2] == ["The schema is up to date.\n"] * 2
    assert said[2].split() == [word for each in migrations() for word in ("applied", each.name)]


@pytest.mark.anyio
async def test_a_service_lives_behind_it(pooled_url, tmp_path):
    config = f'[store]\nurl = "{pooled_url}"\n[models.parrot]\ntargets = ["echo/echo"]\n[tiers.open]\n'
    (tmp_path / "headgate.toml").write_text(config)
    await command(tmp_path, "migrate")
    async with serving(tmp_path, config) as service:
        key = (await service.post("/admin/keys", {"tier": "open", "user": "ann"}, key=ADMIN)).json["key"]
        for _ in range(5):
            assert (await service.post("/chat", ask("simple", "parrot"), key=key)).status == 200
        assert (await service.get("/usage", key=key)).json["total"]["requests"] == 5
        assert (await service.get("/ready")).status == 200
