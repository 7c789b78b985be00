"""A call with an Idempotency-Key is made once, whoever sends it how often."""

import asyncio
import json
import os
import signal
from itertools import count

import pytest
from openai import AsyncOpenAI, ConflictError, UnprocessableEntityError

from headgate.testing import Upset, chunk, stream_head, whole
from journeys._asking import PATHS, SURFACES, ask, check_broken, check_error, check_good
from journeys._caller import connected, request
from journeys._service import serving
from journeys._upstreams import frames, said

pytestmark = pytest.mark.anyio

CONFIG = """
[access]
anonymous = true
api_keys = "key-of-ann:ann:open,key-of-bob:bob:open,key-of-cas:cas:capped"
trusted_proxies = ["127.0.0.1"]
[tiers.open]
[tiers.anonymous]
models = ["*"]
[tiers.capped]
requests = "1/hour"
[models.parrot]
targets = ["echo/echo"]
"""
_numbers = count()


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("once"), CONFIG + upstreams.config) as service:
        yield service


@pytest.fixture
def once():
    """A key that nobody used before."""
    return {"Idempotency-Key": f"key {next(_numbers)}"}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("surface", SURFACES)
async def test_the_same_call_is_answered_with_the_same_bytes(service, upstreams, once, surface, streamed):
    model = upstreams.model(said("openai", streamed=streamed))
    body = ask(surface, f"openai/{model}", stream=streamed)
    first, again = [await service.post(PATHS[surface], body, key="key-of-ann", headers=once) for _ in range(2)]
    check_good(surface, first)
    assert again.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    for name in ("content-type", "headgate-model", "headgate-provider", "headgate-cache"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(upstreams.requests(model)) == 1
    assert len(await service.entries(target=model)) == 1


@pytest.mark.parametrize("surface", SURFACES)
async def test_another_body_under_the_same_key_is_refused(service, once, surface):
    await service.post(PATHS[surface], ask(surface, "parrot"), key="key-of-ann", headers=once)
    answer = await service.post(PATHS[surface], ask(surface, "parrot", "Bye"), key="key-of-ann", headers=once)
    check_error(surface, answer, 422, "idempotency_key_reused")


@pytest.mark.parametrize("surface", SURFACES)
async def test_while_the_call_is_made_the_second_is_refused_and_only_one_is_made(service, upstreams, once, surface):
    model = upstreams.model([0.4, *said("openai", streamed=False)])
    body = ask(surface, f"openai/{model}")
    calls = [service.post(PATHS[surface], body, key="key-of-ann", headers=once) for _ in range(10)]
    answers = await asyncio.gather(*calls)
    good = [answer for answer in answers if answer.status == 200]
    assert len(good) == 1
    for answer in answers:
        if answer is not good[0]:
            check_error(surface, answer, 409, "idempotency_key_in_use")
            assert answer.headers["retry-after"] == "1"
    assert len(upstreams.requests(model)) == 1


async def test_a_key_is_its_tenants_and_its_paths(service, upstreams, once):
    model = upstreams.model(said("openai", streamed=False))
    body = ask("simple", f"openai/{model}")
    for key, address in (("key-of-ann", ""), ("key-of-bob", ""), ("", "192.0.2.1"), ("", "192.0.2.2")):
        headers = once | ({"X-Forwarded-For": address} if address else {})
        answer = await service.post("/chat", body, key=key, headers=headers)
        assert (answer.status, answer.headers.get("idempotent-replayed")) == (200, None)
    other = await service.post(PATHS["openai"], ask("openai", f"openai/{model}"), key="key-of-ann", headers=once)
    assert "idempotent-replayed" not in other.headers
    assert len(upstreams.requests(model)) == 5


async def test_a_failure_of_the_model_is_kept(service, upstreams, once):
    model = upstreams.model(
        [whole(b"{}", 500)], [whole(b"{}", 500)], [whole(b"{}", 500)], said("openai", streamed=False)
    )
    body = ask("simple", f"openai/{model}")
    first, again = [await service.post("/chat", body, key="key-of-ann", headers=once) for _ in range(2)]
    check_error("simple", first, 502, "upstream_error")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_broken_stream_stays_broken(service, upstreams, once):
    cut = [stream_head(), *map(chunk, frames("openai", "Hel", end=False)), Upset.CLOSE]
    model = upstreams.model(cut, said("openai", streamed=True))
    body = ask("openai", f"openai/{model}", stream=True)
    first, again = [await service.post(PATHS["openai"], body, key="key-of-ann", headers=once) for _ in range(2)]
    check_broken("openai", first)
    assert again.body == first.body


async def test_a_refusal_leaves_the_key_free(service, upstreams, once):
    busy = whole(b'{"error": {"message": "slow down"}}', 429, {"retry-after": "30"})
    model = upstreams.model([busy], said("openai", streamed=False))
    refused = [
        await service.post("/chat", b"{", key="key-of-ann", headers=once),
        await service.post("/chat", {"message": ""}, key="key-of-ann", headers=once),
        await service.post("/chat", ask("simple", "nobody/x"), key="key-of-ann", headers=once),
        await service.post("/chat", ask("simple", f"openai/{model}"), key="wrong", headers=once),
        await service.post("/chat", ask("simple", f"openai/{model}"), key="key-of-ann", headers=once),
    ]
    assert [answer.status for answer in refused] == [400, 422, 404, 401, 503]
    answer = await service.post("/chat", ask("simple", f"openai/{model}", "Well?"), key="key-of-ann", headers=once)
    check_good("simple", answer)


async def test_a_limit_refuses_and_keeps_nothing(service, once):
    await service.post("/chat", ask("simple", "parrot"), key="key-of-cas")
    refused = [await service.post("/chat", ask("simple", "parrot"), key="key-of-cas", headers=once) for _ in range(2)]
    assert [(a.status, a.headers.get("idempotent-replayed")) for a in refused] == [(429, None)] * 2


async def test_what_is_no_key_is_refused(service):
    for key in ("", "x" * 256, "caf\xe9"):
        answer = await service.post(
            "/chat", ask("simple", "parrot"), key="key-of-ann", headers={"Idempotency-Key": key}
        )
        check_error("simple", answer, 422, "validation_error")


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_call_of_a_caller_who_hung_up_is_finished_and_kept(service, upstreams, once, streamed):
    model = upstreams.model([0.3, *said("openai", streamed=streamed)])
    body = ask("simple", f"openai/{model}", stream=streamed)
    headers = {"Authorization": "Bearer key-of-ann", **once}
    async with connected(service.port) as line:
        await line.send(request("POST", "/chat", json.dumps(body).encode(), headers))
        await upstreams.asked(model)
    async with asyncio.timeout(5):
        while (again := await service.post("/chat", body, key="key-of-ann", headers=once)).status == 409:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    check_good("simple", again)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(upstreams.requests(model)) == 1


async def test_other_costs_are_covered_too(service, upstreams, once):
    model = upstreams.model(said("openai", streamed=True))
    for path, body in (
        ("/stream", {"model": f"openai/{model}", "prompt": "Hi"}),
        ("/v1/responses", {"model": "parrot", "input": "Hi"}),
        ("/v1/completions", {"model": "parrot", "prompt": "Hi"}),
        ("/generate", {"model": "parrot", "prompt": "Hi"}),
        ("/ask", {"model": "parrot", "question": "Who is there?"}),
        ("/ask/stream", {"model": "parrot", "question": "Who is there?"}),
    ):
        first, again = [await service.post(path, body, key="key-of-ann", headers=once) for _ in range(2)]
        assert first.status == 200, first
        assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")


async def test_a_cached_answer_and_a_key_go_together(service, upstreams, once):
    model = upstreams.model(said("openai", streamed=False))
    headers = {**once, "Cache-Control": "max-age=60"}
    body = ask("simple", f"openai/{model}")
    first, again = [await service.post("/chat", body, key="key-of-ann", headers=headers) for _ in range(2)]
    assert (again.body, again.headers["headgate-cache"]) == (first.body, "miss")
    third = await service.post("/chat", body, key="key-of-ann", headers={"Cache-Control": "max-age=60"})
    assert third.headers["headgate-cache"] == "hit"


async def test_the_official_sdk_sees_what_it_expects(service, upstreams, once):
    model = upstreams.model(said("openai", streamed=True))
    url = f"http://127.0.0.1:{service.port}/v1"
    async with AsyncOpenAI(api_key="key-of-ann", base_url=url, max_retries=0, default_headers=once) as client:

        async def asked(text):
            messages = [{"role": "user", "content": text}]
            stream = await client.chat.completions.create(model=f"openai/{model}", messages=messages, stream=True)
            return [piece async for piece in stream]

        assert await asked("Hi") == await asked("Hi")
        with pytest.raises(UnprocessableEntityError):
            await asked("Bye")
        slow = upstreams.model([1.0, *said("openai", streamed=True)])
        model, once["Idempotency-Key"] = slow, f"key {next(_numbers)}"
    async with AsyncOpenAI(api_key="key-of-ann", base_url=url, max_retries=0, default_headers=once) as client:
        running = asyncio.create_task(asked("Hi"))
        await upstreams.asked(slow)
        with pytest.raises(ConflictError):
            await asked("Hi")
        assert await running


async def test_a_key_whose_process_was_killed_stays_in_use_only_for_a_while(upstreams, tmp_path, once):
    model = upstreams.model([60.0], said("openai", streamed=False))
    body = ask("simple", f"openai/{model}")
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        lost = asyncio.create_task(service.post("/chat", body, key="key-of-ann", headers=once))
        await upstreams.asked(model)
        os.kill(service.process.pid, signal.SIGKILL)
        await service.process.wait()
        await asyncio.gather(lost, return_exceptions=True)
    async with serving(tmp_path, CONFIG + upstreams.config) as service:
        answer = await service.post("/chat", body, key="key-of-ann", headers=once)
        check_error("simple", answer, 409, "idempotency_key_in_use")
