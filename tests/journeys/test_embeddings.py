"""Embeddings: by any provider that makes them, admitted, routed and written down like every call."""

import base64
import json
import struct

import pytest

from headgate.testing import Upset, whole
from journeys._asking import check_error
from journeys._caller import connected, request
from journeys._service import serving

CONFIG = """
[access]
anonymous = true
api_keys = "key-of-ann:ann:open,key-of-bob:bob:few"
[tiers.open]
[tiers.few]
tokens = "300/day"
models = ["openai/*"]
[models.vectors]
targets = ["anthropic/nothing", "gemini/first", "openai/second"]
[models.words]
targets = ["anthropic/nothing"]
[prices."openai/priced"]
input = 2
output = 0
[providers.echo]
kind = "echo"
"""
KEY = "key-of-ann"
PATH = "/v1/embeddings"
VECTORS = [[0.5, -0.25, 1.0], [0.0, 2.0, -1.0]]


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("embeddings"), CONFIG + upstreams.config) as service:
        yield service


def openai(*vectors, status=200, **more):
    items = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 1000, "total_tokens": 1000}
    return [whole(json.dumps({"object": "list", "data": items, "usage": usage, **more}).encode(), status)]


def gemini(*vectors):
    return [whole(json.dumps({"embeddings": [{"values": vector} for vector in vectors]}).encode())]


def vectors_of(answer):
    assert answer.status == 200, answer
    assert [item["index"] for item in answer.json["data"]] == list(range(len(answer.json["data"])))
    return [item["embedding"] for item in answer.json["data"]]


@pytest.mark.anyio
async def test_vectors_come_as_numbers_or_as_bytes(service, upstreams):
    model = upstreams.model(openai(*VECTORS, model="text-embedding-3-small"))
    asked = {"model": f"openai/{model}", "input": ["a", "b"], "dimensions": 3}
    plain = await service.post(PATH, asked, key=KEY)
    assert vectors_of(plain) == VECTORS
    assert plain.json["model"] == "text-embedding-3-small"
    packed = await service.post(PATH, {**asked, "encoding_format": "base64"}, key=KEY)
    assert [list(struct.unpack("<3f", base64.b64decode(item))) for item in vectors_of(packed)] == VECTORS
    for seen in upstreams.requests(model):
        said = json.loads(seen.body)
        assert (seen.path, said["input"], said["dimensions"]) == ("/v1/embeddings", ["a", "b"], 3)


@pytest.mark.anyio
async def test_they_are_written_down_and_paid_for(service, upstreams):
    upstreams.model(openai(VECTORS[0]), name="priced")
    answer = await service.post(PATH, {"model": "openai/priced", "input": [1, 2, 3]}, key=KEY)
    row = await service.entry(answer)
    assert (row["surface"], row["status"], row["target"]) == ("openai.embeddings", "ok", "priced")
    assert (row["tokens_in"], row["tokens_out"], row["cost"], row["estimated"]) == (1000, 0, 2_000_000, False)
    assert answer.headers["headgate-cost-usd"] == "0.002000000"
    assert (answer.headers["headgate-provider"], answer.headers["headgate-model"]) == ("openai", "priced")
    assert "headgate-estimated" not in answer.headers


@pytest.mark.anyio
async def test_the_next_target_is_asked_where_one_fails(service, upstreams):
    upstreams.model(openai(status=404), name="first")
    upstreams.model(openai(VECTORS[0]), name="second")
    answer = await service.post(PATH, {"model": "vectors", "input": "a"}, key=KEY)
    assert vectors_of(answer) == [VECTORS[0]]
    assert answer.headers["headgate-model"] == "second"
    assert (await service.entry(answer))["tries"] == 2


@pytest.mark.anyio
async def test_tokens_that_the_provider_does_not_tell_are_estimated(service, upstreams):
    model = upstreams.model(gemini(VECTORS[0]))
    answer = await service.post(PATH, {"model": f"gemini/{model}", "input": "four words of text"}, key=KEY)
    assert vectors_of(answer) == [VECTORS[0]]
    assert answer.headers["headgate-estimated"] == "true"
    assert answer.json["usage"]["prompt_tokens"] == (await service.entry(answer))["tokens_in"] == 5


@pytest.mark.anyio
async def test_a_busy_upstream_is_asked_again(service, upstreams):
    busy = [whole(b'{"error":{"message":"slow down"}}', 429, {"retry-after": "0"})]
    model = upstreams.model(busy, openai(VECTORS[0]))
    answer = await service.post(PATH, {"model": f"openai/{model}", "input": "a"}, key=KEY)
    assert vectors_of(answer) == [VECTORS[0]]
    assert (await service.entry(answer))["tries"] == 2


@pytest.mark.anyio
async def test_a_model_that_makes_none_is_named(service, upstreams):
    upstreams.model([whole(b"{}")], name="nothing")
    answer = await service.post(PATH, {"model": "words", "input": "a"}, key=KEY)
    check_error("openai", answer, 400)
    assert "words" in answer.json["error"]["message"]
    assert upstreams.requests("nothing") == []
    assert (await service.entry(answer))["status"] == "refused"


@pytest.mark.anyio
async def test_nonsense_is_an_upstreams_error(service, upstreams):
    for script in (openai(), openai(VECTORS[0], VECTORS[1]), [whole(b"<html>")], openai(["x"])):
        model = upstreams.model(script)
        check_error("openai", await service.post(PATH, {"model": f"openai/{model}", "input": "a"}, key=KEY), 502)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        *({"input": value} for value in (None, [], [[]], 5)),
        {"input": "a", "dimensions": 0},
        {"input": "a", "encoding_format": "hex"},
        {"input": "a", "model": 5},
    ],
)
async def test_a_wrong_field_is_refused_in_openais_words(service, body):
    answer = await service.post(PATH, {"model": "openai/x", **body}, key=KEY)
    check_error("openai", answer, 400)
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["param"].startswith(list(body)[-1])


@pytest.mark.anyio
async def test_limits_and_rights_hold(service, upstreams):
    model = upstreams.model(openai(VECTORS[0], usage={"prompt_tokens": 10, "total_tokens": 10}))
    asked = {"model": f"openai/{model}", "input": "a"}
    check_error("openai", await service.post(PATH, {**asked, "input": "word " * 100}, key="key-of-bob"), 429)
    answer = await service.post(PATH, asked, key="key-of-bob")
    assert vectors_of(answer) == [VECTORS[0]]
    check_error("openai", await service.post(PATH, {**asked, "model": "vectors"}, key="key-of-bob"), 403)
    check_error("openai", await service.post(PATH, asked, key="wrong"), 401)
    check_error("openai", await service.post(PATH, asked), 403)
    check_error("openai", await service.post(PATH, {**asked, "model": "no/such"}, key=KEY), 404)


@pytest.mark.anyio
async def test_a_caller_who_hangs_up_takes_the_upstream_along(service, upstreams):
    model = upstreams.model([Upset.HANG])
    body = json.dumps({"model": f"openai/{model}", "input": "a"}).encode()
    async with connected(service.port) as line:
        await line.send(request("POST", PATH, body, {"Authorization": f"Bearer {KEY}", "X-Request-Id": "left-alone"}))
        await upstreams.asked(model)
        line.hang_up()
        await upstreams.hung_up(model)
    assert (await service.entry("left-alone"))["status"] == "cancelled"


@pytest.mark.anyio
async def test_a_fresh_installation_embeds(service):
    answer = await service.post(PATH, {"model": "echo/echo", "input": ["a gate", "a gate", "a fish"]}, key=KEY)
    first, same, other = vectors_of(answer)
    assert first == same != other
    assert len(first) == 64
