"""What only a database on a server must bear: other processes, dead connections, and a server that does not answer."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from headgate.core.faults import Unavailable
from headgate.stores.opening import SchemaOutOfDate, make_ready, open_database
from headgate.stores.postgres import PostgresDatabase
from headgate.stores.schema import SchemaTooNew, migrations
from servers import postgres

NAMES = [migration.name for migration in migrations()]


@pytest.fixture
def database(postgres_url, tmp_path):
    database = PostgresDatabase(postgres_url, tmp_path)
    yield database
    database.close()


@pytest.fixture(scope="module")
def server():
    """A server of this module's own, to be mistreated."""
    with postgres() as server:
        yield server


def table(database):
    database.run(("CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT)", ()))


def test_of_many_that_migrate_at_once_one_does_the_work(postgres_url, tmp_path):
    def migrate(_):
        database = PostgresDatabase(postgres_url, tmp_path)
        try:
            return database.migrate()
        finally:
            database.close()

    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(migrate, range(6)))
    assert sorted(done) == [[]] * 5 + [NAMES]


def test_a_schema_that_waits_for_the_operator_is_refused_and_the_command_named(database):
    with pytest.raises(SchemaOutOfDate, match="headgate migrate"):
        make_ready(database)
    assert database.schema_version() == 0
    assert database.pending() == database.migrate() == NAMES
    make_ready(database)
    database.run(("INSERT INTO schema_migrations VALUES (9999, 'future', 0)", ()))
    with pytest.raises(SchemaTooNew):
        make_ready(database)


def test_an_embedded_database_is_made_ready_at_once(tmp_path):
    database = open_database("sqlite:///headgate.db", tmp_path)
    make_ready(database)
    assert database.pending() == []
    database.close()


def test_a_transaction_is_whole_or_not_at_all(database):
    table(database)
    with pytest.raises(psycopg.IntegrityError):
        database.run(("INSERT INTO t VALUES (?, ?)", (1, "a")), ("INSERT INTO t VALUES (?, ?)", (1, "b")))
    with pytest.raises(psycopg.IntegrityError):
        database.many("INSERT INTO t VALUES (?, ?)", [(1, "a"), (1, "b")])
    assert database.rows("SELECT * FROM t") == []
    database.many("INSERT INTO t VALUES (?, ?)", [(n, "x") for n in range(5)])
    assert database.run(("UPDATE t SET s = '100%' WHERE n > ?", (2,))) == 2
    assert database.rows("SELECT n FROM t WHERE s = '100%' ORDER BY n") == [(3,), (4,)]


def test_text_that_postgres_cannot_keep_is_kept_without_it(database):
    table(database)
    database.run(("INSERT INTO t VALUES (?, ?)", (1, "a\0b")))
    assert database.rows("SELECT s FROM t WHERE s = ?", ("a\0b",)) == [("a\ufffdb",)]


def test_nothing_is_left_in_a_session_for_the_next_who_gets_it_from_a_pooler(database):
    table(database)
    for n in range(10):
        database.run(("INSERT INTO t VALUES (?, ?)", (n, "x")))
        database.rows("SELECT * FROM t WHERE n = ?", (n,))
    [line] = database._idle
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        assert line.connection.execute(f"SHOW {name}").fetchone() == ("0",)
    assert line.connection.execute("SELECT COUNT(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_connections_that_died_in_the_pool_go_unnoticed(database, postgres_url):
    table(database)
    meet = threading.Barrier(3)

    def use(n):
        meet.wait()
        database.run((f"SELECT pg_sleep(0.1), {n}", ()))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(use, range(3)))
    assert len(database._idle) == 3
    with psycopg.connect(postgres_url, autocommit=True) as other:
        killed = "pid <> pg_backend_pid() AND datname = current_database()"
        other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {killed}")
    time.sleep(0.1)
    database.run(("INSERT INTO t VALUES (1, 'x')", ()))
    assert database.rows("SELECT COUNT(*) FROM t") == [(1,)]


def test_a_lock_of_somebody_elses_is_not_waited_for_forever(postgres_url, tmp_path):
    database = PostgresDatabase(postgres_url, tmp_path, patience=0.4)
    table(database)
    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE t")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="55P03"):
            database.run(("INSERT INTO t VALUES (1, 'x')", ()))
        assert time.monotonic() - began < 5
    with pytest.raises(Unavailable, match="57014"):
        database.rows("SELECT pg_sleep(60)")
    assert database.run(("INSERT INTO t VALUES (1, 'x')", ())) == 1
    database.close()


def test_a_server_that_is_frozen_killed_or_gone_is_unavailable_until_it_is_back(server, tmp_path, monkeypatch):
    monkeypatch.setattr("headgate.stores.postgres._GRACE", 0.2)
    monkeypatch.setattr("headgate.stores.postgres._CONNECT", 2)
    secret = server.url.replace("postgres@", "postgres:hunter2@")
    database = PostgresDatabase(secret, tmp_path, patience=0.5)
    database.rows("SELECT 1")
    server.signal(signal.SIGSTOP)
    with pytest.raises(Unavailable) as frozen:
        database.rows("SELECT 1")
    server.signal(signal.SIGCONT)
    assert database.rows("SELECT 1") == [(1,)]
    server.stop()
    with pytest.raises(Unavailable) as gone:
        database.rows("SELECT 1")
    server.start()
    assert database.rows("SELECT 1") == [(1,)]
    assert "hunter2" not in f"{frozen.value} {gone.value}"
    database.close()
