"""The operator sees how a caller's limits stand, forgets what was used, allows more; the caller sees which refuses."""

import json

import pytest

from journeys._asking import PATHS, ask
from journeys._service import ADMIN, command, serving

CONFIG = """
[access]
anonymous = true
api_keys = "key-of-ann:ann:two, key-of-bob:bob:two, key-of-eve:eve:rich"
[models.parrot]
targets = ["echo/echo"]
[tiers.two]
requests = "2/hour"
tokens = "100_000/minute"
[tiers.rich]
spend_usd = "0.50/day"
concurrent = 3
[limits]
spend_usd = "200/month"
requests = "1000/minute"
"""
ANN = {"user": "ann", "tier": "two"}
NAME = "tier-two-requests-3600s"


@pytest.fixture(scope="module", params=["memory", "redis"])
async def service(request, anyio_backend, tmp_path_factory):
    """Limits counted by the process itself, and by a shared store."""
    config = CONFIG
    if request.param == "redis":
        config += f'[shared]\nurl = "{request.getfixturevalue("redis_url")}"\n'
    async with serving(tmp_path_factory.mktemp(request.param), config) as service:
        yield service


@pytest.fixture(autouse=True)
async def anew(service):
    for whose in (ANN, {"user": "bob", "tier": "two"}, {"user": "eve", "tier": "rich"}, {"anonymous": True}):
        assert (await service.post("/admin/limits/reset", whose, key=ADMIN)).status == 200


async def chat(service, key="key-of-ann"):
    return await service.post("/chat", ask("simple", "parrot"), key=key)


async def used_up(service, key="key-of-ann"):
    for _ in range(2):
        assert (await chat(service, key)).status == 200
    answer = await chat(service, key)
    assert answer.status == 429
    return answer


def limit(answer, name=NAME):
    assert answer.status == 200, answer
    [found] = [one for one in answer.json["limits"] if one["name"] == name]
    return found


@pytest.mark.anyio
async def test_a_refusal_says_which_rule_refused_and_when_it_frees(service):
    answer = await used_up(service)
    details = answer.json["details"]
    assert details["limit"] == NAME
    assert details["rule"] == "tier two: 2 requests an hour"
    assert 3500 < details["frees_in"] <= 3600
    assert 3500 < int(answer.headers["retry-after"]) <= 3600
    said = await service.post(PATHS["openai"], ask("openai", "parrot"), key="key-of-ann")
    assert "2 requests an hour (tier two)" in said.json["error"]["message"]


@pytest.mark.anyio
async def test_me_says_which_rule_refuses_and_when_it_frees(service):
    before = limit(await service.get("/me", key="key-of-ann"))
    assert (before["refuses"], before["frees_in"], before["used"], before["left"]) == (False, 0, 0, 2)
    await used_up(service)
    after = limit(await service.get("/me?model=parrot", key="key-of-ann"))
    assert (after["refuses"], after["used"], after["left"]) == (True, 2, 0)
    assert 3500 < after["frees_in"] <= 3600
    assert (await service.get("/me?model=nothing", key="key-of-ann")).status == 404


@pytest.mark.anyio
async def test_the_admin_sees_what_a_caller_used_without_being_it(service):
    await used_up(service)
    told = await service.get("/admin/limits?user=ann&tier=two&model=parrot", key=ADMIN)
    assert (told.json["caller"], told.json["model"]) == ("user:ann", "parrot")
    assert limit(told)["refuses"]
    assert limit(told, "the-service-spend-2592000s")["private"]
    assert not limit(await service.get("/admin/limits?user=bob&tier=two", key=ADMIN))["refuses"]


@pytest.mark.anyio
async def test_a_reset_lets_a_caller_in_again_and_nobody_else(service):
    await used_up(service)
    await used_up(service, "key-of-bob")
    assert limit(await service.post("/admin/limits/reset", ANN, key=ADMIN))["left"] == 2
    await used_up(service)
    assert (await chat(service, "key-of-bob")).status == 429


@pytest.mark.anyio
async def test_a_reset_leaves_the_services_own_limits_unless_they_are_named(service):
    name = "the-service-requests-60s"
    await used_up(service)
    assert limit(await service.post("/admin/limits/reset", ANN, key=ADMIN), name)["used"] > 0
    assert limit(await service.post("/admin/limits/reset", {"limits": [name]}, key=ADMIN), name)["used"] == 0


@pytest.mark.anyio
async def test_a_grant_is_exactly_so_much_more(service):
    await used_up(service)
    granted = await service.post("/admin/limits/grant", {**ANN, "limit": NAME, "amount": 3}, key=ADMIN)
    assert limit(granted)["left"] == 3
    assert [(await chat(service)).status for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.anyio
async def test_money_is_granted_in_dollars(service):
    body = {"user": "eve", "tier": "rich", "limit": "tier-rich-spend-86400s", "amount": "1.25"}
    granted = await service.post("/admin/limits/grant", body, key=ADMIN)
    assert limit(granted, "tier-rich-spend-86400s")["left"] == 1.75


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("grant", {**ANN, "limit": "tier-two-requests-60s", "amount": 3}, 422),
        ("grant", {**ANN, "limit": NAME, "amount": 0}, 422),
        ("grant", {**ANN, "limit": NAME, "amount": 0.5}, 422),
        ("grant", {**ANN, "limit": NAME, "amount": "1e40"}, 422),
        ("grant", {"user": "eve", "tier": "rich", "limit": "tier-rich-concurrent", "amount": 1}, 422),
        ("reset", {"user": "ann", "tier": "no-such-tier"}, 422),
        ("reset", {"user": "ann", "key": "key_1"}, 422),
        ("reset", {"key": "key_0123456789abcdef"}, 404),
        ("reset", {"wishes": 3}, 422),
    ],
)
async def test_orders_that_make_no_sense_are_refused(service, path, body, status):
    answer = await service.post(f"/admin/limits/{path}", body, key=ADMIN)
    assert answer.status == status, answer


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["", "key-of-ann"])
async def test_only_the_admin_may(service, key):
    status = 403 if key else 401
    assert (await service.get("/admin/limits", key=key)).status == status
    assert (await service.post("/admin/limits/reset", ANN, key=key)).status == status
    assert (await service.post("/admin/limits/grant", {**ANN, "limit": NAME, "amount": 3}, key=key)).status == status


@pytest.mark.anyio
async def test_the_command_line_does_the_same(service):
    there = ("--url", f"http://127.0.0.1:{service.port}")
    whose = (*there, "--admin-key", ADMIN, "--user", "ann", "--tier", "two")
    await used_up(service)
    shown = await command(service, "limits", "show", *whose)
    assert f"{NAME} " in shown
    assert "2 requests an hour" in shown
    assert "REFUSES for 3,6" in shown or "REFUSES for 3,5" in shown
    explained = await command(service, "explain", "--model", "parrot", "--key", "key-of-ann", *there)
    assert "REFUSES for 3," in explained
    told = json.loads(await command(service, "limits", "grant", *whose, NAME, "1", "--json"))
    assert [one["left"] for one in told["limits"] if one["name"] == NAME] == [1]
    assert (await chat(service)).status == 200
    assert "REFUSES" not in await command(service, "limits", "reset", *whose, NAME)
    code, said = await command(service, "limits", "show", *there, "--admin-key", "wrong-key", code=True)
    assert code == 1
    assert "not valid" in said
