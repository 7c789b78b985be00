"""Documents in PostgreSQL, and vectors in an index elsewhere: the whole service with a model of its own."""

import pytest

from contracts._pinecone import KEY, pinecone
from journeys._fleets import eventually
from journeys._service import ADMIN, command, serving
from rag._models import bert

KNOWLEDGE = """
[store]
url = "{store}"
[knowledge]
embedder = "local"
model_folder = "model"
"""
TEXTS = {"a": ("The gate opens.", "en"), "b": ("Water at the weir.", "en"), "c": ("La gate lock.", "fr")}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    bert(tmp_path / "model")
    return tmp_path


async def fill(service):
    headers = {"Content-Type": "application/json"}
    for id_, (text, lang) in TEXTS.items():
        one = {"collection": "c", "id": id_, "text": text, "metadata": {"lang": lang}}
        answer = await service.post("/documents?wait=30", one, key=ADMIN, headers=headers)
        assert (answer.status, answer.json["status"]) == (201, "ready"), answer


async def found(service, mode="dense", **how):
    body = {"query": "gate water", "collections": ["c"], "mode": mode, **how}
    answer = await service.post("/search", body, key=ADMIN, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["mode"]) == (200, mode), answer
    return {each["document_id"]: each["similarity_score"] for each in answer.json["results"]}


@pytest.mark.anyio
async def test_replicas_find_the_same_documents_in_postgres(folder, postgres_url):
    config = KNOWLEDGE.format(store=postgres_url)
    (folder / "headgate.toml").write_text(config)
    await command(folder, "migrate")
    other = folder / "other"
    other.mkdir()
    async with (
        serving(folder, config) as one,
        serving(other, config.replace('"model"', f'"{folder}/model"')) as two,
    ):
        await fill(one)
        first = await found(one)
        assert first.keys() == TEXTS.keys()
        assert await found(two) == first
        assert (await found(two, "hybrid")).keys() == TEXTS.keys()
        assert (await found(two, "lexical", filters={"lang": "fr"})).keys() == {"c"}
        assert (await found(two, filters={"lang": "en"})).keys() == {"a", "b"}
        assert (await two.call("DELETE", "/documents/a?collection=c", key=ADMIN)).status == 200
        assert (await found(one)).keys() == {"b", "c"}
        assert (await one.call("DELETE", "/collections/c", key=ADMIN)).status == 200
        assert (await two.get("/collections/c", key=ADMIN)).status == 404
        await fill(two)
        assert await found(one) == first


@pytest.mark.anyio
async def test_a_database_without_the_table_for_vectors_asks_for_the_command(folder, postgres_url):
    (folder / "headgate.toml").write_text(f'[store]\nurl = "{postgres_url}"\n')
    await command(folder, "migrate")
    (folder / "headgate.toml").write_text(KNOWLEDGE.format(store=postgres_url))
    code, told = await command(folder, "serve", "--port", "0", code=True)
    assert code == 1
    assert "headgate migrate" in told


@pytest.mark.anyio
async def test_one_setting_moves_what_the_command_has_copied(folder):
    config = KNOWLEDGE.format(store="sqlite:///.headgate/headgate.db")
    async with serving(folder, config) as service:
        await fill(service)
        before = await found(service)
    with pinecone() as server:
        config += f'index = "pinecone"\n[knowledge.pinecone]\nurl = "{server.url}"\napi_key = "{KEY}"\n'
        (folder / "headgate.toml").write_text(config)
        assert "1 collections with 3 passages are in pinecone" in await command(
            folder, "knowledge", "copy", "--to", "pinecone"
        )
        async with serving(folder, config) as service:
            assert await found(service) == pytest.approx(before, abs=0.001)
            server.down = True
            assert (await service.call("DELETE", "/documents/a?collection=c", key=ADMIN)).status == 200
            headers = {"Content-Type": "application/json"}
            asked = {"query": "gate", "mode": "dense"}
            assert (await service.post("/search", asked, key=ADMIN, headers=headers)).status == 503
            assert (await found(service, "lexical")).keys() == {"b", "c"}
            new = {"collection": "c", "id": "d", "text": "A lock at the weir."}
            assert (await service.post("/documents", new, key=ADMIN, headers=headers)).status == 202
            server.down = False
            assert (await found(service)).keys() <= {"b", "c", "d"}

            async def caught_up():
                return (await found(service)).keys() == {"b", "c", "d"} and [*map(len, server.spaces.values())] == [3]

            await eventually(caught_up)
