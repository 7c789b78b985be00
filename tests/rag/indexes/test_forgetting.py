"""What was deleted is forgotten by an index that was out of reach, and nothing else is."""

import time

import pytest

from contracts._pinecone import KEY, pinecone
from contracts._shelf import HERS, HIS, unit
from headgate.core.faults import Unavailable
from headgate.core.knowledge import Vector
from headgate.rag.indexes.forgetting import ForgettingIndex
from headgate.rag.indexes.pinecone import PineconeIndex


def vector(id_, *values):
    return Vector(passage_id=id_, document_id="d", values=unit(values or (1, 0)))


@pytest.fixture
def server():
    with pinecone() as server:
        yield server


@pytest.fixture
async def index(server, database):
    index = PineconeIndex(server.url, KEY)
    yield ForgettingIndex(index, database)
    await index.aclose()


def waiting(database):
    return database.rows("SELECT COUNT(*) FROM index_forgetting")[0][0]


async def near(index, scope):
    return [each.passage_id for each in await index.nearest(scope, unit((1, 0)), 10, {})]


@pytest.mark.anyio
async def test_what_was_deleted_while_the_index_was_out_is_forgotten_later(server, index, database):
    await index.put(HERS, [vector("a"), vector("b")])
    await index.put(HIS, [vector("a")])
    server.down = True
    await index.remove(HERS, ["a"])
    await index.drop(HIS)
    with pytest.raises(Unavailable):
        await index.catch_up()
    assert waiting(database) == 2
    server.down = False
    assert await near(index, HERS) == ["a", "b"]
    await index.catch_up()
    assert (await near(index, HERS), await near(index, HIS), waiting(database)) == (["b"], [], 0)


@pytest.mark.anyio
async def test_what_comes_back_is_not_taken_by_a_late_removal(server, index, database):
    await index.put(HERS, [vector("a"), vector("b")])
    server.down = True
    await index.remove(HERS, ["a"])
    await index.drop(HERS)
    with pytest.raises(Unavailable):
        await index.put(HERS, [vector("a")])
    server.down = False
    await index.put(HERS, [vector("a")])
    await index.catch_up()
    assert (await near(index, HERS), waiting(database)) == (["a"], 0)


@pytest.mark.anyio
async def test_while_somebody_else_tells_the_index_nothing_new_comes_in(index, database):
    row = ("n", HERS.tenant, HERS.collection, '["a"]', time.time() + 60)
    database.run(("INSERT INTO index_forgetting VALUES (?, ?, ?, ?, ?)", row))
    with pytest.raises(Unavailable, match="yet to forget"):
        await index.put(HERS, [vector("a")])
    await index.catch_up()
    assert waiting(database) == 1
    await index.put(HIS, [vector("a")])


@pytest.mark.anyio
async def test_what_is_forgotten_at_once_leaves_no_note(index, database):
    await index.put(HERS, [vector(f"p{n}") for n in range(3)])
    await index.remove(HERS, ["p0", "p1"])
    await index.remove(HERS, [])
    assert (await near(index, HERS), waiting(database)) == (["p2"], 0)
