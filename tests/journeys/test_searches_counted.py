"""A search is a call: one row in the ledger, whatever came of it, and the state of the limits in its headers."""

import json
from itertools import count

import pytest

from headgate.testing import whole
from journeys._asking import check_error
from journeys._service import serving

pytestmark = pytest.mark.anyio

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open,key-of-bob:bob:few"
[tiers.open]
requests = "100/day"
[tiers.few]
requests = "3/day"
[models.parrot]
targets = ["echo/echo"]
limits = { requests = "1/day" }
"""
VECTORS = """
[knowledge]
embedder = "openai/vectors"
"""
JSON = {"Content-Type": "application/json"}
PATHS = {"/search": "search", "/v1/vector_stores/c/search": "openai.vector_stores.search"}
DOCUMENT = {"collection": "c", "id": "a", "text": "A gate opens."}
_numbers = count()


def even(request):
    """An answer of OpenAI's: one vector for each text; or none, where "broken" is among the words."""
    texts = json.loads(request.body)["input"]
    if "broken" in texts:
        return [whole(b"{}", 500)]
    items = [{"object": "embedding", "index": at, "embedding": [1.0, 1.0]} for at in range(len(texts))]
    body = {"object": "list", "data": items, "usage": {"prompt_tokens": 20, "total_tokens": 20}}
    return [whole(json.dumps(body).encode())]


@pytest.fixture(scope="module")
async def service(anyio_backend, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("counted"), CONFIG) as service:
        await service.post("/documents?wait=20", DOCUMENT, key="key-of-ann", headers=JSON)
        yield service


async def searched(service, path, query="gate", key="key-of-ann", **more):
    return await service.post(path, {"query": query, **more}, key=key, headers=JSON)


async def requests_of(service, key="key-of-ann"):
    return (await service.get("/usage?by=all", key=key)).json["total"]["requests"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_search_by_words_is_written_down_and_says_how_the_limits_stand(service, path):
    before = await requests_of(service)
    first, second = [await searched(service, path) for _ in range(2)]
    assert first.status == 200, first
    assert first.headers["x-ratelimit-limit-requests"] == "100"
    left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in (first, second)]
    assert left[1] == left[0] - 1
    assert first.headers["ratelimit"].startswith('"tier-open-requests-86400s";r=')
    assert first.headers["ratelimit-policy"] == '"tier-open-requests-86400s";q=100;w=86400'
    row = await service.entry(first)
    said = {name: row[name] for name in ("surface", "status", "principal", "tier", "tokens_in", "tokens_out", "cost")}
    assert said == {
        "surface": PATHS[path],
        "status": "ok",
        "principal": "ann",
        "tier": "open",
        "tokens_in": 0,
        "tokens_out": 0,
        "cost": 0,
    }
    assert row["total_ms"] > 0
    assert await requests_of(service) == before + 2


@pytest.mark.parametrize("path", PATHS)
async def test_one_that_is_refused_has_a_row_too(service, path):
    nowhere = path.replace("/c/", "/none/")
    more = {} if "/c/" in path else {"collections": ["none"]}
    answer = await searched(service, nowhere, **more)
    row = await service.entry(answer)
    assert (answer.status, row["surface"], row["status"], row["error"]) == (404, PATHS[path], "refused", "not_found")
    request_id = {"X-Request-Id": f"refused-{next(_numbers)}"}
    made = {"user": path, "tier": "few", "limits": {"requests": "1/day"}}
    key = (await service.post("/admin/keys", made, key="admin-key-of-these-tests")).json["key"]
    await service.post("/collections", {"name": "c"}, key=key, headers=JSON)
    answer = await service.post(path, {"query": "gate"}, key=key, headers=JSON | request_id)
    assert answer.status == 429
    row = await service.entry(answer)
    assert (row["surface"], row["status"], row["error"]) == (PATHS[path], "refused", "rate_limited")


@pytest.mark.parametrize("path", PATHS)
async def test_where_a_model_was_asked_its_row_is_the_searchs(upstreams, tmp_path, path):
    upstreams.model([even], name="vectors")
    async with serving(tmp_path, CONFIG + VECTORS + upstreams.config) as service:
        await service.post("/documents?wait=20", DOCUMENT, key="key-of-ann", headers=JSON)
        before = await requests_of(service)
        answer = await searched(service, path)
        row = await service.entry(answer)
        assert (row["surface"], row["target"], row["tokens_in"]) == (PATHS[path], "vectors", 20)
        assert "x-ratelimit-remaining-requests" in answer.headers
        once = {"Idempotency-Key": f"broken {path}"}
        for headers in (JSON, JSON | once):
            failed = await service.post(path, {"query": "broken"}, key="key-of-ann", headers=headers)
            check_error("openai" if "/v1/" in path else "simple", failed, 502)
            assert (await service.entry(failed))["status"] == "failed"
        assert await requests_of(service) == before + 3


async def test_they_count_after_a_restart_but_not_against_a_models_limits(tmp_path):
    for path in PATHS:
        async with serving(tmp_path, CONFIG) as service:
            assert (await service.post("/collections", {"name": "c"}, key="key-of-ann", headers=JSON)).status < 300
            assert (await searched(service, path)).status == 200
    async with serving(tmp_path, CONFIG) as service:
        limits = (await service.get("/me?model=parrot", key="key-of-ann")).json["limits"]
        used = {limit["scope"]: limit["used"] for limit in limits}
        assert used == {"tier open": 2, "model parrot": 0}
