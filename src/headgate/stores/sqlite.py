"""The embedded database: stdlib `sqlite3` in WAL mode; one writer connection under a lock, readers from a pool.

A commit waits for the disk (`synchronous = FULL`), so that a revoked key stays revoked after a power cut. It is paid
in worker threads only: the ledger, the one frequent writer, commits a few times a second.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headgate.core.faults import Unavailable
from headgate.stores.inserting import Inserting
from headgate.stores.schema import TABLE, Migration, pending

IDLE_READERS = 8


class SqliteDatabase:
    """A `Database` in one file, which is created, readable by its owner only, with its directory.

    Every method may be called from any thread and by several processes at once; a writer waits up to `busy` seconds
    for another. Raises Unavailable where the file cannot be opened, read or written, or stays locked. Where it is not
    to be created, it must be there.
    """

    def __init__(self, path: str | Path, *, busy: float = 5.0, create: bool = True) -> None:
        self.path = Path(path)
        self.folder = self.path.parent
        self._busy = busy
        self._address = f"{self.path.absolute().as_uri()}?mode=rw"
        self._lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._inserting = Inserting()
        sqlite3.register_adapter(bool, int)  # as it is stored in any case, but after a search for another way
        with _unavailable():
            if create:
                _create(self.path)
            self._writer = self._connect()

    def run(self, *statements: tuple[str, Sequence[object]]) -> int:
        """Execute the statements in one transaction; the number of rows that the last one changed."""
        changed = 0
        with self.transaction() as connection:
            for sql, values in statements:
                changed = connection.execute(sql, values).rowcount
        return changed

    def many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute one statement for each row, in one transaction."""
        with self.transaction() as connection:
            connection.executemany(sql, rows)

    def inserts(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], then: str = ""
    ) -> Iterator[tuple[str, Sequence[object]]]:
        """The statements that insert the rows, many with each."""
        return self._inserting.statements(table, tuple(columns), rows, then)

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, read from one snapshot; never waits for a writer."""
        with _unavailable():
            try:
                reader = self._readers.pop()
            except IndexError:
                reader = self._connect(reader=True)
            try:
                return reader.execute(sql, values).fetchall()
            finally:
                self._give_back(reader)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The writer, in a transaction that ends with the block."""
        with self._lock, _unavailable():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def migrate(self) -> list[str]:
        """Bring the schema up to date; the names of the migrations applied. Raises SchemaTooNew.

        Of several processes that start at once one does the work and the others wait for it.
        """
        with self.transaction() as connection:
            todo = pending(_applied(connection))
            if todo:
                connection.execute(TABLE)
            for migration in todo:
                _apply(connection, migration)
        return [migration.name for migration in todo]

    def pending(self) -> list[str]:
        """The names of the migrations that `migrate` would apply. Raises SchemaTooNew."""
        with self._lock, _unavailable():
            return [migration.name for migration in pending(_applied(self._writer))]

    def schema_version(self) -> int:
        """The number of the newest migration applied; 0 for an empty database."""
        with self._lock, _unavailable():
            return max(_applied(self._writer), default=0)

    def close(self) -> None:
        """Close every connection; a later call of any other method raises Unavailable."""
        with self._lock:
            self._closed = True
            self._writer.close()
            while self._readers:
                self._readers.pop().close()

    def _connect(self, *, reader: bool = False) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("closed")
        connection = sqlite3.connect(
            self._address, timeout=self._busy, isolation_level=None, check_same_thread=False, uri=True
        )
        _to_wal(connection, time.monotonic() + self._busy)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", f"query_only = {int(reader)}"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _give_back(self, reader: sqlite3.Connection) -> None:
        if self._closed or len(self._readers) >= IDLE_READERS:
            reader.close()
        else:
            self._readers.append(reader)


def _create(path: Path) -> None:
    """Make the directory and the file, so that nobody else reads them; SQLite gives its side files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _to_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Switch the file to WAL; SQLite's own busy timeout does not cover the very first switch."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _applied(connection: sqlite3.Connection) -> list[int]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'").fetchone():
        return []
    return [version for (version,) in connection.execute("SELECT version FROM schema_migrations").fetchall()]


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in migration.statements:
        connection.execute(statement)
    row = (migration.version, migration.name, time.time())
    connection.execute("INSERT INTO schema_migrations (version, name, at) VALUES (?, ?, ?)", row)


@contextmanager
def _unavailable() -> Iterator[None]:
    """Failures of the file, not of our SQL, become Unavailable."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the database cannot be opened: {error.strerror}") from error
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise
        raise Unavailable(f"the database is out of reach: {error}") from error
