"""`PgvectorIndex`: vectors in PostgreSQL with the extension pgvector, searched exactly within their collection.

Source: https://github.com/pgvector/pgvector. `<#>` is the negative inner product, which is the negative cosine here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from headgate.core.faults import Unavailable
from headgate.core.knowledge import Near, Scope, Vector
from headgate.rag.indexes.labels import choices, labels_of, name_of
from headgate.stores.opening import SchemaOutOfDate
from headgate.stores.postgres import PostgresDatabase

EXTENSION = "vector"
"""What PostgreSQL calls pgvector."""

_AVAILABLE = "SELECT 1 FROM pg_available_extensions WHERE name = ?"
_MAKE = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    """
CREATE TABLE IF NOT EXISTS knowledge_vectors (
    collection TEXT NOT NULL,
    passage TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    labels TEXT[] NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (collection, passage)
)
""",
)
_READY = "SELECT to_regclass('knowledge_vectors') IS NOT NULL"
_PUT = """
INSERT INTO knowledge_vectors (collection, passage, dimension, labels, embedding) VALUES (?, ?, ?, ?, ?::vector)
ON CONFLICT (collection, passage) DO UPDATE
SET dimension = excluded.dimension, labels = excluded.labels, embedding = excluded.embedding
"""
_NEAREST = """
WITH fitting AS MATERIALIZED (
    SELECT passage, embedding FROM knowledge_vectors WHERE collection = ? AND dimension = ? {filter}
)
SELECT passage, -(embedding <#> ?::vector) AS cosine FROM fitting ORDER BY cosine DESC, passage LIMIT ?
"""


class PgvectorIndex:
    """A `VectorIndex` in a PostgreSQL database, which `migrate` has made ready."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def migrate(self) -> None:
        """Make the extension and the table. Blocking. Raises Unavailable where the server has no pgvector."""
        if not self._database.rows(_AVAILABLE, (EXTENSION,)):
            raise Unavailable(f"the PostgreSQL server has no pgvector: install the extension `{EXTENSION}` on it")
        try:
            self._database.run(*((statement, ()) for statement in _MAKE))
        except psycopg.errors.InsufficientPrivilege as error:
            what = "this user may not create the extension `vector`: let an administrator run CREATE EXTENSION vector"
            raise Unavailable(what) from error

    def check(self) -> None:
        """Blocking. Raises SchemaOutOfDate where the table is not there, Unavailable."""
        if not self._database.rows(_READY)[0][0]:
            raise SchemaOutOfDate("the database has no table for vectors: run `headgate migrate`")

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Add vectors. Raises Unavailable."""
        name = name_of(scope)
        rows = [
            (name, each.passage_id, len(each.values), labels_of(each.metadata), _written(each.values))
            for each in sorted(vectors, key=lambda each: each.passage_id)  # in one order: no two wait for each other
        ]
        await asyncio.to_thread(self._database.many, _PUT, rows)

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Forget passages. Raises Unavailable."""
        delete = "DELETE FROM knowledge_vectors WHERE collection = ? AND passage = ANY(?)"
        await asyncio.to_thread(self._database.run, (delete, (name_of(scope), list(passage_ids))))

    async def drop(self, scope: Scope) -> None:
        """Forget the collection. Raises Unavailable."""
        delete = "DELETE FROM knowledge_vectors WHERE collection = ?"
        await asyncio.to_thread(self._database.run, (delete, (name_of(scope),)))

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages. Raises Unavailable."""
        wanted = choices(where)
        sql = _NEAREST.format(filter="AND labels && ?::text[] " * len(wanted))
        values = (name_of(scope), len(vector), *wanted, _written(vector), k)
        return [Near(*row) for row in await asyncio.to_thread(self._database.rows, sql, values)]


def _written(values: Sequence[float]) -> str:
    return f"[{','.join(map(repr, map(float, values)))}]"
