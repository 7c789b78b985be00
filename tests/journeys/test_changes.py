"""A changed configuration is taken over while the service runs, whole or not at all; and so are prompts."""

import asyncio
import json

import pytest

from journeys._asking import PATHS, SURFACES, ask, check_error, check_good
from journeys._caller import connected, request
from journeys._service import ADMIN, command, serving
from journeys._upstreams import KINDS, said

KEY = "key-of-ann"


@pytest.fixture(scope="module")
async def running(upstreams, tmp_path_factory):
    folder = tmp_path_factory.mktemp("changes")
    (folder / "system.md").write_text("You are brief.\n")
    async with serving(folder, config(upstreams)) as service:
        yield service


@pytest.fixture
async def service(running, upstreams):
    """The service as it was, before each test."""
    (running.folder / "system.md").write_text("You are brief.\n")
    save(running, config(upstreams))
    assert (await running.post("/admin/reload", {}, key=ADMIN)).status == 200
    return running


def config(upstreams, *, limit="1000/minute", target="echo/echo", policy="append", more="") -> str:
    return f"""
[access]
api_keys = "{KEY}:ann:open, key-of-bob:bob:strict, key-of-cat:cat:free-hand"
[tiers.open]
requests = "{limit}"
system_prompt = "{policy}"
[tiers.strict]
system_prompt = "forbid"
[tiers.free-hand]
system_prompt = "replace"
[models.parrot]
targets = ["{target}"]
[providers.echo]
{upstreams.config}
[models.openai-briefed]
targets = ["openai/briefed"]
system_prompt = "file:system.md"
[models.anthropic-briefed]
targets = ["anthropic/briefed"]
system_prompt = "file:system.md"
[models.gemini-briefed]
targets = ["gemini/briefed"]
system_prompt = "file:system.md"
[models.noted]
targets = ["openai/briefed"]
system_prompt = "db:house"
{more}"""


def save(service, text: str) -> None:
    """Replace the file as editors do, at once."""
    new = service.config.with_suffix(".new")
    new.write_text(text)
    new.replace(service.config)


async def until(condition, patience: float = 3.0):
    async with asyncio.timeout(patience):
        while not await condition():  # noqa: ASYNC110 - tests may look and wait
            await asyncio.sleep(0.05)


async def limit_of(service) -> float:
    return (await service.get("/me", key=KEY)).json["limits"][0]["limit"]


@pytest.mark.anyio
async def test_limits_and_models_change_on_save(service, upstreams):
    fresh = (await service.post("/admin/keys", {"user": "newcomer", "tier": "open"}, key=ADMIN)).json["key"]
    assert await limit_of(service) == 1000
    assert (await service.post("/chat", ask("simple", "newcomer"), key=fresh)).status == 404
    assert (await service.post("/chat", ask("simple", "parrot"), key=fresh)).json["model"] == "echo"
    save(
        service,
        config(upstreams, limit="3/minute", target="echo/other", more='[models.newcomer]\ntargets = ["echo/new"]\n'),
    )

    async def changed():
        return await limit_of(service) == 3

    await until(changed)
    assert (await service.post("/chat", ask("simple", "newcomer"), key=fresh)).status == 200
    assert (await service.post("/chat", ask("simple", "parrot"), key=fresh)).json["model"] == "other"
    assert (await service.post("/chat", ask("simple", "parrot"), key=fresh)).status == 429  # the calls before count


@pytest.mark.anyio
async def test_keys_change_on_save(service, upstreams):
    save(service, config(upstreams).replace(f"{KEY}:ann", "another-key:ann"))

    async def gone():
        return (await service.get("/me", key=KEY)).status == 401

    await until(gone)
    assert (await service.get("/me", key="another-key")).status == 200


@pytest.mark.anyio
@pytest.mark.parametrize(
    "bad",
    [
        "this is not TOML",
        '[server]\nmax_body = "much"\n',
        '[tiers.open]\nrequests = "many"\n',
        '[tiers.open]\nwishes = "3/minute"\n',
        '[models.parrot]\ntargets = ["nobody/knows"]\n',
        '[models.parrot]\ntargets = ["echo/echo"]\nsystem_prompt = "file:missing.md"\n',
        '[access]\napi_keys = "env:NOT_SET_ANYWHERE"\n',
        '[access]\napi_keys = "other-key"\n[[access.jwt]]\npublic_key = "nonsense"\n',
        '[access]\napi_keys = "twice,twice"\n',
        '[providers.mine]\nkind = "openai"\nbase_url = "ftp://nowhere"\n',
        '[providers.mine]\nkind = "openai"\nheaders = { "a b" = "c" }\n',
        '[providers.mine]\nkind = "openai"\napi_key = "a\\nb"\n',
        '[providers.mine]\nkind = "openai"\nsurprise = 1\n',
    ],
)
async def test_a_faulty_file_leaves_the_old_configuration_in_force(service, bad):
    save(service, bad)
    told = await service.post("/admin/reload", {}, key=ADMIN)
    check_error("simple", told, 422)
    assert told.json["details"]
    assert (await service.post("/chat", ask("simple", "parrot"), key=KEY)).status == 200
    assert await limit_of(service) == 1000


@pytest.mark.anyio
async def test_a_faulty_file_is_noticed_and_mending_it_too(service, upstreams):
    for number, bad in enumerate(
        ("this is not TOML", '[providers.mine]\nkind = "openai"\nbase_url = "ftp://nowhere"\n')
    ):
        before = service.log.count("stays")
        save(service, bad)

        async def noticed(before=before):
            return service.log.count("stays") > before

        await until(noticed)
        assert (await service.get("/me", key=KEY)).status == 200
        save(service, config(upstreams, limit=f"{700 + number}/minute"))

        async def mended(number=number):
            return await limit_of(service) == 700 + number

        await until(mended)


@pytest.mark.anyio
async def test_a_running_stream_survives_a_change(service, upstreams):
    model = upstreams.model([*said("openai", streamed=True)[:2], 1.5, *said("openai", streamed=True)[2:]])
    body = json.dumps(ask("openai", f"openai/{model}", stream=True)).encode()
    async with connected(service.port) as line:
        await line.send(request("POST", PATHS["openai"], body, {"Authorization": f"Bearer {KEY}"}))
        await upstreams.asked(model)
        save(
            service,
            config(upstreams, limit="9/minute")
            .replace(upstreams.config, "")
            .replace("[models.openai-briefed]", "[models.other]")
            .replace('"openai/', '"echo/')
            .replace('"anthropic/', '"echo/')
            .replace('"gemini/', '"echo/'),
        )

        async def changed():
            return await limit_of(service) == 9

        await until(changed)
        check_good("openai", await line.answer())
    assert (await service.post("/chat", ask("simple", f"openai/{model}"), key=KEY)).status == 404


def system_of(kind: str, seen) -> str:
    """All system words that an upstream was sent."""
    body = json.loads(seen.body)
    if kind == "openai":
        return "|".join(
            message["content"] for message in body["messages"] if message["role"] in {"system", "developer"}
        )
    told = body.get("system", "") if kind == "anthropic" else body.get("systemInstruction", {}).get("parts", [])
    return told if isinstance(told, str) else "|".join(part["text"] for part in told)


def with_system(surface: str, model: str, text: str, *, stream: bool = False) -> dict:
    body = ask(surface, model, stream=stream)
    if surface == "simple":
        return {**body, "system_prompt": text}
    if surface == "anthropic":
        return {**body, "system": text}
    return {**body, "messages": [{"role": "system", "content": text}, *body["messages"]]}


@pytest.mark.anyio
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_a_callers_own_system_prompt_may_do_is_the_tiers_to_say(service, upstreams, streamed):
    own, house = "Talk like a pirate.", "You are brief."
    for kind in KINDS:
        upstreams.model(said(kind, streamed=streamed), name="briefed")
        for surface in SURFACES:
            model, path = f"{kind}-briefed", PATHS[surface]
            for key, expected in ((KEY, f"{house}|{own}"), ("key-of-cat", own), ("key-of-bob", None)):
                before = len(upstreams.requests("briefed"))
                got = await service.post(path, with_system(surface, model, own, stream=streamed), key=key)
                if expected is None:
                    check_error(surface, got, 403, "forbidden")
                    assert len(upstreams.requests("briefed")) == before
                    assert (await service.entry(got))["status"] == "refused"
                else:
                    check_good(surface, got)
                    told = system_of(kind, upstreams.requests("briefed")[-1]).replace("\n\n", "|")
                    assert told == expected, (kind, surface, key)
                got = await service.post(path, ask(surface, model, stream=streamed), key=key)
                check_good(surface, got)
                assert system_of(kind, upstreams.requests("briefed")[-1]) == house, (kind, surface, key)


@pytest.mark.anyio
async def test_where_there_is_no_house_prompt_a_strict_tier_still_forbids(service, upstreams):
    for kind in KINDS:
        model = upstreams.model(said(kind, streamed=False))
        for surface in SURFACES:
            got = await service.post(PATHS[surface], with_system(surface, f"{kind}/{model}", "Hm."), key="key-of-bob")
            check_error(surface, got, 403, "forbidden")
            check_good(surface, await service.post(PATHS[surface], ask(surface, f"{kind}/{model}"), key="key-of-bob"))
            check_good(
                surface, await service.post(PATHS[surface], with_system(surface, f"{kind}/{model}", "Hm."), key=KEY)
            )
            assert system_of(kind, upstreams.requests(model)[-1]) == "Hm."
    developer = ask("openai", f"openai/{model}")
    developer["messages"].append({"role": "developer", "content": "Obey."})
    check_error("openai", await service.post(PATHS["openai"], developer, key="key-of-bob"), 403)


@pytest.mark.anyio
async def test_a_prompt_file_is_read_again_when_it_changes(service, upstreams):
    upstreams.model(said("openai", streamed=False), name="briefed")

    async def told() -> str:
        check_good("simple", await service.post("/chat", ask("simple", "openai-briefed"), key=KEY))
        return system_of("openai", upstreams.requests("briefed")[-1])

    assert await told() == "You are brief."
    path = service.folder / "system.md"
    path.write_text("You are verbose.")

    async def changed():
        return await told() == "You are verbose."

    await until(changed)
    path.unlink()
    await asyncio.sleep(1.2)
    assert await told() == "You are verbose."
    assert "cannot be read" in service.log


@pytest.mark.anyio
async def test_a_prompt_of_the_database_is_in_force_within_a_second(service, upstreams):
    upstreams.model(said("openai", streamed=False), name="briefed")
    for text in ("First.", "Second."):
        saved = await service.call("PUT", "/admin/prompts/house", {"text": text}, key=ADMIN)
        assert saved.status == 200

        async def changed(text=text):
            check_good("simple", await service.post("/chat", ask("simple", "noted"), key=KEY))
            return system_of("openai", upstreams.requests("briefed")[-1]) == text

        await until(changed)


@pytest.mark.anyio
async def test_the_admin_reloads_and_hears_what_waits_for_a_restart(service, upstreams):
    save(service, config(upstreams, limit="5/minute") + '[server]\nmax_body = "1 MiB"\n')
    told = (await service.post("/admin/reload", {}, key=ADMIN)).json
    assert told["at_next_start"] == ["server"]
    assert await limit_of(service) == 5
    again = (await service.post("/admin/reload", {}, key=ADMIN)).json
    assert again["at_next_start"] == ["server"]  # it waits still, though nothing has changed since


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ('[[access.jwt]]\npublic_key = "nonsense"\n', "access.jwt[0]"),
        ('[providers.mine]\nkind = "openai"\nbase_url = "ftp://nowhere"\n', "providers.mine"),
        ('[providers.mine]\nkind = "openai"\napi_key = "a\\nb"\n', "providers.mine.api_key"),
        ('[store]\nurl = "sqlite:///headgate.toml"\n', "not a database"),
    ],
)
async def test_what_cannot_be_served_is_said_at_start_in_a_line(tmp_path, bad, what):
    (tmp_path / "headgate.toml").write_text(bad)
    code, told = await command(tmp_path, "serve", "--port", "0", code=True)
    assert code == 1
    assert what in told
    assert "Traceback" not in told
