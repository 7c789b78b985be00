"""Vectors by a provider: admitted, limited and written down on behalf of whoever wants them."""

import json
from functools import partial

import pytest

from headgate.testing import whole
from journeys._asking import check_error
from journeys._service import command, serving
from journeys._upstreams import said

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open,key-of-bob:bob:few,key-of-cat:cat:free,key-of-dan:dan:slow"
[tiers.open]
models = ["nothing/else"]
requests = "6/day"
[tiers.few]
tokens = "400/day"
[tiers.slow]
tokens = "800/2s"
[prices."openai/vectors"]
input = 2
output = 0
[prices."openai/teller"]
input = 1
output = 1
[knowledge]
embedder = "openai/vectors"
"""
JSON = {"Content-Type": "application/json"}


def letters(request, tokens=20):
    """An answer of OpenAI's: vectors that count the letters a to d."""
    texts = json.loads(request.body)["input"]
    vectors = [[text.count(letter) + 0.01 for letter in "abcd"] for text in texts]
    items = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return [whole(json.dumps({"object": "list", "data": items, "usage": usage}).encode())]


@pytest.mark.anyio
async def test_vectors_are_paid_for_by_whoever_wants_them(upstreams, tmp_path):
    upstreams.model([letters], name="vectors")
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        documents = [{"id": "a", "text": "aaa bb"}, {"id": "d", "text": "ddd cc"}]
        body = {"collection": "c", "documents": documents}
        taken = await service.post("/documents?wait=20", body, key="key-of-ann", headers=JSON)
        assert [each["status"] for each in taken.json["documents"]] == ["ready", "ready"]
        rows = await service.entries(surface="documents")
        assert [(row["principal"], row["target"], row["tokens_in"], row["cost"]) for row in rows] == [
            ("ann", "vectors", 20, 40_000)
        ] * 2
        found = await service.post("/search", {"query": "ab ab", "top_k": 1}, key="key-of-ann", headers=JSON)
        result = found.json["results"][0]
        assert (result["document_id"], result["score_kind"], found.json["mode"]) == ("a", "cosine", "hybrid")
        assert (await service.entry(found))["surface"] == "search"
        again = await service.post("/documents?wait=20", body, key="key-of-ann", headers=JSON)
        assert {each["result"] for each in again.json["documents"]} == {"unchanged"}
        assert len(await service.entries(surface="documents")) == 2
        for _ in range(3):
            answer = await service.post("/search", {"query": "ab"}, key="key-of-ann", headers=JSON)
            assert answer.status == 200, answer
        check_error("simple", await service.post("/search", {"query": "ab"}, key="key-of-ann", headers=JSON), 429)


@pytest.mark.anyio
async def test_what_never_fits_a_limit_fails_and_who_has_no_tokens_left_is_refused_a_search(upstreams, tmp_path):
    upstreams.model([letters], name="vectors")
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        long = {"id": "long", "text": "a word of many " * 40}
        taken = await service.post("/documents?wait=3", long, key="key-of-bob", headers=JSON)
        assert taken.json["status"] == "failed", taken
        assert "may take" in taken.json["error"]
        assert "max_tokens" not in taken.json["error"]
        short = {"query": "ab"}
        for _ in range(2):
            answer = await service.post("/search", short, key="key-of-bob", headers=JSON)
        assert answer.status == 200
        answer = await service.post("/search", short, key="key-of-bob", headers=JSON)
        check_error("simple", answer, 429, "rate_limited")
        words = await service.post("/search", {**short, "mode": "lexical"}, key="key-of-bob", headers=JSON)
        assert (words.status, words.json["mode"]) == (200, "lexical")


@pytest.mark.anyio
async def test_ingest_says_once_what_documents_wait_for_and_does_not_wait_for_what_never_fits(upstreams, tmp_path):
    upstreams.model([partial(letters, tokens=500)], name="vectors")
    folder = tmp_path / "manual"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.md").write_text(f"{name} word of many " * 10)
    (folder / "long.md").write_text("a word of many " * 40)
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        how = ("--url", f"http://127.0.0.1:{service.port}", "--key", "key-of-dan")
        code, told = await command(service, "ingest", str(folder), "-c", "manual", *how, code=True)
        assert code == 1
        assert told.count("documents wait: Rate limit reached: the limit is 800 tokens in 2 seconds (tier slow)") == 1
        assert "  manual/long.md: This request may take" in told
        listed = await service.get("/documents?collection=manual&status=ready", key="key-of-dan")
        assert [each["id"] for each in listed.json["documents"]] == ["manual/a.md", "manual/b.md"]


@pytest.mark.anyio
async def test_a_collection_is_embedded_anew_by_one_command(upstreams, tmp_path):
    upstreams.model([letters], name="vectors")
    upstreams.model([letters], name="newer")
    config = CONFIG + upstreams.config
    plain = config.replace('embedder = "openai/vectors"', "")
    how = ("-c", "c", "--key", "key-of-cat")
    embed = ("knowledge", "embed", *how)
    async with serving(tmp_path, plain) as service:
        url = ("--url", f"http://127.0.0.1:{service.port}")
        body = {"collection": "c", "documents": [{"id": name, "text": f"{name} bb"} for name in "abc"]}
        assert (await service.post("/documents", body, key="key-of-cat", headers=JSON)).status == 201
        refused = await service.post("/collections/c/embed", {}, key="key-of-cat", headers=JSON)
        check_error("simple", refused, 422, "validation_error")
        assert "`[knowledge] embedder`" in refused.json["error"]
        code, told = await command(service, *embed, *url, code=True)
        assert (code, "`[knowledge] embedder`" in told) == (1, True)
    (tmp_path / "headgate.toml").write_text(config)
    assert await command(tmp_path, *embed) == "3 documents of c with vectors of openai/vectors, 0 failed\n"
    async with serving(tmp_path, config.replace("openai/vectors", "openai/newer")) as service:
        url = ("--url", f"http://127.0.0.1:{service.port}")
        assert await command(service, *embed, *url) == "3 documents of c with vectors of openai/newer, 0 failed\n"
        assert len(upstreams.requests("newer")) == 3
        found = await service.post("/search", {"query": "aaa"}, key="key-of-cat", headers=JSON)
        assert {each["score_kind"] for each in found.json["results"]} == {"cosine"}
    (tmp_path / "headgate.toml").write_text(plain)
    assert "c has no vectors any more" in await command(tmp_path, *embed)


@pytest.mark.anyio
async def test_what_an_answer_cost_has_the_search_in_it(upstreams, tmp_path):
    upstreams.model([letters], name="vectors")
    upstreams.model(said("openai", "Three [1].", streamed=False), name="teller")
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        body = {"collection": "c", "documents": [{"id": "a", "text": "aaa bb"}]}
        await service.post("/documents?wait=20", body, key="key-of-cat", headers=JSON)
        asked = {"question": "aaa?", "model": "openai/teller"}
        answer = await service.post("/ask", asked, key="key-of-cat", headers=JSON)
        assert answer.json["citations"], answer
        rows = await service.entries(request_id=answer.headers["x-request-id"])
        assert sorted(row["surface"] for row in rows) == ["ask", "ask.search"]
        assert answer.json["cost_usd"] == pytest.approx(sum(row["cost"] for row in rows) / 1e9)
        assert answer.json["tokens_used"] == sum(row["tokens_in"] + row["tokens_out"] for row in rows)
