"""The embedded database: safe between threads and processes, private, and migrated once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from headgate.core.faults import Unavailable
from headgate.stores.schema import SchemaTooNew, migrations
from headgate.stores.sqlite import SqliteDatabase


@pytest.fixture
def database(tmp_path):
    database = SqliteDatabase(tmp_path / "data" / "headgate.db")
    yield database
    database.close()


def table(database):
    database.run(("CREATE TABLE t (n INTEGER PRIMARY KEY, s TEXT)", ()))


def test_file_and_directory_belong_to_their_owner_alone(database):
    table(database)
    for path in database.path.parent.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path
    assert database.path.parent.stat().st_mode & 0o777 == 0o700


def test_migrations_are_applied_in_order_and_once(database):
    assert database.schema_version() == 0
    assert database.pending() == database.migrate() == [m.name for m in migrations()]
    assert database.migrate() == database.pending() == []
    assert database.schema_version() == max(m.version for m in migrations())


def test_a_newer_schema_is_refused(database):
    database.migrate()
    database.run(("INSERT INTO schema_migrations (version, name, at) VALUES (9999, 'future', 0)", ()))
    with pytest.raises(SchemaTooNew, match="9999"):
        database.migrate()
    with pytest.raises(SchemaTooNew):
        database.pending()


def test_several_processes_may_migrate_at_once(tmp_path):
    code = (
        "import sys; from headgate.stores.sqlite import SqliteDatabase\n"
        "sys.stdin.readline(); print(len(SqliteDatabase(sys.argv[1]).migrate()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x" / "headgate.db")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(5)]
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    answers = [process.communicate()[0] for process in processes]
    assert sorted(int(answer) for answer in answers) == [0, 0, 0, 0, len(migrations())]


def test_a_transaction_is_whole_or_nothing(database):
    table(database)
    with pytest.raises(sqlite3.IntegrityError):
        database.run(("INSERT INTO t VALUES (1, 'a')", ()), ("INSERT INTO t VALUES (1, 'b')", ()))
    with pytest.raises(sqlite3.IntegrityError):
        database.many("INSERT INTO t VALUES (?, ?)", [(1, "a"), (1, "b")])
    assert database.rows("SELECT * FROM t") == []


def test_run_says_how_many_rows_the_last_statement_changed(database):
    table(database)
    database.many("INSERT INTO t VALUES (?, ?)", [(n, "x") for n in range(5)])
    assert database.run(("UPDATE t SET s = 'y' WHERE n < ?", (3,))) == 3


def test_a_query_cannot_write(database):
    table(database)
    with pytest.raises(Unavailable):
        database.rows("INSERT INTO t VALUES (1, 'a') RETURNING n")
    assert database.rows("SELECT * FROM t") == []


def test_threads_write_and_read_together(database):
    table(database)

    def work(first):
        for n in range(first, first + 20):
            database.run(("INSERT INTO t VALUES (?, 'x')", (n,)))
            assert database.rows("SELECT n FROM t WHERE n = ?", (n,)) == [(n,)]

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 100, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.rows("SELECT count(*) FROM t") == [(100,)]


def test_a_lock_that_stays_is_reported_and_then_forgotten(tmp_path):
    database, other = SqliteDatabase(tmp_path / "a.db", busy=0.05), SqliteDatabase(tmp_path / "a.db")
    table(database)
    other._writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        database.run(("INSERT INTO t VALUES (1, 'a')", ()))
    other._writer.execute("ROLLBACK")
    database.run(("INSERT INTO t VALUES (1, 'a')", ()))
    database.close()
    other.close()


def test_a_mistake_in_sql_is_not_taken_for_an_outage(database):
    with pytest.raises(sqlite3.OperationalError):
        database.rows("SELECT * FROM nowhere")


def test_a_path_that_cannot_be_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        SqliteDatabase(tmp_path / "file" / "headgate.db")


def test_a_file_that_is_no_database_is_reported(tmp_path):
    (tmp_path / "a.db").write_bytes(os.urandom(8192))
    with pytest.raises(Unavailable):
        SqliteDatabase(tmp_path / "a.db")


def test_a_closed_database_answers_nothing(tmp_path):
    database = SqliteDatabase(tmp_path / "a.db")
    database.close()
    with pytest.raises(Unavailable):
        database.rows("SELECT 1")
    with pytest.raises(Unavailable):
        database.run(("SELECT 1", ()))
