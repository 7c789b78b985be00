"""PostgreSQL, by psycopg in worker threads: a few pooled connections, and no state that outlives a transaction.

Nothing is prepared and nothing is set for a session, so it works behind PgBouncer in transaction mode. Every
transaction bounds its own statements, locks and idleness; a timer on our side cuts a server that does not answer at
all, since no setting of the server's can.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from msgspec import json

from headgate.core.faults import Unavailable
from headgate.stores.schema import TABLE, Migration, pending

CONNECTIONS = 8
IDLE = 4
PATIENCE = 10.0
MIGRATION = 600.0

_LOCK = 0x68656164  # of migrations, for all Headgates on one server
_CONNECT = 3
_GRACE = 2.0
_encode = json.Encoder().encode
_KEPT_ALIVE: dict[str, Any] = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


class PostgresDatabase:
    """A `Database` at `url` (`postgresql://user:password@host/name`); `folder` is for what is kept on the local disk.

    Every method may be called from any thread and by several processes at once. Raises Unavailable where the server
    cannot be reached, or does not answer within `patience` seconds.
    """

    def __init__(self, url: str, folder: str | Path, *, patience: float = PATIENCE) -> None:
        self.folder = Path(folder)
        self._url = url
        self._patience = patience
        self._room = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: deque[_Line] = deque()
        self._closed = False

    def run(self, *statements: tuple[str, Sequence[object]]) -> int:
        """Execute the statements in one transaction; the number of rows that the last one changed."""
        changed = 0
        with self._transaction(self._patience) as connection:
            for sql, values in statements:
                changed = connection.execute(_native(sql), _bound(values)).rowcount
        return changed

    def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute one statement for each row, in one transaction."""
        with self._transaction(self._patience) as connection, connection.cursor() as cursor:
            cursor.executemany(_native(sql), [_bound(row) for row in rows])

    def inserts(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], then: str = ""
    ) -> Iterator[tuple[str, Sequence[object]]]:
        """One statement with all rows in one value, as JSON: a value each costs psycopg ten times as much CPU."""
        if rows:
            names = ", ".join(columns)
            source = f"json_populate_recordset(NULL::{table}, ?::json)"
            yield f"INSERT INTO {table} ({names}) SELECT {names} FROM {source} {then}", [_json(columns, rows)]  # noqa: S608

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, read from one snapshot."""
        with self._transaction(self._patience, "READ ONLY") as connection:
            return connection.execute(_native(sql), _bound(values)).fetchall()

    @contextmanager
    def transaction(self, patience: float | None = None) -> Iterator[Transaction]:
        """Several statements together: they count when the block ends, unless it raises."""
        with self._transaction(patience or self._patience) as connection:
            yield Transaction(connection)

    def migrate(self) -> list[str]:
        """Bring the schema up to date; the names of the migrations applied. Raises SchemaTooNew.

        Of several processes that start at once one does the work and the others wait for it.
        """
        with self._transaction(MIGRATION) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            todo = pending(_applied(connection))
            if todo:
                connection.execute(TABLE)
            for migration in todo:
                _apply(connection, migration)
        return [migration.name for migration in todo]

    def pending(self) -> list[str]:
        """The names of the migrations that `migrate` would apply. Raises SchemaTooNew."""
        with self._transaction(self._patience, "READ ONLY") as connection:
            return [migration.name for migration in pending(_applied(connection))]

    def schema_version(self) -> int:
        """The number of the newest migration applied; 0 for an empty database."""
        with self._transaction(self._patience, "READ ONLY") as connection:
            return max(_applied(connection), default=0)

    def close(self) -> None:
        """Close every connection; a later call of any other method raises Unavailable."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    @contextmanager
    def _transaction(self, patience: float, mode: str = "") -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A transaction that ends with the block."""
        if not self._room.acquire(timeout=patience):
            raise Unavailable("the database is busy")
        try:
            with _unavailable(), self._begun(patience, mode) as line:
                try:
                    yield line.connection
                    line.connection.execute("COMMIT")
                except BaseException:
                    line.roll_back()
                    raise
        finally:
            self._room.release()

    @contextmanager
    def _begun(self, patience: float, mode: str) -> Iterator[_Line]:
        """A connection in a new transaction; one from the pool that has died meanwhile is noticed here."""
        while True:
            line = self._taken()
            line.cut_after(patience + _GRACE)
            try:
                line.begin(patience, mode)
            except psycopg.OperationalError:
                line.close()
                if line.fresh:
                    raise
                continue
            try:
                yield line
            finally:
                line.let_be()
                self._give_back(line)
            return

    def _taken(self) -> _Line:
        if self._closed:
            raise psycopg.InterfaceError("closed")
        try:
            line = self._idle.pop()
        except IndexError:
            return _Line(self._url)
        line.fresh = False
        return line

    def _give_back(self, line: _Line) -> None:
        if self._closed or not line.sound or len(self._idle) >= IDLE:
            line.close()
        else:
            self._idle.append(line)


class Transaction:
    """What can be done within a transaction, in SQL with `?`."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[object] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        """One statement, with its rows."""
        return self._connection.execute(_native(sql), _bound(values))

    def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each row."""
        if rows:
            with self._connection.cursor() as cursor:
                cursor.executemany(_native(sql), [_bound(row) for row in rows])


class _Line:
    """One connection, and what cuts it. `fresh` until it has been in the pool."""

    def __init__(self, url: str) -> None:
        self.fresh = True
        self.connection = psycopg.connect(
            url, autocommit=True, prepare_threshold=None, connect_timeout=_CONNECT, **_KEPT_ALIVE
        )
        self._socket = socket.socket(fileno=os.dup(self.connection.fileno()))
        self._timer: threading.Timer | None = None

    @property
    def sound(self) -> bool:
        """Whether it can begin another transaction."""
        return self.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def cut_after(self, seconds: float) -> None:
        """Break the connection unless `let_be` is called in time: whoever waits on it is told that it is lost."""
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def let_be(self) -> None:
        """The server has answered."""
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, patience: float, mode: str) -> None:
        """Open a transaction whose bounds end with it, in one message."""
        limit = int(patience * 1000)
        bounds = f"statement_timeout = {limit}; SET LOCAL lock_timeout = {limit // 2}; SET LOCAL"
        idle = f"idle_in_transaction_session_timeout = {2 * limit}"
        self.connection.execute(f"BEGIN {mode}; SET LOCAL {bounds} {idle}")

    def roll_back(self) -> None:
        """End the transaction without its changes, unless the connection is gone."""
        if not self.connection.closed and not self.sound:
            with suppress(psycopg.Error):
                self.connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close it."""
        self.let_be()
        self._socket.close()
        self.connection.close()

    def _cut(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@lru_cache(maxsize=512)
def _native(sql: str) -> str:
    """The SQL that all databases share, with psycopg's placeholders."""
    return sql.replace("%", "%%").replace("?", "%s")


def _bound(values: Sequence[object]) -> list[object]:
    """The values; PostgreSQL keeps no NUL in text."""
    return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in values]


def _json(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = _encode([dict(zip(columns, row, strict=True)) for row in rows]).decode()
    if "\\u0000" in text:
        return _encode([dict(zip(columns, _bound(row), strict=True)) for row in rows]).decode()
    return text


def _applied(connection: psycopg.Connection[tuple[Any, ...]]) -> list[int]:
    if connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,):
        return []
    return [version for (version,) in connection.execute("SELECT version FROM schema_migrations").fetchall()]


def _apply(connection: psycopg.Connection[tuple[Any, ...]], migration: Migration) -> None:
    for statement in migration.statements:
        here = re.sub(r"\s+WITHOUT ROWID\b", "", statement)
        connection.execute(re.sub(r"\bBLOB\b", "BYTEA", here))
    row = (migration.version, migration.name, time.time())
    connection.execute("INSERT INTO schema_migrations (version, name, at) VALUES (%s, %s, %s)", row)


@contextmanager
def _unavailable() -> Iterator[None]:
    """Failures of the server, not of our SQL, become Unavailable. Its words may hold the address: they stay here."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        why = error.sqlstate or "no connection"
        raise Unavailable(f"the database is out of reach ({why})") from error
