"""Every kind of index, opened for a test: real servers, the vendors' own clients in process, one stand-in."""

import importlib.util
from contextlib import asynccontextmanager

from contracts._pinecone import KEY, pinecone
from headgate.stores.postgres import PostgresDatabase
from headgate.stores.vectors import MatrixIndex


@asynccontextmanager
async def opened(kind, shelf, request):
    """An empty index of that kind; the one in memory reads the shelf."""
    match kind:
        case "matrix":
            yield MatrixIndex(shelf)
        case "pgvector":
            from headgate.rag.indexes.pgvector import PgvectorIndex

            url, folder = request.getfixturevalue("postgres_url"), request.getfixturevalue("tmp_path")
            database = PostgresDatabase(url, folder)
            index = PgvectorIndex(database)
            index.migrate()
            index.check()
            yield index
            database.close()
        case "qdrant":
            from qdrant_client import AsyncQdrantClient

            from headgate.rag.indexes.qdrant import QdrantIndex

            index = QdrantIndex(AsyncQdrantClient(":memory:"))
            yield index
            await index.aclose()
        case "chroma":
            index = chroma(request.getfixturevalue("tmp_path"))
            yield index
            await index.aclose()
        case "pinecone":
            from headgate.rag.indexes.pinecone import PineconeIndex

            with pinecone() as server:
                index = PineconeIndex(server.url, KEY)
                yield index
                await index.aclose()


def chroma(folder):
    """Chroma in this process, with its files in a folder; it weighs 500 MB and is in no lock."""
    if importlib.util.find_spec("chromadb") is None:
        import pytest

        pytest.skip("no Chroma here: pip install chromadb")
    import chromadb

    from headgate.rag.indexes.chroma import ChromaIndex

    settings = chromadb.Settings(anonymized_telemetry=False)
    return ChromaIndex(lambda: chromadb.PersistentClient(str(folder / "chroma"), settings))
