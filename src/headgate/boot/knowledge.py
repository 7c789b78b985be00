"""Opening what document search is made of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from headgate.boot.indexes import index_of
from headgate.config import Config, ConfigError, Problem
from headgate.core.knowledge import Near, Scope, Vector
from headgate.core.seams import Shelf
from headgate.engine.gate import Gate
from headgate.rag.embedder import GateEmbedder
from headgate.rag.ingest import Ingester
from headgate.rag.knowledge import Knowledge
from headgate.rag.reading import Reading
from headgate.rag.search import Searcher
from headgate.stores.shelf import SqliteShelf
from headgate.stores.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from headgate.rag.local import LocalEmbedder
    from headgate.stores.opening import AnyDatabase


async def open_knowledge(config: Config, database: AnyDatabase, gate: Gate, stack: AsyncExitStack) -> Knowledge:
    """The shelf in its folder, and what works on it. Raises ConfigError where an extra is wanted and not there."""
    settings = config.knowledge
    shelf = await open_shelf(database, stack)
    embedder = await asyncio.to_thread(embedder_of, config, gate)
    if not isinstance(embedder, GateEmbedder | None):
        stack.callback(embedder.close)
    index = await index_of(config, shelf, database, stack) if settings.embedder else NoIndex()
    reading = Reading(
        seconds=settings.read_timeout,
        memory=settings.read_memory,
        pages=settings.max_pages,
        most=settings.max_text_chars,
    )
    ingester = Ingester(shelf, index, embedder, chunk=settings.chunk_chars, reading=reading, hands=settings.hands)
    return Knowledge(shelf, index, embedder, Searcher(shelf, index, embedder), ingester)


async def open_shelf(database: AnyDatabase, stack: AsyncExitStack) -> Shelf:
    """The shelf: files beside a SQLite database, tables in PostgreSQL. Raises Unavailable."""
    if isinstance(database, SqliteDatabase):
        files = await asyncio.to_thread(SqliteShelf, database.folder / "knowledge")
        stack.callback(files.close)
        return files
    from headgate.stores.postgres_shelf import PostgresShelf  # noqa: PLC0415 - an extra: psycopg may not be there

    tables = await asyncio.to_thread(PostgresShelf, database)
    stack.callback(tables.close)
    return tables


def embedder_of(config: Config, gate: Gate) -> GateEmbedder | LocalEmbedder | None:
    """What makes vectors; None where nothing is configured. Raises ConfigError."""
    settings = config.knowledge
    if not settings.embedder:
        return None
    if settings.embedder != "local":
        return GateEmbedder(gate, settings.embedder)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is there: on a busy machine its threads only spin
    try:
        from headgate.rag.local import LocalEmbedder  # noqa: PLC0415 - an extra: numpy may not be there

        return LocalEmbedder(config.base_dir / settings.model_folder)
    except ImportError as error:
        what = f'needs {error.name}: pip install "headgate[local]"'
    except (OSError, ValueError) as error:
        what = f"is no model that can be used: {error}"
    raise ConfigError([Problem("knowledge.model_folder", str(config.path or "environment"), what)])


class NoIndex:
    """A `VectorIndex` that has nothing, where there are no vectors."""

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Do nothing."""

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Do nothing."""

    async def drop(self, scope: Scope) -> None:
        """Do nothing."""

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """Nothing."""
        del scope, vector, k, where
        return ()
