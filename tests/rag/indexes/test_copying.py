"""An index is filled from the shelf alone, by a function and by the command."""

import pytest
from click.testing import CliRunner

from contracts._pinecone import KEY, pinecone
from contracts._shelf import ANN, HERS, HIS, draft, piece, unit
from headgate.cli.main import main
from headgate.core.knowledge import Scope
from headgate.rag.indexes.copying import PAGE, copied
from headgate.rag.indexes.pinecone import PineconeIndex
from headgate.stores.shelf import SqliteShelf
from headgate.stores.vectors import MatrixIndex


@pytest.fixture
def server():
    with pinecone() as server:
        yield server


@pytest.fixture
def shelf(tmp_path):
    shelf = SqliteShelf(tmp_path / ".headgate" / "knowledge")
    yield shelf
    shelf.close()


def fill(shelf, scope, count):
    shelf.create(scope, "m")
    shelf.queue(scope, ANN, [draft(f"d{n:03}", str(n), lang="en" if n % 2 else "fr") for n in range(count)])
    for job in shelf.lease("w", 60, count):
        n = int(job.draft.id[1:])
        shelf.finish(job, "", [piece(f"p{n:03}", str(n), 1, n / count), piece(f"q{n:03}", f"q{n}", -1, n)])


@pytest.mark.anyio
async def test_a_copy_finds_what_the_first_index_finds(shelf, server):
    fill(shelf, HERS, PAGE + 10)
    fill(shelf, HIS, 3)
    index, matrix = PineconeIndex(server.url, KEY), MatrixIndex(shelf)
    assert [done async for done in copied(shelf, index, HERS)] == [2 * PAGE, 20]
    for where in ({}, {"lang": "fr"}):
        ours = await matrix.nearest(HERS, unit((1, 0.3)), 30, where)
        theirs = await index.nearest(HERS, unit((1, 0.3)), 30, where)
        assert [each.passage_id for each in theirs] == [each.passage_id for each in ours]
        assert [each.cosine for each in theirs] == pytest.approx([each.cosine for each in ours], abs=1e-4)
    assert await index.nearest(HIS, unit((1, 0)), 5, {}) == []
    await index.aclose()


@pytest.mark.anyio
async def test_a_copy_throws_away_what_was_there(shelf, server):
    fill(shelf, HERS, 2)
    index = PineconeIndex(server.url, KEY)
    for _ in range(2):
        assert [done async for done in copied(shelf, index, HERS)] == [4]
    shelf.remove(HERS, "d000")
    assert [done async for done in copied(shelf, index, HERS)] == [2]
    assert {each.passage_id for each in await index.nearest(HERS, unit((1, 0)), 9, {})} == {"p001", "q001"}
    await index.aclose()


def test_the_command_copies_all_collections_or_one(shelf, server, tmp_path):
    fill(shelf, HERS, 2)
    fill(shelf, HIS, 3)
    fill(shelf, Scope("user:bob", "other"), 1)
    config = tmp_path / "headgate.toml"
    config.write_text(f'[store]\nurl = "sqlite:///.headgate/h.db"\n[knowledge.pinecone]\nurl = "{server.url}"\n')

    def run(*words):
        return CliRunner(env={"HEADGATE__KNOWLEDGE__PINECONE__API_KEY": KEY}).invoke(
            main, ["knowledge", "copy", "--config", str(config), "--to", "pinecone", *words]
        )

    one = run("--collection", "other")
    assert (one.exit_code, len(server.spaces)) == (0, 1), one.output
    assert "1 collections with 2 passages" in one.output
    assert "3 collections with 12 passages" in run().output
    assert sorted(map(len, server.spaces.values())) == [2, 4, 6]
    lost = run("--collection", "none")
    assert (lost.exit_code, "no collection 'none'" in lost.output) == (1, True)
