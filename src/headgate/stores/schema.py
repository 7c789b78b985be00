"""Migrations: `migrations/NNNN_name.sql`, applied in the order of their numbers, each once, never changed afterwards.

They are written in what SQLite and PostgreSQL share; `WITHOUT ROWID` and `BLOB` are SQLite's words, which a store
for PostgreSQL drops and spells `BYTEA`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from importlib import resources

from msgspec import Struct

TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL
)
"""


class SchemaTooNew(Exception):
    """The database was migrated by a newer Headgate; this one does not know its tables."""


class Migration(Struct, frozen=True):
    """One file of `migrations/`: `version` is its number, `name` its name without the suffix."""

    version: int
    name: str
    statements: tuple[str, ...]


def migrations() -> list[Migration]:
    """Every migration that this version of the code knows, in order."""
    files = [f for f in resources.files("headgate.stores").joinpath("migrations").iterdir() if f.name.endswith(".sql")]
    return [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), tuple(_statements(file.read_text("utf-8"))))
        for file in sorted(files, key=lambda file: file.name)
    ]


def pending(applied: Iterable[int]) -> list[Migration]:
    """The known migrations that are not among the applied versions. Raises SchemaTooNew."""
    known, done = migrations(), set(applied)
    newest, there = max((m.version for m in known), default=0), max(done, default=0)
    if there > newest:
        raise SchemaTooNew(
            f"the database has schema version {there}, this Headgate knows up to {newest}: "
            "run the newer version that wrote it, or restore a backup"
        )
    return [migration for migration in known if migration.version not in done]


def _statements(script: str) -> Iterable[str]:
    """The statements of a script; a statement ends at the end of a line."""
    statement = ""
    for line in script.splitlines():
        if not statement and (not line.strip() or line.lstrip().startswith("--")):
            continue
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends in the middle of a statement: {statement.strip()[:80]}")
