"""Every path that asks a model keeps the same promises, whatever its dialect."""

import asyncio
import json

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head, whole
from journeys._asking import check_error, check_words
from journeys._caller import connected, request
from journeys._hostile import NOT_JSON
from journeys._service import serving
from journeys._upstreams import KINDS, frames, said

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open,key-of-bob:bob:once"
[tiers.open]
[tiers.once]
requests = "1/hour"
[models.parrot]
targets = ["echo/echo"]
[providers.echo]
"""
KEY = "key-of-ann"


def said_hello(**more) -> dict:
    return {"messages": [{"role": "user", "content": "Say hello"}], **more}


# path: (whose words its errors use, a good body without the model, whether its answers can be streamed)
SIMPLE = {"prompt": "Say hello"}
PATHS = {
    "/chat": ("simple", {"message": "Say hello"}, True),
    "/complete": ("simple", SIMPLE, False),
    "/stream": ("simple", SIMPLE, False),
    "/generate": ("simple", SIMPLE, False),
    "/v1/chat/completions": ("openai", said_hello(), True),
    "/v1/completions": ("openai", SIMPLE, True),
    "/v1/responses": ("openai", {"input": "Say hello"}, True),
    "/v1/embeddings": ("openai", {"input": "Say hello"}, False),
    "/v1/messages": ("anthropic", said_hello(max_tokens=100), True),
    "/v1/messages/count_tokens": ("anthropic", said_hello(), False),
}
STREAMED = {path: how for path, how in PATHS.items() if how[2]} | {"/stream": ("simple", SIMPLE, True)}
ENDS = ("[DONE]", "message_stop", "event: done", "response.completed", "response.incomplete")


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("paths"), CONFIG + upstreams.config) as service:
        yield service


def body_of(path: str, model: str, *, stream: bool = False) -> dict:
    marks = {"stream": True} if stream and path != "/stream" else {}
    return {**PATHS[path][1], "model": model, **marks}


@pytest.mark.anyio
@pytest.mark.parametrize("path", PATHS)
async def test_what_is_no_strict_json_object_is_refused(service, path):
    words, *_ = PATHS[path]
    for name, body in NOT_JSON.items():
        answer = await service.post(path, body, key=KEY)
        assert answer.status == 400, (name, answer)
        check_error(words, answer, 400, "invalid_json")
    for body in ({}, {"model": 5}, {"model": "parrot"}, {**body_of(path, "parrot"), "model": ["parrot"]}):
        check_error(words, await service.post(path, body, key=KEY), 422 if words == "simple" else 400)
    for name in PATHS[path][1]:
        for value in (None, 5, True, {}, [None], [[]], [{}]):
            answer = await service.post(path, {**body_of(path, "parrot"), name: value}, key=KEY)
            if answer.status != 200:
                check_error(words, answer, 422 if words == "simple" else 400)


@pytest.mark.anyio
@pytest.mark.parametrize("path", PATHS)
async def test_nobody_is_let_in_without_a_credential_a_right_or_a_limit(service, path):
    words, *_ = PATHS[path]
    body = body_of(path, "parrot")
    check_error(words, await service.post(path, body), 401, "unauthenticated")
    check_error(words, await service.post(path, body, key="wrong"), 401, "unauthenticated")
    check_error(words, await service.post(path, body_of(path, "no/body"), key=KEY), 404, "not_found")
    made = {"user": path, "tier": "open", "limits": {"requests": "1/hour"}, "models": ["parrot", "echo/*"]}
    mine = (await service.post("/admin/keys", made, key="admin-key-of-these-tests")).json["key"]
    check_error(words, await service.post(path, body_of(path, "openai/x"), key=mine), 403, "forbidden")
    statuses = [(await service.post(path, body, key=mine)).status for _ in range(2)]
    assert statuses[0] != 429
    if path != "/v1/messages/count_tokens":  # nothing is asked of a model
        assert statuses[1] == 429


FAILURES = {
    "reset": ([Upset.RESET], {502}),
    "page": ([whole(b"<html>no</html>", 200, {"content-type": "text/html"})], {502}),
    "error in 200": ([whole(b'{"error": {"message": "no"}}')], {502}),
    "nothing in it": ([whole(b"{}")], {502}),
    "401": ([whole(b"{}", 401)], {502}),
    "404": ([whole(b"{}", 404)], {404}),
    "429": ([whole(b"{}", 429, {"retry-after": "9"})], {429, 503}),
    "500": ([whole(b"{}", 500)], {502}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("path", PATHS)
async def test_an_upstream_that_fails_is_an_honest_error(service, upstreams, path):
    words, _, streams = PATHS[path]

    async def check(kind, name, script, statuses, streamed):
        model = upstreams.model(script)
        answer = await service.post(path, body_of(path, f"{kind}/{model}", stream=streamed), key=KEY)
        # What this vendor has no words for is not asked, or counted without it.
        if not upstreams.requests(model) or (name == "404" and path.endswith("count_tokens")):
            assert answer.status in {200, 400, 422}, (kind, name, answer)
            return
        assert answer.status in statuses, (kind, name, answer)
        check_error(words, answer, answer.status)
        assert 1 <= len(upstreams.requests(model)) <= 4

    cases = [(kind, *case) for kind in KINDS for case in ((name, *how) for name, how in FAILURES.items())]
    await asyncio.gather(*(check(*case, streamed) for case in cases for streamed in ({False, streams})))


def begun(kind: str, *more) -> list:
    return [stream_head(), *map(chunk, frames(kind, "Hello", " there", end=False)), 0.02, *more]


BREAKS = {
    "closed": [Upset.CLOSE],
    "end without a reason": [LAST_CHUNK],
    "junk": [chunk(b"data: {junk}\n\n"), LAST_CHUNK],
    "error": [
        chunk(b'event: error\ndata: {"type": "error", "error": {"type": "api_error", "message": "no"}}\n\n'),
        LAST_CHUNK,
    ],
}


@pytest.mark.anyio
@pytest.mark.parametrize("path", STREAMED)
async def test_a_stream_that_breaks_is_broken_for_all_to_see(service, upstreams, path):
    words, *_ = STREAMED[path]

    async def check(kind, name, script):
        model = upstreams.model(begun(kind, *script))
        answer = await service.post(path, body_of(path, f"{kind}/{model}", stream=True), key=KEY)
        assert answer.status == 200, (kind, name, answer)
        assert answer.complete
        assert not any(mark in answer.text for mark in ENDS), (kind, name, answer)
        assert '"finish_reason":"' not in answer.text.replace(" ", ""), (kind, name, answer)
        event, told = answer.frames[-1]
        if path == "/v1/responses":
            assert event in {"error", "response.failed"}
        else:
            check_words(words, json.loads(told))
        assert (await service.entry(answer))["status"] == "partial"

    await asyncio.gather(*(check(kind, *case) for kind in KINDS for case in BREAKS.items()))


@pytest.mark.anyio
@pytest.mark.parametrize("path", STREAMED)
async def test_a_good_stream_ends_well(service, upstreams, path):
    for kind in KINDS:
        model = upstreams.model(said(kind, streamed=True))
        answer = await service.post(path, body_of(path, f"{kind}/{model}", stream=True), key=KEY)
        assert answer.complete
        assert any(mark in answer.text for mark in ENDS), answer
        assert "Hello" in answer.text
        row = await service.entry(answer)
        assert (row["status"], row["tokens_in"], row["tokens_out"]) == ("ok", 5, 7)


@pytest.mark.anyio
@pytest.mark.parametrize("path", PATHS)
async def test_a_caller_who_leaves_cancels_the_call(service, upstreams, path):
    kind = "anthropic" if "messages" in path else "openai"
    model = upstreams.model([Upset.HANG])
    request_id = f"leaves-{path.replace('/', '-')}"
    body = json.dumps(body_of(path, f"{kind}/{model}")).encode()
    async with connected(service.port) as line:
        await line.send(request("POST", path, body, {"X-API-Key": KEY, "X-Request-Id": request_id}))
        await upstreams.asked(model)
    await upstreams.hung_up(model)
    async with asyncio.timeout(5):
        while not (rows := await service.entries(request_id=request_id)):  # noqa: ASYNC110 - tests may look and wait
            await asyncio.sleep(0.05)
    assert [row["status"] for row in rows] == ["cancelled"]
