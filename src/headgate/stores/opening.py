"""Which database an address means, and whether its tables are what this version knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headgate.core.faults import Unavailable
from headgate.stores.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from headgate.stores.postgres import PostgresDatabase

    AnyDatabase = SqliteDatabase | PostgresDatabase

DATA = ".headgate"
"""The folder of what stays on the local disk, where the database is elsewhere."""


class SchemaOutOfDate(Exception):
    """The database waits for migrations, which an operator starts."""


def open_database(url: str, base_dir: Path) -> AnyDatabase:
    """The database of `[store] url`: `postgresql://…`, or `sqlite:///PATH`, from `base_dir` where PATH is relative.

    Raises Unavailable where it cannot be opened.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return SqliteDatabase(base_dir / rest.removeprefix("/"))
    try:
        from headgate.stores.postgres import PostgresDatabase  # noqa: PLC0415 - an extra: psycopg may not be there
    except ImportError as error:
        raise Unavailable('a PostgreSQL database needs psycopg: pip install "headgate[postgres]"') from error
    return PostgresDatabase(url, base_dir / DATA)


def make_ready(database: AnyDatabase) -> None:
    """Bring an embedded database up to date; a server's must be already. Raises SchemaOutOfDate, SchemaTooNew."""
    if isinstance(database, SqliteDatabase):
        database.migrate()
    elif waiting := database.pending():
        raise SchemaOutOfDate(f"the database's schema is not up to date ({', '.join(waiting)}): run `headgate migrate`")
