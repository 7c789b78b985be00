"""Routing seen from outside: shares, key pools, hedges, and what the admin sees of them."""

import asyncio
import json
import time
from collections import Counter

import pytest

from headgate.testing import whole
from journeys._asking import PATHS, SURFACES, ask, check_error, check_good
from journeys._service import ADMIN, serving
from journeys._upstreams import answer, said

KEY = "key-of-ann"
KEYS = ("sk-first-0a1b2c3d4e5f", "sk-second-0a1b2c3d4e5f", "sk-third-0a1b2c3d4e5f")
CONFIG = """
[access]
api_keys = "key-of-ann:ann:open"
[tiers.open]
[models.shared]
targets = ["openai/often", "openai/seldom", "anthropic/never"]
strategy = "weighted"
weights = [4, 1, 0]
[models.quickest]
targets = ["openai/slow", "anthropic/fast"]
strategy = "least_busy"
[models.hedged]
targets = ["openai/silent", "anthropic/awake"]
hedge = { after = "100 ms", extra = "100%" }
"""


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    pools = "".join(
        f'[providers.pool{n}]\nkind = "openai"\n{keys}\nbase_url = "{upstreams.server.url}/v1"\n'
        for n, keys in enumerate(
            (f"api_key = {json.dumps(KEYS)}", f'api_keys = "{",".join(KEYS)}"', 'api_keys = "env:POOL"')
        )
    )
    folder = tmp_path_factory.mktemp("routing")
    async with serving(folder, CONFIG + upstreams.config + pools, POOL=",".join(KEYS)) as service:
        yield service


def keyed(refusals):
    """A script that refuses some keys: `{key: answer}`."""

    def reply(request):
        key = request.headers["authorization"].removeprefix("Bearer ")
        return [refusals[key]] if key in refusals else said("openai", streamed=False)

    return [reply]


def keys_asked(upstreams, model):
    return [seen.headers["authorization"].removeprefix("Bearer ") for seen in upstreams.requests(model)]


def refusal(status, **headers):
    return whole(b'{"error": {"message": "no"}}', status, {k.replace("_", "-"): v for k, v in headers.items()})


async def state(service, name):
    routes = (await service.get("/admin/models", key=ADMIN)).json["models"]
    return next(route for route in routes if route["name"] == name)


@pytest.mark.anyio
async def test_targets_get_their_shares_of_the_calls(service, upstreams):
    for name in ("often", "seldom", "never"):
        kind = "anthropic" if name == "never" else "openai"
        upstreams.model(said(kind, streamed=False), name=name)
    limit = asyncio.Semaphore(10)

    async def call():
        async with limit:
            check_good("simple", await service.post("/chat", ask("simple", "shared"), key=KEY))

    await asyncio.gather(*(call() for _ in range(150)))
    asked = {name: len(upstreams.requests(name)) for name in ("often", "seldom", "never")}
    assert asked["often"] + asked["seldom"] == 150
    assert 8 <= asked["seldom"] <= 60  # 30 expected: not one in ten million runs is outside
    shown = await state(service, "shared")
    assert shown["strategy"] == "weighted"
    assert [target["calls"] for target in shown["targets"]] == list(asked.values())


@pytest.mark.anyio
async def test_the_quicker_target_gets_nearly_all_calls(service, upstreams):
    upstreams.model([1.0, *said("openai", streamed=False)], name="slow")
    upstreams.model(said("anthropic", streamed=False), name="fast")
    for _ in range(12):
        check_good("simple", await service.post("/chat", ask("simple", "quickest"), key=KEY))
    assert len(upstreams.requests("slow")) <= 2
    slow, fast = (await state(service, "quickest"))["targets"]
    assert fast["latency_ms"] < 1000 <= (slow["latency_ms"] or 1000)
    assert slow["in_flight"] == fast["in_flight"] == 0


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_silent_target_is_overtaken_by_the_next(service, upstreams, surface, streamed):
    upstreams.model([30.0], name="silent")
    upstreams.model(said("anthropic", streamed=streamed), name="awake")
    before = len(upstreams.requests("silent"))
    begun = time.monotonic()
    got = await service.post(PATHS[surface], ask(surface, "hedged", stream=streamed), key=KEY)
    check_good(surface, got)
    assert time.monotonic() - begun < 10
    await upstreams.hung_up("silent", 5.0)
    row = await service.entry(got)
    assert (row["target"], row["tries"], row["status"]) == ("awake", 2, "ok")
    assert len(upstreams.requests("silent")) == before + 1
    shown = await state(service, "hedged")
    assert shown["hedges"] >= 1
    assert [target["in_flight"] for target in shown["targets"]] == [0, 0]


@pytest.mark.anyio
@pytest.mark.parametrize("pool", ["pool0", "pool1", "pool2"])
async def test_the_keys_of_a_pool_are_used_in_turn(service, upstreams, pool):
    model = upstreams.model(said("openai", streamed=False))
    for _ in range(6):
        check_good("simple", await service.post("/chat", ask("simple", f"{pool}/{model}"), key=KEY))
    assert Counter(keys_asked(upstreams, model)) == dict.fromkeys(KEYS, 2)


@pytest.mark.anyio
async def test_a_limited_key_rests_while_the_others_answer(service, upstreams):
    model = upstreams.model(keyed({KEYS[0]: refusal(429, retry_after="60")}))
    for _ in range(6):
        check_good("simple", await service.post("/chat", ask("simple", f"pool0/{model}"), key=KEY))
    assert keys_asked(upstreams, model).count(KEYS[0]) == 1
    [target] = (await state(service, f"pool0/{model}"))["targets"]
    assert target["state"] == "closed"
    assert target["keys"][0]["rests_for"] > 30
    assert [key["rests_for"] for key in target["keys"][1:]] == [0, 0]
    assert not any(key in json.dumps(target) for key in KEYS)


@pytest.mark.anyio
async def test_when_all_keys_are_limited_the_caller_hears_the_soonest_end(service, upstreams):
    waits = dict(zip(KEYS, ("50", "8", "70"), strict=True))
    model = upstreams.model(keyed({key: refusal(429, retry_after=wait) for key, wait in waits.items()}))
    for _ in range(3):
        got = await service.post("/chat", ask("simple", f"pool0/{model}"), key=KEY)
        check_error("simple", got, 503, "upstream_busy")
        assert int(got.headers["retry-after"]) in {7, 8}
    assert sorted(keys_asked(upstreams, model)) == sorted(KEYS)


@pytest.mark.anyio
async def test_a_refused_key_is_spared_and_seen_to_be(service, upstreams):
    model = upstreams.model(keyed({KEYS[1]: refusal(401)}))
    for _ in range(6):
        check_good("simple", await service.post("/chat", ask("simple", f"pool1/{model}"), key=KEY))
    assert keys_asked(upstreams, model).count(KEYS[1]) == 1
    [target] = (await state(service, f"pool1/{model}"))["targets"]
    assert [key["state"] for key in target["keys"]] == ["closed", "open", "closed"]
    assert target["keys"][1]["last_fault"] == "upstream_auth"
    metrics = (await service.get("/metrics", key=ADMIN)).text
    assert 'headgate_key_tripped{key="2",provider="pool1"} 1.0' in metrics
    assert f'headgate_target_in_flight{{target="pool1/{model}"}} 0.0' in metrics
    assert not any(key in metrics + service.log for key in KEYS)


@pytest.mark.anyio
async def test_an_upstream_that_redirects_is_asked_once_and_the_next_one_answers(service, upstreams):
    first = upstreams.model([whole(b"", 307, {"location": upstreams.server.url})], name="silent")
    upstreams.model([whole(json.dumps(answer("anthropic")).encode())], name="awake")
    before = len(upstreams.requests(first))
    check_good("simple", await service.post("/chat", ask("simple", "hedged"), key=KEY))
    assert len(upstreams.requests(first)) == before + 1
