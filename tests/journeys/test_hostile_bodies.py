"""Callers who send what no client should: never a 500, always the words of their surface, and the service lives on."""

import asyncio
import gzip
import json

import pytest

from journeys._asking import PATHS, SURFACES, ask, check_error
from journeys._hostile import NOT_JSON
from journeys._service import ADMIN, serving

CONFIG = """
[server]
max_body = "200 KiB"
[access]
anonymous = true
api_keys = "key-of-ann:ann:open"
[models.parrot]
targets = ["echo/echo"]
[models.briefed]
targets = ["echo/echo"]
system_prompt = "Be brief."
[providers.echo]
[tiers.open]
"""
KEY = "key-of-ann"


@pytest.fixture(scope="module")
async def service(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("hostile"), CONFIG) as service:
        yield service


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_what_is_no_strict_json_object_is_refused(service, surface):
    async def send(name, body):
        answer = await service.post(PATHS[surface], body, key=KEY)
        try:
            check_error(surface, answer, 400, "invalid_json")
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None

    await asyncio.gather(*(send(name, body) for name, body in NOT_JSON.items()))
    assert (await service.get("/health")).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_refused_body_is_in_the_ledger(service, surface):
    answer = await service.post(PATHS[surface], b"nonsense", key=KEY)
    row = await service.entry(answer)
    assert (row["status"], row["error"], row["principal"]) == ("refused", "invalid_json", "ann")


@pytest.mark.anyio
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_compressed_bodies_are_refused_in_so_many_words(service, surface, coding):
    body = gzip.compress(json.dumps(ask(surface, "parrot")).encode())
    answer = await service.post(PATHS[surface], body, key=KEY, headers={"Content-Encoding": coding})
    check_error(surface, answer, 422 if surface == "simple" else 400, "validation_error")
    assert "compress" in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_awkward_but_sound_bodies_are_answered(service, surface):
    texts = ["😀", "\x00\x1f", "a" * 19_000, '":":{', "\u2028"]
    for text in texts:
        answer = await service.post(PATHS[surface], ask(surface, "parrot", text), key=KEY)
        assert answer.status == 200, answer
    spaced = json.dumps(ask(surface, "parrot"), separators=(" , ", " :\n")).encode()
    escaped = json.dumps(ask(surface, "parrot")).replace('"model"', '"m\\u006fdel"').encode()
    for body in (spaced, b"\n\t " + spaced + b"\r\n", escaped):
        answer = await service.post(PATHS[surface], body, key=KEY)
        assert answer.status == 200, answer


WRONG = {
    "simple": {
        "message": [5, None, True, [], {}, "", "x" * 20_001],
        "model": [5, True, [], {}],
        "system_prompt": [5, [], {}, False],
        "temperature": ["1", True, -0.1, 2.1, [], {}],
        "max_tokens": ["5", 0, -1, 1.5, True, [], {}, 10**12],
        "stream": ["true", 1, 0, [], {}],
        "surprise": [1],
    },
    "openai": {
        "messages": [5, None, True, [], {}, "hi", [5], [None], [[]], [{}], [{"role": "user"}]],
        "model": [5, True, [], {}],
        "stream": ["true", 1, []],
        "stream_options": [5, "x", []],
        "max_tokens": ["5", 0, -1, 1.5, True, [], {}],
        "max_completion_tokens": ["5", 0, -1, 1.5, True, [], {}],
        "temperature": ["1", True, -0.1, 2.1, []],
        "top_p": ["1", True, -0.1, 1.1],
        "presence_penalty": ["1", 3],
        "frequency_penalty": ["1", -3],
        "n": ["1", 0, -1, 1.5, True, 1000],
        "seed": ["1", 1.5, True],
        "logprobs": ["1", 1],
        "top_logprobs": ["1", -1, 50],
        "stop": [5, [5], {}],
        "tools": [5, "x", {}, [5]],
        "tool_choice": [5, True, []],
        "response_format": [5, "json", []],
        "user": [5, {}],
        "reasoning_effort": [5, {}],
        "parallel_tool_calls": ["yes", 1],
    },
    "anthropic": {
        "messages": [5, None, True, [], {}, "hi", [5], [None], [[]], [{}], [{"role": "user"}]],
        "model": [5, True, [], {}],
        "max_tokens": ["5", -1, 1.5, True, [], {}, None],
        "stream": ["true", 1, []],
        "system": [5, True, {}, [5]],
        "temperature": ["1", True, -0.1, 1.1, []],
        "top_p": ["1", True, -0.1, 1.1],
        "top_k": ["1", -1, 1.5, True],
        "stop_sequences": ["x", 5, [5], {}],
        "tools": [5, "x", {}, [5]],
        "tool_choice": [5, True, [], "auto", {}],
        "thinking": [5, "x", []],
        "metadata": [5, "x", []],
    },
}
CONTENTS = [5, True, {}, [5], [None], [{}], [{"type": 5}], [{"type": "text"}], [{"type": "text", "text": 5}]]
for surface in ("openai", "anthropic"):
    WRONG[surface]["messages"] += [[{"role": role, "content": "x"}] for role in (5, None, "root", [], {})]
    WRONG[surface]["messages"] += [[{"role": "user", "content": content}] for content in CONTENTS]


@pytest.mark.anyio
@pytest.mark.parametrize("model", ["parrot", "briefed"])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_field_of_a_wrong_type_is_named(service, surface, model):
    async def send(field, value):
        body = {**ask(surface, model), field: value}
        answer = await service.post(PATHS[surface], body, key=KEY)
        try:
            check_error(surface, answer, 422 if surface == "simple" else 400)
            assert field in answer.text
            if surface == "simple":
                assert answer.json["details"]["field"] == field
            if surface == "openai":
                assert answer.json["error"]["param"].startswith(field)
        except AssertionError as error:
            raise AssertionError(f"{field}={str(value)[:100]}: {error}") from None

    await asyncio.gather(*(send(field, value) for field, values in WRONG[surface].items() for value in values))


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_field_may_be_null(service, surface):
    body = ask(surface, "parrot")
    nulls = dict.fromkeys(WRONG[surface].keys() - body.keys() - {"surprise"})
    answer = await service.post(PATHS[surface], {**nulls, **body}, key=KEY)
    assert answer.status == 200, answer


@pytest.mark.anyio
@pytest.mark.parametrize("surface", ["openai", "anthropic"])
async def test_unknown_fields_are_taken(service, surface):
    body = ask(surface, "parrot", surprise={"deep": [1, {"er": None}]}, other=10**18)
    assert (await service.post(PATHS[surface], body, key=KEY)).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/complete", "/stream", "/generate"])
async def test_the_simple_paths_name_the_wrong_field(service, path):
    for field, values in {
        "prompt": [5, "", None, "x" * 20_001],
        "temperature": ["1"],
        "max_tokens": [0],
        "system": ["x"],
    }.items():
        for value in values:
            answer = await service.post(path, {"prompt": "hi", field: value}, key=KEY)
            check_error("simple", answer, 422, "validation_error")
            assert answer.json["details"]["field"] == field
    assert (await service.post(path, {"prompt": "x" * 20_000}, key=KEY)).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    "model",
    [
        "unknown",
        "no/body",
        "echo/",
        "/echo",
        "/",
        "echo/a\r\nX-Evil: 1",
        "echo/a\nb",
        "echo/\x00",
        "echo/é",
        "echo/" + "x" * 100_000,
    ],
)
async def test_a_model_that_cannot_be_is_not_found(service, surface, model):
    for stream in (False, True):
        answer = await service.post(PATHS[surface], ask(surface, model, stream=stream), key=KEY)
        check_error(surface, answer, 404, "not_found")
        assert "x-evil" not in answer.headers
        assert len(answer.body) < 1000


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("/search", b'{"query": "moon"}'),
        ("/collections", b'{"name": "moons"}'),
        ("/v1/vector_stores/moons/search", b'{"query": "moon"}'),
        ("/admin/keys", b'{"user": "eve"}'),
    ],
)
async def test_other_paths_read_a_body_as_strictly_and_whatever_its_type_is_said_to_be(service, path, good):
    await service.post("/collections", b'{"name": "moons"}', key=ADMIN)
    surface = "openai" if path.startswith("/v1") else "simple"
    for type_ in ("application/x-www-form-urlencoded", "text/plain", "application/json"):
        answer = await service.post(path, good, key=ADMIN, headers={"Content-Type": type_})
        assert answer.status in {200, 201}, answer
    for name, bad in NOT_JSON.items():
        if bad:
            answer = await service.post(path, bad, key=ADMIN)
            assert answer.status == 400, name
            check_error(surface, answer, 400, "invalid_json")
