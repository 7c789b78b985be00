"""An index that cannot be reached, or refuses, is a fault that says so and no more."""

import warnings

import pytest

from contracts._pinecone import pinecone
from contracts._shelf import HERS, unit
from headgate.core.faults import Unavailable
from headgate.core.knowledge import Vector
from headgate.rag.indexes.pgvector import PgvectorIndex
from headgate.rag.indexes.pinecone import PineconeIndex
from headgate.rag.indexes.qdrant import QdrantIndex
from headgate.stores.opening import SchemaOutOfDate
from headgate.stores.postgres import PostgresDatabase
from servers import free_port

ONE = Vector(passage_id="a", document_id="d", values=unit((1, 0)))


async def refuses(index, match):
    for call in (
        index.put(HERS, [ONE]),
        index.remove(HERS, ["a"]),
        index.drop(HERS),
        index.nearest(HERS, (1.0, 0.0), 1, {}),
    ):
        with pytest.raises(Unavailable, match=match) as caught:
            await call
        assert "secret" not in caught.value.message


@pytest.mark.anyio
async def test_nobody_listens_there():
    url = f"http://127.0.0.1:{free_port()}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a key over plain HTTP
        indexes = [PineconeIndex(url, "secret"), QdrantIndex.at(url, "secret")]
    for index in indexes:
        await refuses(index, "out of reach")
        await index.aclose()


@pytest.mark.anyio
async def test_a_database_that_is_not_there_and_one_without_the_table(postgres_url, tmp_path, monkeypatch):
    gone = PostgresDatabase(f"postgresql://me:secret@127.0.0.1:{free_port()}/none", tmp_path)
    await refuses(PgvectorIndex(gone), "out of reach")
    there = PostgresDatabase(postgres_url, tmp_path)
    with pytest.raises(SchemaOutOfDate, match="headgate migrate"):
        PgvectorIndex(there).check()
    monkeypatch.setattr("headgate.rag.indexes.pgvector.EXTENSION", "vector_of_nobody")
    with pytest.raises(Unavailable, match="has no pgvector"):
        PgvectorIndex(there).migrate()
    there.close()


@pytest.mark.anyio
async def test_a_wrong_key_is_told_as_a_status():
    with pinecone() as server:
        index = PineconeIndex(server.url, "secret")
        await refuses(index, "status 401")
        await index.aclose()
