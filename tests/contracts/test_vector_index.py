"""What every index of vectors does. A new one is added to the fixture; all are told what a shelf keeps."""

import asyncio
from contextlib import closing

import pytest

from contracts._indexes import opened
from contracts._shelf import ANN, HERS, HIS, draft, piece, unit
from headgate.core.knowledge import Scope, Vector
from headgate.stores.shelf import SqliteShelf

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant")


class Both:
    """A shelf, and the index that is told of it as it is in real life."""

    def __init__(self, shelf, index):
        self.shelf, self.index = shelf, index

    async def put(self, scope, document_id, *pieces, **metadata):
        self.shelf.create(scope, "m")
        made = draft(document_id, repr(pieces), **metadata)
        self.shelf.queue(scope, ANN, [made])
        vectors = [
            Vector(passage_id=each.id, document_id=document_id, values=each.values, metadata=metadata)
            for each in pieces
        ]
        await self.index.put(scope, vectors)
        gone = self.shelf.finish(self.shelf.lease("w", 60, 1)[0], "", pieces)
        await self.index.remove(scope, gone)

    async def near(self, scope, *values, k=10, **where):
        return [near.passage_id for near in await self.index.nearest(scope, unit(values), k, where)]


@pytest.fixture(params=["matrix", "pgvector", "qdrant", "chroma", "pinecone"])
async def both(request, tmp_path):
    shelf = SqliteShelf(tmp_path / "knowledge")
    with closing(shelf):
        async with opened(request.param, shelf, request) as index:
            yield Both(shelf, index)


@pytest.mark.anyio
async def test_the_nearest_come_first(both):
    await both.put(HERS, "d", piece("a", "a", 1, 0), piece("b", "b", 1, 1), piece("c", "c", 0, 1))
    found = await both.index.nearest(HERS, unit((1, 0.1)), 2, {})
    assert [near.passage_id for near in found] == ["a", "b"]
    assert found[0].cosine == pytest.approx(0.995, abs=0.01)


@pytest.mark.anyio
async def test_each_collection_has_its_own(both):
    await both.put(HERS, "d", piece("a", "a", 1, 0))
    await both.put(HIS, "d", piece("b", "b", 1, 0))
    assert await both.near(HERS, 1, 0) == ["a"]
    assert await both.near(HIS, 1, 0) == ["b"]


@pytest.mark.anyio
async def test_only_what_fits_is_found(both):
    await both.put(HERS, "d", piece("a", "a", 1, 0), lang="en")
    await both.put(HERS, "e", piece("b", "b", 1, 0.1), lang="fr")
    assert await both.near(HERS, 1, 0, lang="fr") == ["b"]
    assert await both.near(HERS, 1, 0, lang=["fr", "en"]) == ["a", "b"]
    assert await both.near(HERS, 1, 0, lang="it") == []


@pytest.mark.anyio
async def test_what_changes_is_found_as_it_is(both):
    await both.put(HERS, "d", piece("a", "a", 1, 0), piece("b", "b", 0, 1))
    assert await both.near(HERS, 1, 0) == ["a", "b"]
    await both.put(HERS, "d", piece("b", "b", 0, 1), piece("c", "c", 1, 0.2))
    assert await both.near(HERS, 1, 0) == ["c", "b"]
    await both.index.remove(HERS, both.shelf.remove(HERS, "d"))
    assert await both.near(HERS, 1, 0) == []


@pytest.mark.anyio
async def test_a_dropped_collection_has_nothing(both):
    await both.put(HERS, "d", piece("a", "a", 1, 0))
    both.shelf.drop(HERS)
    await both.index.drop(HERS)
    both.shelf.create(HERS, "m")
    assert await both.near(HERS, 1, 0) == []


@pytest.mark.anyio
async def test_many_ask_while_it_changes(both):
    await both.put(HERS, "d0", piece("p0", "0", 1, 0))

    async def ask():
        for _ in range(5):
            assert "p0" in await both.near(HERS, 1, 0)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for n in range(1, 6):
        await both.put(HERS, f"d{n}", piece(f"p{n}", str(n), 1, n))
    await asyncio.gather(*asking)
    assert len(await both.near(HERS, 1, 0)) == 6


@pytest.mark.anyio
async def test_values_are_compared_as_the_shelf_compares_them(both):
    await both.put(HERS, "d", piece("a", "a", 1, 0), year=2024, tags=["x", "y"], draft=True)
    await both.put(HERS, "e", piece("b", "b", 1, 0.1), year=2025.0, tags=["y"], note="long" * 100)
    assert await both.near(HERS, 1, 0, year=2025) == ["b"]
    assert await both.near(HERS, 1, 0, year="2025") == []
    assert await both.near(HERS, 1, 0, tags="y") == ["a", "b"]
    assert await both.near(HERS, 1, 0, tags="y", year=2024) == ["a"]
    assert await both.near(HERS, 1, 0, draft=True) == ["a"]
    assert await both.near(HERS, 1, 0, draft=1) == []
    assert await both.near(HERS, 1, 0, note="long" * 100) == ["b"]


@pytest.mark.anyio
async def test_nothing_is_found_and_nothing_removed_where_there_is_nothing(both):
    both.shelf.create(HERS, "m")
    assert await both.near(HERS, 1, 0) == []
    await both.index.remove(HERS, ["unknown"])
    await both.index.drop(HIS)


@pytest.mark.anyio
async def test_the_same_ids_elsewhere_stay_when_one_goes(both):
    other = Scope(HERS.tenant, "other")
    for scope in (HERS, HIS, other):
        await both.put(scope, "d", piece("a", "a", 1, 0), piece("b", "b", 0, 1))
    await both.index.remove(HERS, both.shelf.remove(HERS, "d"))
    both.shelf.drop(other)
    await both.index.drop(other)
    assert await both.near(HERS, 1, 0) == []
    assert await both.near(HIS, 1, 0) == ["a", "b"]


@pytest.mark.anyio
async def test_more_than_one_call_can_carry_is_kept_and_removed(both):
    pieces = [piece(f"p{n:03}", str(n), 1, n / 1000) for n in range(450)]
    await both.put(HERS, "d", *pieces)
    assert len(await both.near(HERS, 1, 0, k=500)) == 450
    await both.index.remove(HERS, both.shelf.remove(HERS, "d"))
    assert await both.near(HERS, 1, 0, k=500) == []
