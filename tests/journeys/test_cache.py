"""What was answered before answers again, as its surface would; what is asked by many at once is asked once."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from openai import AsyncOpenAI

from headgate.testing import chunk, stream_head
from journeys._asking import PATHS, SURFACES, ask, check_good
from journeys._caller import connected, request
from journeys._service import ADMIN, serving
from journeys._upstreams import KINDS, frames, said
from servers import valkey

pytestmark = pytest.mark.anyio

CONFIG = """
[access]
anonymous = true
api_keys = "key-of-ann:ann:open,key-of-ann-2:ann:open,key-of-bob:bob:open,key-of-cas:cas:capped"
[tiers.open]
[tiers.capped]
requests = "3/hour"
tokens = "20000/hour"
spend_usd = "1/day"
[providers.echo]
[prices."*"]
input = 10
output = 100
"""
COST = 5 * 10_000 + 7 * 100_000  # nano-USD of an answer of the upstreams
VARYING = {"id", "created", "created_at", "request_id", "cached", "cost_usd", "latency_ms"}


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    config = CONFIG + upstreams.config + "[cache]\nenabled = true\n"
    async with serving(tmp_path_factory.mktemp("cache"), config) as service:
        yield service


@pytest.fixture(scope="module")
async def silent(upstreams, tmp_path_factory):
    """A service whose operator has not turned the cache on."""
    async with serving(tmp_path_factory.mktemp("silent"), CONFIG + upstreams.config) as service:
        yield service


def settled(value):
    """An answer without what differs between two answers that are the same."""
    if isinstance(value, dict):
        return {name: settled(item) for name, item in value.items() if name not in VARYING}
    return [settled(item) for item in value] if isinstance(value, list) else value


def content(answer):
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return settled(answer.json)
    return [(name, data if data == "[DONE]" else settled(json.loads(data))) for name, data in answer.frames]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("surface", SURFACES)
async def test_an_answer_from_the_cache_is_the_answer(service, upstreams, surface, kind, streamed):
    model = upstreams.model(said(kind, streamed=streamed))
    body = ask(surface, f"{kind}/{model}", stream=streamed)
    fresh, again = [await service.post(PATHS[surface], body, key="key-of-ann") for _ in range(2)]
    assert [a.headers["headgate-cache"] for a in (fresh, again)] == ["miss", "hit"]
    check_good(surface, again)
    assert content(again) == content(fresh)
    assert [a.headers["headgate-model"] for a in (fresh, again)] == [model, model]
    assert len(upstreams.requests(model)) == 1
    rows = [await service.entry(a) for a in (fresh, again)]
    assert [(row["cache"], row["status"], row["tries"]) for row in rows] == [("miss", "ok", 1), ("hit", "ok", 0)]
    assert [row["cost_usd"] for row in rows] == [COST / 1e9, 0]
    assert [row["saved"] for row in rows] == [0, COST]


async def test_the_simple_surface_says_that_an_answer_is_cached(service, upstreams):
    model = upstreams.model(said("openai", streamed=False))
    bodies = [(await service.post("/chat", ask("simple", f"openai/{model}"), key="key-of-ann")).json for _ in range(2)]
    assert [(body["cached"], body["cost_usd"]) for body in bodies] == [(False, COST / 1e9), (True, 0)]
    assert [body["completion_tokens"] for body in bodies] == [7, 7]


async def test_who_does_not_want_the_cache_says_so(service, upstreams):
    model = upstreams.model(*[said("openai", f"Answer {n}", streamed=False) for n in range(4)])

    async def posted(control):
        headers = {"Cache-Control": control} if control else {}
        answer = await service.post("/chat", ask("simple", f"openai/{model}"), key="key-of-ann", headers=headers)
        return answer.headers["headgate-cache"], answer.words

    assert await posted("no-store") == ("off", "Answer 0")
    assert await posted("") == ("miss", "Answer 1")
    assert await posted("No-Store, max-age=60") == ("off", "Answer 2")
    assert await posted("") == ("hit", "Answer 1")
    assert await posted("no-cache") == ("miss", "Answer 3")
    assert await posted("max-age=60") == ("hit", "Answer 3")


async def test_where_the_cache_is_off_a_caller_may_ask_for_it(silent, upstreams):
    model = upstreams.model(*[said("openai", f"Answer {n}", streamed=False) for n in range(4)])

    async def posted(control):
        headers = {"Cache-Control": control} if control else {}
        answer = await silent.post("/chat", ask("simple", f"openai/{model}"), key="key-of-ann", headers=headers)
        return answer.headers["headgate-cache"], answer.words

    assert await posted("") == ("off", "Answer 0")
    assert await posted("no-cache") == ("off", "Answer 1")
    assert await posted("max-age=60") == ("miss", "Answer 2")
    assert await posted("max-age=60") == ("hit", "Answer 2")
    assert await posted("") == ("off", "Answer 3")


async def test_an_answer_belongs_to_its_tenant(service, upstreams):
    model = upstreams.model(said("openai", streamed=False))
    states = []
    for key in ("key-of-ann", "key-of-ann-2", "key-of-bob", ""):
        answer = await service.post("/chat", ask("simple", f"openai/{model}"), key=key)
        states.append(answer.headers.get("headgate-cache"))
    assert states == ["miss", "hit", "miss", None]  # nobody in particular may not use this model


async def test_a_hit_takes_a_request_and_neither_tokens_nor_money(service, upstreams):
    model = upstreams.model(said("openai", streamed=False))
    body = ask("simple", f"openai/{model}", max_tokens=50)
    for _ in range(3):
        assert (await service.post("/chat", body, key="key-of-cas")).status == 200
    left = {limit["unit"]: limit["left"] for limit in (await service.get("/me", key="key-of-cas")).json["limits"]}
    assert (left["requests"], left["tokens"], left["USD"]) == (0, 20_000 - 12, pytest.approx(1 - COST / 1e9))
    assert (await service.post("/chat", body, key="key-of-cas")).status == 429


async def test_half_an_answer_is_not_remembered(service, upstreams):
    cut = [stream_head(), *map(chunk, frames("openai", "Hel", end=False)), b"0\r\n\r\n"]
    model = upstreams.model(cut, said("openai", streamed=True))
    body = ask("openai", f"openai/{model}", stream=True)
    first, again = [await service.post(PATHS["openai"], body, key="key-of-ann") for _ in range(2)]
    assert "[DONE]" not in first.text
    assert again.headers["headgate-cache"] == "miss"
    check_good("openai", again)


async def test_a_hundred_identical_streams_are_one_call(service, upstreams):
    model = upstreams.model([0.4, *said("openai", streamed=True)])
    body = ask("openai", f"openai/{model}", stream=True)
    answers = await asyncio.gather(
        *[service.post(PATHS["openai"], body, key="key-of-ann", patience=20) for _ in range(100)]
    )
    for answer in answers:
        check_good("openai", answer)
    assert len(upstreams.requests(model)) == 1
    rows = await service.entries(target=model)
    assert len(rows) == 100
    assert round(sum(row["cost_usd"] for row in rows) * 1e9) == COST


async def test_the_first_caller_may_hang_up_and_the_last_one_stops_the_model(service, upstreams):
    pieces = frames("openai", "Hello", " there")
    model = upstreams.model([stream_head(), chunk(pieces[0]), 1.0, *map(chunk, pieces[1:]), b"0\r\n\r\n"])
    asked = request(
        "POST",
        PATHS["openai"],
        json.dumps(ask("openai", f"openai/{model}", stream=True)).encode(),
        {"Authorization": "Bearer key-of-ann"},
    )
    async with connected(service.port) as leader:
        await leader.send(asked)
        await leader.head()
        follower = asyncio.create_task(
            service.post(PATHS["openai"], ask("openai", f"openai/{model}", stream=True), key="key-of-ann")
        )
        await asyncio.sleep(0.2)
        leader.hang_up()
    check_good("openai", await follower)
    assert len(upstreams.requests(model)) == 1

    model = upstreams.model([stream_head(), chunk(pieces[0]), 60.0])
    body = json.dumps(ask("openai", f"openai/{model}", stream=True)).encode()
    async with AsyncExitStack() as stack:
        for _ in range(3):
            line = await stack.enter_async_context(connected(service.port))
            await line.send(request("POST", PATHS["openai"], body, {"Authorization": "Bearer key-of-ann"}))
            await line.head()
    await upstreams.hung_up(model)


async def test_vectors_and_responses_come_from_the_cache_too(service):
    for path, body in (
        ("/v1/embeddings", {"model": "echo/echo", "input": "hello"}),
        ("/v1/responses", {"model": "echo/echo", "input": "hello"}),
        ("/v1/completions", {"model": "echo/echo", "prompt": "hello"}),
    ):
        answers = [await service.post(path, body, key="key-of-ann") for _ in range(2)]
        assert [a.status for a in answers] == [200, 200], answers
        assert [a.headers["headgate-cache"] for a in answers] == ["miss", "hit"], path


async def test_the_official_sdk_streams_from_the_cache(service, upstreams):
    model = upstreams.model(said("openai", streamed=True))
    async with AsyncOpenAI(api_key="key-of-ann", base_url=f"http://127.0.0.1:{service.port}/v1") as client:
        for state in ("miss", "hit"):
            raw = await client.chat.completions.with_raw_response.create(
                model=f"openai/{model}",
                messages=[{"role": "user", "content": "Hi"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            assert raw.headers["headgate-cache"] == state
            chunks = [piece async for piece in raw.parse()]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello there"
            assert chunks[-1].usage.completion_tokens == 7


async def test_two_processes_share_their_answers_and_ask_once(upstreams, tmp_path):
    model = upstreams.model([0.5, *said("openai", streamed=True)])
    body = ask("openai", f"openai/{model}", stream=True)
    with valkey(tmp_path) as store:
        config = CONFIG + upstreams.config + f'[cache]\nenabled = true\n[shared]\nurl = "{store.url}"\n'
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        async with serving(tmp_path / "a", config) as one, serving(tmp_path / "b", config) as other:
            answers = await asyncio.gather(
                *[service.post(PATHS["openai"], body, key="key-of-ann") for service in (one, other) for _ in range(10)]
            )
            for answer in answers:
                check_good("openai", answer)
            assert len(upstreams.requests(model)) == 1
            store.kill()
            late = await other.post(PATHS["openai"], body, headers={"Cache-Control": "max-age=60"}, key="key-of-ann")
            check_good("openai", late)  # tier open has no limits, which would need the store


async def test_the_cache_is_turned_on_and_off_by_saving_the_configuration(upstreams, tmp_path):
    model = upstreams.model(said("openai", streamed=False))
    config = CONFIG + upstreams.config
    async with serving(tmp_path, config) as service:

        async def state():
            answer = await service.post("/chat", ask("simple", f"openai/{model}"), key="key-of-ann")
            return answer.headers["headgate-cache"]

        assert await state() == "off"
        service.config.write_text(config + "[cache]\nenabled = true\n")
        assert (await service.post("/admin/reload", {}, key=ADMIN)).status == 200
        assert [await state(), await state()] == ["miss", "hit"]
