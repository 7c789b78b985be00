"""An Idempotency-Key is honoured where documents are sent and searched, too: a retry costs and changes nothing."""

import asyncio
import json
from itertools import count

import pytest

from headgate.testing import whole
from journeys._asking import check_error
from journeys._caller import connected, request
from journeys._service import serving

pytestmark = pytest.mark.anyio

CONFIG = """
[server]
max_body = "20 KB"
[access]
api_keys = "key-of-ann:ann:open,key-of-bob:bob:open,key-of-cas:cas:capped"
[tiers.open]
[tiers.capped]
requests = "2/hour"
[knowledge]
embedder = "openai/vectors"
"""
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
STORE = "/v1/vector_stores/c/search"
PATHS = {"/search": "simple", "/documents": "simple", "/collections/c/embed": "simple", STORE: "openai"}
_numbers = count()


def letters(request):
    """An answer of OpenAI's: vectors that count the letters a to d; slow ones where "slow" is among the words."""
    texts = json.loads(request.body)["input"]
    vectors = [[text.count(letter) + 0.01 for letter in "abcd"] for text in texts]
    items = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 20, "total_tokens": 20}
    if any("broken" in text for text in texts):
        return [whole(b"{}", 500)]
    wait = [0.4] if any("slow" in text for text in texts) else []
    return [*wait, whole(json.dumps({"object": "list", "data": items, "usage": usage}).encode())]


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    upstreams.model([letters], name="vectors")
    async with serving(tmp_path_factory.mktemp("once"), CONFIG + upstreams.config) as service:
        for name in ("c", "other"):
            body = {"collection": name, "id": "a", "text": "aaa bb"}
            for key in ("key-of-ann", "key-of-bob"):
                taken = await service.post("/documents?wait=20", body, key=key, headers=JSON)
                assert taken.json["status"] == "ready", taken
        yield service


@pytest.fixture
def once():
    """A key that nobody used before, on a body of JSON."""
    return {**JSON, "Idempotency-Key": f"key {next(_numbers)}"}


def asked(path, text="ab ab"):
    return {"collection": "sent", "text": text} if path == "/documents" else {"query": text}


async def twice(service, path, body, headers, key="key-of-ann"):
    return [await service.post(path, body, key=key, headers=headers) for _ in range(2)]


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_sent_again_is_answered_again(service, once, path):
    first, again = await twice(service, path, asked(path), once)
    assert first.status in {200, 201, 202}, first
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/search", STORE])
async def test_a_search_is_paid_for_once(service, upstreams, once, path):
    before = len(upstreams.requests("vectors"))
    first, again = await twice(service, path, asked(path), once)
    assert len(upstreams.requests("vectors")) == before + 1
    assert (await service.entry(first))["target"] == "vectors"
    assert await service.entries(request_id=again.headers["x-request-id"]) == []


async def test_a_document_without_an_id_is_taken_in_once(service, once):
    body = {"collection": "once", "text": "A gate opens."}
    first, again = await twice(service, "/documents?wait=20", body, once)
    assert first.json["id"] == again.json["id"]
    listed = await service.get("/documents?collection=once", key="key-of-ann")
    assert [each["id"] for each in listed.json["documents"]] == [first.json["id"]]


async def test_a_form_counts_byte_for_byte(service, once):
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n%b\r\n--b--\r\n'
    first, again = await twice(service, "/documents", part % b"aaa", once | FORM)
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    assert first.json["documents"][0]["id"] == "a.txt"
    answer = await service.post("/documents", part % b"bbb", key="key-of-ann", headers=once | FORM)
    check_error("simple", answer, 422, "idempotency_key_reused")


@pytest.mark.parametrize("path", PATHS)
async def test_another_body_query_or_collection_under_the_same_key_is_refused(service, once, path):
    await service.post(path, asked(path), key="key-of-ann", headers=once)
    for where, body in (
        (path, asked(path, "ab")),
        (f"{path}?wait=1", asked(path)),
        (path.replace("/c/", "/other/"), asked(path) if "/c/" in path else asked(path, "cd")),
    ):
        answer = await service.post(where, body, key="key-of-ann", headers=once)
        check_error(PATHS[path], answer, 422, "idempotency_key_reused")


@pytest.mark.parametrize("path", ["/search", STORE])
async def test_while_it_is_answered_the_second_is_refused(service, upstreams, once, path):
    before = len(upstreams.requests("vectors"))
    body = asked(path, "slow")
    answers = await asyncio.gather(*(service.post(path, body, key="key-of-ann", headers=once) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
    for answer in answers:
        if answer.status == 409:
            check_error(PATHS[path], answer, 409, "idempotency_key_in_use")
            assert answer.headers["retry-after"] == "1"
    assert len(upstreams.requests("vectors")) == before + 1


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_is_its_callers_and_what_is_no_key_is_refused(service, once, path):
    for key in ("key-of-ann", "key-of-bob"):
        answer = await service.post(path, asked(path), key=key, headers=once)
        assert answer.status in {200, 201, 202}
        assert "idempotent-replayed" not in answer.headers
    check_error(PATHS[path], await service.post(path, asked(path), headers=once), 401)
    for wrong in ("", "x" * 256, "caf\xe9"):
        headers = once | {"Idempotency-Key": wrong}
        answer = await service.post(path, asked(path), key="key-of-ann", headers=headers)
        check_error(PATHS[path], answer, 422 if PATHS[path] == "simple" else 400)


@pytest.mark.parametrize("path", PATHS)
async def test_a_refusal_leaves_the_key_free(service, once, path):
    large = asked(path, "x" * 30_000)
    check_error(PATHS[path], await service.post(path, large, key="key-of-ann", headers=once), 413)
    if "embed" not in path:
        answer = await service.post(path, {"none": 1}, key="key-of-ann", headers=once)
        check_error(PATHS[path], answer, 422 if PATHS[path] == "simple" else 400)
    answer = await service.post(path, asked(path), key="key-of-ann", headers=once)
    assert answer.status in {200, 201, 202}


async def test_a_limit_is_not_asked_for_what_was_answered(service, once):
    first, again = await twice(service, "/collections", {"name": "mine"}, once, key="key-of-cas")
    third = await service.post("/collections", {"name": "mine"}, key="key-of-cas", headers=once)
    assert [first.status, again.status, third.status] == [201, 201, 201]
    for status in (200, 429, 429):
        answer = await service.post("/search", {"query": "ab"}, key="key-of-cas", headers=JSON)
        assert answer.status == status


@pytest.mark.parametrize("path", ["/search", STORE])
async def test_a_failure_of_the_model_is_kept(service, upstreams, once, path):
    first, again = await twice(service, path, asked(path, "broken"), once)
    check_error(PATHS[path], first, 502, "upstream_error")
    before = len(upstreams.requests("vectors"))
    third = await service.post(path, asked(path, "broken"), key="key-of-ann", headers=once)
    assert (again.body, third.body, third.headers["idempotent-replayed"]) == (first.body, first.body, "true")
    assert len(upstreams.requests("vectors")) == before


async def test_who_hangs_up_in_the_middle_of_a_body_leaves_the_key_free(service, once):
    body = json.dumps(asked("/documents")).encode()
    async with connected(service.port) as line:
        head = request("POST", "/documents", body, {"Authorization": "Bearer key-of-ann", **once})
        await line.send(head[:-5])
        await asyncio.sleep(0.1)
    answer = await service.post("/documents", body, key="key-of-ann", headers=once)
    assert answer.status in {201, 202}
    assert "idempotent-replayed" not in answer.headers
    assert "bug" not in service.log
