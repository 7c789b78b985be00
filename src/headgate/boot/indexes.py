"""Which index of vectors the configuration means."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any

from headgate.config import Config, ConfigError, Problem, text_of
from headgate.core.seams import Shelf, VectorIndex
from headgate.rag.indexes.chosen import ChosenIndex
from headgate.rag.indexes.forgetting import ForgettingIndex
from headgate.stores.opening import open_database
from headgate.stores.shelf import SqliteShelf
from headgate.stores.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from headgate.rag.indexes.pgvector import PgvectorIndex
    from headgate.stores.opening import AnyDatabase

EXTRAS = {"sqlite": "knowledge", "pgvector": "postgres"}
"""The extra of an index whose name is another."""


async def index_of(config: Config, shelf: Shelf, database: AnyDatabase, stack: AsyncExitStack) -> VectorIndex:
    """The configured index, or several. Raises ConfigError, SchemaOutOfDate, Unavailable."""
    settings = config.knowledge
    usual = usual_kind(config)
    opened = {kind: await open_index(config, kind, shelf, database, stack) for kind in kinds(config)}
    special = {name: opened[kind] for name, kind in settings.indexes.items() if kind != usual}
    index = ChosenIndex(opened[usual], special) if special else opened[usual]
    if set(opened) == {"sqlite"}:
        return index
    lasting = ForgettingIndex(index, database)
    task = asyncio.create_task(lasting.work())

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
    return lasting


def usual_kind(config: Config) -> str:
    """The index of collections that have none of their own: the database's, where nothing is said."""
    return config.knowledge.index or ("sqlite" if config.store.url.startswith("sqlite:") else "pgvector")


def kinds(config: Config) -> list[str]:
    """The kinds of index that the configuration wants."""
    return list(dict.fromkeys([usual_kind(config), *config.knowledge.indexes.values()]))


def check_indexes(config: Config, database: AnyDatabase) -> None:
    """Whether the indexes can be opened, as far as one can see. Raises ConfigError, SchemaOutOfDate, Unavailable."""
    if not config.knowledge.embedder:
        return
    for kind in kinds(config):
        if kind == "pgvector":
            with ExitStack() as stack:
                pgvector_of(config, database, stack).check()
        elif kind != "sqlite":
            _place(config, kind)


async def open_index(
    config: Config, kind: str, shelf: Shelf, database: AnyDatabase, stack: AsyncExitStack
) -> VectorIndex:
    """An index of that kind. Raises ConfigError, SchemaOutOfDate, Unavailable."""
    try:
        if kind == "pgvector":
            index = pgvector_of(config, database, stack)
            await asyncio.to_thread(index.check)
            return index
        return _opened(config, kind, shelf, stack)
    except ImportError as error:
        what = f'needs {error.name}: pip install "headgate[{EXTRAS.get(kind, kind)}]"'
        raise _problem(config, "index", what) from None


def pgvector_of(config: Config, database: AnyDatabase, stack: ExitStack | AsyncExitStack) -> PgvectorIndex:
    """The index in `[knowledge.pgvector] url`, else in the database of `[store]`. Raises ConfigError, ImportError."""
    from headgate.rag.indexes.pgvector import PgvectorIndex  # noqa: PLC0415 - an extra: psycopg may not be there

    url = text_of(config.knowledge.pgvector.url)
    if url:
        database = open_database(url, config.base_dir)
        stack.callback(database.close)
    if isinstance(database, SqliteDatabase):
        raise _problem(config, "pgvector.url", "is wanted: a PostgreSQL database, postgresql://…")
    return PgvectorIndex(database)


def _opened(config: Config, kind: str, shelf: Shelf, stack: AsyncExitStack) -> VectorIndex:
    if kind == "sqlite":
        from headgate.stores.vectors import MatrixIndex  # noqa: PLC0415 - an extra: numpy may not be there

        if not isinstance(shelf, SqliteShelf):
            raise _problem(config, "index", "`sqlite` is for documents in SQLite; with PostgreSQL say `pgvector`")
        return MatrixIndex(shelf)
    url, key = _place(config, kind)
    index: Any
    if kind == "qdrant":
        from headgate.rag.indexes.qdrant import QdrantIndex  # noqa: PLC0415 - an extra

        index = QdrantIndex.at(url, key)
    elif kind == "chroma":
        from headgate.rag.indexes.chroma import ChromaIndex  # noqa: PLC0415 - an extra

        index = ChromaIndex.at(url, key)
    else:
        from headgate.rag.indexes.pinecone import PineconeIndex  # noqa: PLC0415 - httpx2 is slow to import

        index = PineconeIndex(url, key)
    stack.push_async_callback(index.aclose)
    opened: VectorIndex = index
    return opened


def _place(config: Config, kind: str) -> tuple[str, str]:
    """Where the index is, and its key. Raises ConfigError."""
    section = getattr(config.knowledge, kind)
    url = text_of(section.url)
    if not url:
        raise _problem(config, f"{kind}.url", "is wanted: the address of the index")
    return url, text_of(section.api_key)


def _problem(config: Config, key: str, what: str) -> ConfigError:
    return ConfigError([Problem(f"knowledge.{key}", str(config.path or "environment"), what)])
