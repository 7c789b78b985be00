"""A good upstream: every surface reaches every provider, and the ledger knows."""

import json

import pytest

from journeys._asking import PATHS, SURFACES, ask, check_good
from journeys._service import serving
from journeys._upstreams import KINDS, SECRET, said

CONFIG = """
[server]
heartbeat = "300 ms"
[access]
anonymous = true
api_keys = "key-of-ann:ann:open"
[tiers.open]
[routing]
default = "house"
[models.house]
targets = ["anthropic/housed", "openai/housed"]
"""
KEY = "key-of-ann"


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("answers"), CONFIG + upstreams.config) as service:
        yield service


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_surface_reaches_a_provider(service, upstreams, surface, kind, streamed):
    model = upstreams.model(said(kind, streamed=streamed))
    answer = await service.post(PATHS[surface], ask(surface, f"{kind}/{model}", stream=streamed), key=KEY)
    check_good(surface, answer)
    assert answer.headers["headgate-model"] == model
    assert answer.headers["headgate-provider"] == kind
    row = await service.entry(answer)
    assert row["status"] == "ok"
    assert (row["principal"], row["tier"], row["provider"], row["target"]) == ("ann", "open", kind, model)
    assert (row["tokens_in"], row["tokens_out"], row["tries"]) == (5, 7, 1)
    if surface == "anthropic":
        assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert row["stream"] is streamed
    [asked] = upstreams.requests(model)
    assert SECRET in " ".join(asked.headers.values())
    assert KEY not in " ".join(asked.headers.values()) + asked.body.decode()


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_who_names_no_model_gets_the_default_one(service, upstreams, surface):
    upstreams.model(said("anthropic", streamed=False), name="housed")
    body = ask(surface, "house")
    del body["model"]
    answer = await service.post(PATHS[surface], body, key=KEY)
    check_good(surface, answer)
    assert json.loads(upstreams.requests("housed")[-1].body)["model"] == "housed"
    assert (await service.entry(answer))["model"] == "house"


@pytest.mark.anyio
async def test_a_simple_stream_ends_with_its_metadata(service, upstreams):
    model = upstreams.model(said("openai", streamed=True))
    answer = await service.post("/stream", {"prompt": "Hi", "model": f"openai/{model}"}, key=KEY)
    assert [name for name, _ in answer.frames[-2:]] == ["done", ""]
    told = json.loads(answer.frames[-2][1])
    assert told["finish_reason"] == "stop"
    assert (told["input_tokens"], told["output_tokens"]) == (5, 7)
    assert told["request_id"] == answer.headers["x-request-id"]


@pytest.mark.anyio
async def test_a_call_is_counted_once(service, upstreams):
    model = upstreams.model(said("openai", streamed=False))
    answer = await service.post("/chat", {"message": "Hi", "model": f"openai/{model}"}, key=KEY)
    refused = await service.post("/chat", {"message": "Hi", "model": "nobody/knows"}, key=KEY)
    assert (answer.status, refused.status) == (200, 404)
    await service.entries()  # the log is written with the ledger
    for each in (answer, refused):
        assert service.log.count(each.headers["x-request-id"]) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("spelling", ['"model"', '"m\\u006fdel"'])
@pytest.mark.parametrize(("surface", "kind"), [("openai", "openai"), ("anthropic", "anthropic")])
async def test_the_upstream_reads_its_own_model_name_and_no_other(service, upstreams, surface, kind, spelling):
    model = upstreams.model(said(kind, streamed=False))
    for more in ({}, {"metadata": {"model": "other"}}, {"metadata": {'"model"': '"model":"other"'}}):
        body = json.dumps(ask(surface, "WANTED", '"model":"other"', **more))
        body = body.replace('"model": "WANTED"', f'{spelling}: "{kind}/{model}"')
        answer = await service.post(PATHS[surface], body.encode(), key=KEY)
        check_good(surface, answer)
        seen = json.loads(upstreams.requests(model)[-1].body)
        assert (seen["model"], seen.get("metadata", {})) == (model, more.get("metadata", {}))
