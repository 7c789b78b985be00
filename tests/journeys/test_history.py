"""Conversations that outgrow a model's window: refused before anybody is asked, or sent on without their beginning."""

import json

import pytest

from journeys._asking import check_error, check_good
from journeys._service import ADMIN, serving
from journeys._upstreams import said

KEY = "key-of-ann"
OLD = [{"role": "user", "content": "old " * 300}, {"role": "assistant", "content": "I see."}]
NEW = [{"role": "user", "content": "And now?"}]
LONG = [*OLD, *NEW]
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "responses": "/v1/responses"}
DROPPED = "headgate-dropped-messages"


def config(upstreams, policy="drop_oldest") -> str:
    return f"""
[access]
api_keys = "{KEY}:ann:open"
[tiers.open]
{upstreams.config}
[models.forgets]
targets = ["openai/forgets"]
context_window = 200
history = "{policy}"
[models.forgets-there]
targets = ["anthropic/forgets-there"]
context_window = 200
history = "drop_oldest"
[models.strict]
targets = ["openai/strict"]
context_window = 200
history = "refuse"
[models.free]
targets = ["openai/free"]
"""


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("history"), config(upstreams)) as service:
        yield service


def asked(surface, model, items, **more):
    if surface == "responses":
        return {"model": model, "input": items, "store": False, **more}
    return {"model": model, "messages": items, "max_tokens": 100, **more}


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("surface", PATHS)
async def test_the_oldest_turns_are_left_out_and_the_answer_says_how_many(service, upstreams, surface, streamed):
    upstreams.model(said("openai", streamed=streamed), name="forgets")
    start = len(upstreams.requests("forgets"))
    answer = await service.post(PATHS[surface], asked(surface, "forgets", LONG, stream=streamed), key=KEY)
    assert (answer.status, answer.headers[DROPPED]) == (200, "2")
    [seen] = upstreams.requests("forgets")[start:]
    body = json.loads(seen.body)
    assert (body["model"], body["messages"]) == ("forgets", NEW)
    short = await service.post(PATHS[surface], asked(surface, "forgets", NEW, stream=streamed), key=KEY)
    assert short.status == 200
    assert DROPPED not in short.headers


@pytest.mark.anyio
async def test_an_upstream_of_the_callers_own_dialect_gets_all_else_as_it_came(service, upstreams):
    upstreams.model(said("anthropic", streamed=False), name="forgets-there")
    body = asked("anthropic", "forgets-there", LONG, system="Be brief.", novel={"a": 1})
    answer = await service.post(PATHS["anthropic"], body, key=KEY)
    check_good("anthropic", answer)
    assert answer.headers[DROPPED] == "2"
    [seen] = upstreams.requests("forgets-there")
    assert json.loads(seen.body) == {**body, "messages": NEW}


@pytest.mark.anyio
@pytest.mark.parametrize("surface", [*PATHS, "simple"])
async def test_a_refusal_comes_before_anybody_is_asked(service, upstreams, surface):
    upstreams.model(said("openai", streamed=False), name="strict")
    body = {"model": "strict", "message": "old " * 300} if surface == "simple" else asked(surface, "strict", LONG)
    answer = await service.post(PATHS.get(surface, "/chat"), body, key=KEY)
    words = "openai" if surface == "responses" else surface
    check_error(words, answer, 400, "context_length_exceeded")
    told = answer.json["error"] if surface == "simple" else answer.json["error"]["message"]
    assert "about 3" in told
    assert "the 200 that this model takes" in told
    assert surface not in {"openai", "responses"} or answer.json["error"]["code"] == "context_length_exceeded"
    assert upstreams.requests("strict") == []
    row = await service.entry(answer)
    assert (row["status"], row["error"]) == ("refused", "context_length_exceeded")


@pytest.mark.anyio
async def test_the_simple_surface_has_one_prompt_and_nothing_to_drop(service):
    answer = await service.post("/chat", {"model": "forgets", "message": "old " * 300}, key=KEY)
    check_error("simple", answer, 400, "context_length_exceeded")


@pytest.mark.anyio
async def test_without_a_policy_the_callers_bytes_go_on(service, upstreams):
    upstreams.model(said("openai", streamed=False), name="free")
    body = asked("openai", "free", LONG)
    answer = await service.post(PATHS["openai"], body, key=KEY)
    check_good("openai", answer)
    assert DROPPED not in answer.headers
    [seen] = upstreams.requests("free")
    assert seen.body == json.dumps(body).encode()


@pytest.mark.anyio
async def test_a_kept_response_remembers_what_the_model_was_told(service, upstreams):
    upstreams.model(said("openai", streamed=False), name="forgets")
    first = await service.post(PATHS["responses"], {"model": "forgets", "input": LONG, "max_output_tokens": 9}, key=KEY)
    items = await service.get(f"/v1/responses/{first.json['id']}/input_items", key=KEY)
    assert [item["content"][0]["text"] for item in items.json["data"]] == ["And now?"]
    more = {"model": "forgets", "input": "Go on.", "previous_response_id": first.json["id"]}
    second = await service.post(PATHS["responses"], more, key=KEY)
    assert second.status == 200
    assert DROPPED not in second.headers
    assert [m["content"] for m in json.loads(upstreams.requests("forgets")[-1].body)["messages"]] == [
        "And now?",
        "Hello there",
        "Go on.",
    ]


@pytest.mark.anyio
async def test_a_changed_policy_holds_at_once(service, upstreams):
    upstreams.model(said("openai", streamed=False), name="forgets")
    try:
        await change(service, config(upstreams, "refuse"))
        refused = await service.post(PATHS["openai"], asked("openai", "forgets", LONG), key=KEY)
        check_error("openai", refused, 400)
    finally:
        await change(service, config(upstreams))
    assert (await service.post(PATHS["openai"], asked("openai", "forgets", LONG), key=KEY)).status == 200


async def change(service, text):
    new = service.config.with_suffix(".new")
    new.write_text(text)
    new.replace(service.config)
    assert (await service.post("/admin/reload", {}, key=ADMIN)).status == 200
