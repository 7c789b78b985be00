"""Caps hold exactly, however many callers race; a refused call takes nothing, and nothing used goes uncounted."""

import asyncio
import json
import re
from collections import Counter

import pytest

from headgate.testing import whole
from journeys._asking import PATHS, SURFACES, ask, check_error, check_good
from journeys._service import ADMIN, serving
from journeys._upstreams import answer as answer_of
from journeys._upstreams import said

CONFIG = """
[access]
anonymous = true
api_keys = "key-of-ann:ann:twenty,key-of-bob:bob:twenty,key-of-eve:eve:tokens,key-of-fay:fay:one,key-of-gus:gus:open"
trusted_proxies = ["127.0.0.1"]
[models.parrot]
targets = ["echo/echo"]
[models.rare]
targets = ["echo/echo"]
limits = { requests = "3/hour" }
[providers.echo]
delay = 0.05
[tiers.open]
[tiers.twenty]
requests = "20/minute"
[tiers.tokens]
requests = "10/hour"
tokens = "1000/hour"
[tiers.one]
concurrent = 1
[tiers.anonymous]
requests = "6/minute"
requests_per_address = "2/minute"
[tiers.poor]
spend_usd = "0.01/day"
"""


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    prices = '[prices."openai/dear"]\ninput = 10\noutput = 100\n'
    async with serving(tmp_path_factory.mktemp("caps"), CONFIG + upstreams.config + prices) as service:
        yield service


async def many(service, number: int, body: dict, path: str = "/chat", **how) -> list:
    return await asyncio.gather(*(service.post(path, body, **how) for _ in range(number)))


@pytest.mark.anyio
async def test_of_100_parallel_callers_exactly_20_are_served(service):
    answers = await many(service, 100, ask("simple", "parrot"), key="key-of-ann")
    assert Counter(answer.status for answer in answers) == {200: 20, 429: 80}
    left = sorted(int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers if answer.status == 200)
    assert left == list(range(20))
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == "20"
        assert re.fullmatch(r'"[A-Za-z0-9_.-]+";r=\d+;t=\d+', answer.headers["ratelimit"])
        assert re.fullmatch(r'"[A-Za-z0-9_.-]+";q=20;w=60', answer.headers["ratelimit-policy"])
        if answer.status == 429:
            check_error("simple", answer, 429, "rate_limited")
            assert 50 <= int(answer.headers["retry-after"]) <= 60
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    rows = await service.entries(principal="ann")
    assert Counter((row["status"], row["error"]) for row in rows) == {("ok", ""): 20, ("refused", "rate_limited"): 80}
    [limit] = (await service.get("/me", key="key-of-ann")).json["limits"]
    assert (limit["left"], limit["limit"]) == (0, 20)
    other = await service.post("/chat", ask("simple", "parrot"), key="key-of-bob")
    assert other.headers["x-ratelimit-remaining-requests"] == "19"


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_refusal_is_in_the_words_of_its_surface(service, surface):
    made = (
        await service.post(
            "/admin/keys", {"user": f"words-{surface}", "tier": "open", "limits": {"requests": "1/hour"}}, key=ADMIN
        )
    ).json
    for stream in (False, True):
        answers = [
            await service.post(PATHS[surface], ask(surface, "parrot", stream=stream), key=made["key"]) for _ in range(2)
        ]
    check_error(surface, answers[1], 429, "rate_limited")
    if surface == "openai":
        error = answers[1].json["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    if surface == "anthropic":
        assert answers[1].json["error"]["type"] == "rate_limit_error"


@pytest.mark.anyio
async def test_an_address_has_a_share_of_what_the_anonymous_have(service):
    async def ask_from(address):
        return (await service.post("/chat", ask("simple", "parrot"), headers={"X-Forwarded-For": address})).status

    first = await asyncio.gather(*(ask_from("203.0.113.1") for _ in range(10)))
    assert Counter(first) == {200: 2, 429: 8}
    sixes = await asyncio.gather(*(ask_from(f"2001:db8::{n}") for n in range(10)))  # one network
    assert Counter(sixes) == {200: 2, 429: 8}
    rest = await asyncio.gather(*(ask_from(f"203.0.113.{n}") for n in range(2, 12)))
    assert Counter(rest) == {200: 2, 429: 8}


@pytest.mark.anyio
async def test_a_keys_own_limit_and_its_tiers_are_taken_together_or_not_at_all(service):
    made = (
        await service.post(
            "/admin/keys", {"user": "cat", "tier": "twenty", "limits": {"requests": "5/hour"}}, key=ADMIN
        )
    ).json
    sibling = (await service.post("/admin/keys", {"user": "cat", "tier": "twenty"}, key=ADMIN)).json
    answers = await many(service, 30, ask("simple", "parrot"), key=made["key"])
    assert Counter(answer.status for answer in answers) == {200: 5, 429: 25}
    answers = await many(service, 30, ask("simple", "parrot"), key=sibling["key"])
    assert Counter(answer.status for answer in answers) == {
        200: 15,
        429: 15,
    }  # the 25 refused took nothing of the tier's


@pytest.mark.anyio
async def test_a_models_limit_is_for_everybody_and_a_refusal_takes_nothing_elsewhere(service):
    answers = await many(service, 10, ask("simple", "rare"), key="key-of-bob")
    assert Counter(answer.status for answer in answers) == {200: 3, 429: 7}
    assert (await service.post("/chat", ask("simple", "rare"), key="key-of-gus")).status == 429
    before = (await service.get("/me", key="key-of-bob")).json["limits"][0]["left"]
    await many(service, 5, ask("simple", "rare"), key="key-of-bob")
    assert (await service.get("/me", key="key-of-bob")).json["limits"][0]["left"] == before


@pytest.mark.anyio
async def test_tokens_are_reserved_at_the_worst_case_and_settled_to_what_was_used(service, upstreams):
    model = upstreams.model([0.3, *said("openai", streamed=False)])
    body = ask("openai", f"openai/{model}", max_tokens=700)
    racing = await many(service, 5, body, PATHS["openai"], key="key-of-eve")
    assert Counter(answer.status for answer in racing) == {200: 1, 429: 4}
    answer = await service.post(PATHS["openai"], body, key="key-of-eve")  # 12 of the 1000 are used, 988 are left
    check_good("openai", answer)
    limits = {limit["unit"]: limit["left"] for limit in (await service.get("/me", key="key-of-eve")).json["limits"]}
    assert limits == {"requests": 8, "tokens": 1000 - 24}
    never = await service.post(PATHS["openai"], {**body, "max_tokens": 5000}, key="key-of-eve")
    check_error("openai", never, 429)
    assert "max_tokens" in never.json["error"]["message"]
    assert "retry-after" not in never.headers
    simple = await service.post("/chat", {**ask("simple", f"openai/{model}"), "max_tokens": 5000}, key="key-of-eve")
    check_error("simple", simple, 429, "rate_limited")
    assert simple.json["details"]["frees_in"] is None
    texts = {"model": f"openai/{model}", "input": "x" * 2000}
    vectors = await service.post("/v1/embeddings", texts, key="key-of-eve")
    check_error("openai", vectors, 429)
    assert "may take 2," in vectors.json["error"]["message"]
    assert "max_tokens" not in vectors.json["error"]["message"]


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
async def test_concurrent_calls_are_counted_while_they_run(service, upstreams, streamed):
    model = upstreams.model([0.5, *said("openai", streamed=streamed)])
    body = ask("openai", f"openai/{model}", stream=streamed)
    answers = await many(service, 8, body, PATHS["openai"], key="key-of-fay")
    assert Counter(answer.status for answer in answers) == {200: 1, 429: 7}
    assert {answer.headers["retry-after"] for answer in answers if answer.status == 429} == {"1"}
    check_good("openai", await service.post(PATHS["openai"], body, key="key-of-fay"))


@pytest.mark.anyio
async def test_a_budget_is_never_overrun_however_many_race(service, upstreams):
    dear = answer_of("openai") | {"usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}}
    upstreams.model([0.05, whole(json.dumps(dear).encode())], name="dear")
    made = (await service.post("/admin/keys", {"user": "hal", "tier": "poor"}, key=ADMIN)).json
    body = ask("openai", "openai/dear", max_tokens=2)
    answers = await many(service, 30, body, PATHS["openai"], key=made["key"])
    good = [answer for answer in answers if answer.status == 200]
    assert good
    assert {answer.headers["headgate-cost-usd"] for answer in good} == {"0.000300000"}
    assert len(good) < 30
    while (answer := await service.post(PATHS["openai"], body, key=made["key"])).status == 200:
        good.append(answer)
    assert 0.008 < len(good) * 0.0003 <= 0.01
    check_error("openai", answer, 429)
    assert answer.json["error"]["type"] == "insufficient_quota"
    assert int(answer.headers["retry-after"]) > 3600
    spent = (await service.get("/usage", key=made["key"])).json["total"]["cost_usd"]
    assert spent == pytest.approx(len(good) * 0.0003)


@pytest.mark.anyio
async def test_the_services_own_limit_holds_for_all_callers_together(tmp_path):
    async with serving(tmp_path, CONFIG + '[limits]\nrequests = "10/minute"\n') as service:
        keys = ("key-of-ann", "key-of-bob", "key-of-gus")
        answers = await asyncio.gather(*(many(service, 10, ask("simple", "parrot"), key=key) for key in keys))
        assert Counter(answer.status for some in answers for answer in some) == {200: 10, 429: 20}
