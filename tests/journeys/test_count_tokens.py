"""Counting tokens: by the provider where it can, an honest estimate elsewhere, and free."""

import json

import pytest

from headgate.testing import whole
from journeys._asking import check_error
from journeys._service import serving

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open,key-of-bob:bob:few"
[tiers.open]
[tiers.few]
requests = "2/day"
tokens = "1/day"
models = ["echo/*"]
[models.kind]
targets = ["anthropic/kind"]
system_prompt = "Be kind."
[models.mixed]
targets = ["openai/nobody", "gemini/counts"]
[providers.echo]
kind = "echo"
"""
KEY = "key-of-ann"
PATH = "/v1/messages/count_tokens"
ASKED = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("counts"), CONFIG + upstreams.config) as service:
        yield service


@pytest.mark.anyio
async def test_anthropic_is_asked_in_the_callers_own_words(service, upstreams):
    model = upstreams.model([whole(b'{"input_tokens": 12}')])
    asked = {"model": f"anthropic/{model}", **ASKED, "tools": [{"name": "f", "input_schema": {}}], "novel": 1}
    headers = {"anthropic-beta": "new-thing"}
    answer = await service.post(f"{PATH}?beta=true", asked, key=KEY, headers=headers)
    assert (answer.status, answer.json) == (200, {"input_tokens": 12})
    assert "headgate-estimated" not in answer.headers
    [seen] = upstreams.requests(model)
    assert seen.path.startswith("/v1/messages/count_tokens")
    assert json.loads(seen.body) == {**asked, "model": model}
    assert seen.headers["anthropic-beta"] == "new-thing"
    row = await service.entry(answer)
    assert (row["surface"], row["status"], row["target"]) == ("anthropic.count_tokens", "ok", model)
    assert (row["tokens_in"], row["tokens_out"], row["cost"]) == (0, 0, 0)


@pytest.mark.anyio
async def test_the_operators_system_prompt_is_counted(service, upstreams):
    upstreams.model([whole(b'{"input_tokens": 15}')], name="kind")
    await service.post(PATH, {"model": "kind", **ASKED}, key=KEY)
    assert json.loads(upstreams.requests("kind")[0].body) == {**ASKED, "model": "kind", "system": "Be kind."}


@pytest.mark.anyio
async def test_gemini_is_asked_in_its_own_words(service, upstreams):
    upstreams.model([whole(b'{"totalTokens": 9}')], name="counts")
    answer = await service.post(PATH, {"model": "mixed", **ASKED}, key=KEY)
    assert answer.json == {"input_tokens": 9}
    assert answer.headers["headgate-provider"] == "gemini"
    assert upstreams.requests("counts")[0].path == "/v1beta/models/counts:countTokens"


@pytest.mark.anyio
async def test_elsewhere_it_is_an_estimate_and_nobody_is_asked(service, upstreams):
    model = upstreams.model([whole(b"{}")])
    counts = []
    for times in (1, 10, 100):
        asked = {"model": f"openai/{model}", "messages": [{"role": "user", "content": "some words " * times}]}
        answer = await service.post(PATH, asked, key=KEY)
        assert (answer.status, answer.headers["headgate-estimated"]) == (200, "true")
        counts.append(answer.json["input_tokens"])
    assert 0 < counts[0] < counts[1] < counts[2]
    assert 200 < counts[2] < 400
    assert upstreams.requests(model) == []
    assert (await service.entry(answer))["estimated"] is True


@pytest.mark.anyio
async def test_it_uses_requests_and_no_tokens(service):
    asked = {"model": "echo/echo", "messages": [{"role": "user", "content": "word " * 500}]}
    answers = [await service.post(PATH, asked, key="key-of-bob") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    check_error("anthropic", answers[2], 429)


@pytest.mark.anyio
async def test_rights_and_fields_are_checked(service):
    check_error("anthropic", await service.post(PATH, {"model": "kind", **ASKED}, key="key-of-bob"), 403)
    check_error("anthropic", await service.post(PATH, {"model": "kind", **ASKED}), 401)
    check_error("anthropic", await service.post(PATH, {"model": "no/such", **ASKED}, key=KEY), 404)
    for body in ({"model": "kind"}, {**ASKED, "model": 5}, {"model": "kind", "messages": []}):
        check_error("anthropic", await service.post(PATH, body, key=KEY), 400)


@pytest.mark.anyio
async def test_a_count_that_is_none_is_an_upstreams_error(service, upstreams):
    model = upstreams.model([whole(b'{"input_tokens": "many"}')])
    check_error("anthropic", await service.post(PATH, {"model": f"anthropic/{model}", **ASKED}, key=KEY), 502)


@pytest.mark.anyio
async def test_a_server_that_cannot_count_is_estimated_for_and_one_that_lacks_the_model_is_not(service, upstreams):
    lost = {"type": "error", "error": {"type": "not_found_error", "message": "Not Found"}}
    model = upstreams.model([whole(json.dumps(lost).encode(), 404)])
    answer = await service.post(PATH, {"model": f"anthropic/{model}", **ASKED}, key=KEY)
    assert answer.status == 200
    assert answer.json["input_tokens"] > 0
    assert answer.headers["headgate-estimated"] == "true"
    model = upstreams.model(
        [lambda seen: [whole(json.dumps(lost).replace("Not Found", f"model: {model}").encode(), 404)]]
    )
    check_error("anthropic", await service.post(PATH, {"model": f"anthropic/{model}", **ASKED}, key=KEY), 404)
