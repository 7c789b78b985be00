"""Who may call: no credential opens more than it should, and what is taken away is gone within a second."""

import asyncio
import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode

import pytest

from access._issuer import OTHER_RSA, RSA, SECRET, claims, pem, token
from headgate.core.key import mint
from journeys._asking import PATHS, SURFACES, ask, check_error
from journeys._caller import connected, request
from journeys._service import ADMIN, command, serving

CONFIG = f"""
[access]
anonymous = false
api_keys = "key-of-ann:ann:open, key-of-bob:bob, key-without-a-user"
[[access.jwt]]
secret = "{SECRET}"
issuer = "https://here.example"
audience = "headgate"
[[access.jwt]]
public_key = '''{pem(RSA)}'''
tier = "open"
[models.parrot]
targets = ["echo/echo"]
[models.macaw]
targets = ["echo/macaw"]
[providers.echo]
[tiers.open]
[tiers.narrow]
models = ["parrot"]
"""
KEY = "key-of-ann"
HERE = {"iss": "https://here.example", "aud": "headgate"}


@pytest.fixture(scope="module")
async def service(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("credentials"), CONFIG) as service:
        yield service


def bearer(text: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {text}")


def b64(value: bytes | dict) -> str:
    data = json.dumps(value).encode() if isinstance(value, dict) else value
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: dict, secret: bytes, how=hashlib.sha256) -> str:
    """A token whose header says anything, signed with HMAC by any secret."""
    signed = f"{b64(header)}.{b64(claims(**HERE))}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), how))}"


REFUSED = {
    "nothing": [],
    "empty bearer": [("Authorization", "Bearer ")],
    "bare bearer": [("Authorization", "Bearer")],
    "empty": [("Authorization", "")],
    "empty key": [("X-API-Key", "")],
    "basic": [("Authorization", "Basic YTpi")],
    "bare key": [("Authorization", KEY)],
    "unknown key": [bearer("nobody-knows-this-key")],
    "minted by nobody": [bearer(mint())],
    "the same key twice": [bearer(KEY), bearer(KEY)],
    "two bearers": [bearer(KEY), bearer("key-of-bob")],
    "two keys": [("X-API-Key", KEY), ("X-API-Key", KEY)],
    "bearer against key": [bearer(KEY), ("X-API-Key", "key-of-bob")],
    "good bearer, wrong key": [bearer(KEY), ("X-API-Key", "wrong")],
    "wrong bearer, good key": [bearer("wrong"), ("X-API-Key", KEY)],
    "key with a tail": [bearer(KEY + " x")],
    "key in another case": [bearer(KEY.upper())],
    "beginning of a key": [bearer(KEY[:-1])],
    "not ASCII": [bearer("schl\xfcssel")],
    "very long": [bearer("x" * 20_000)],
    "very long token": [bearer(token(**HERE, more="x" * 9000))],
    "expired token": [bearer(token(**HERE, exp=int(time.time()) - 60))],
    "token without end": [bearer(token(**HERE, exp=None))],
    "token not yet good": [bearer(token(**HERE, nbf=int(time.time()) + 600))],
    "token issued tomorrow": [bearer(token(**HERE, iat=int(time.time()) + 86_400))],
    "foreign issuer": [bearer(token(aud="headgate", iss="https://evil.example"))],
    "foreign audience": [bearer(token(iss=HERE["iss"], aud="other"))],
    "no subject": [bearer(token(**HERE, sub=None))],
    "empty subject": [bearer(token(**HERE, sub=""))],
    "subject that is a number": [bearer(forged({"alg": "HS256"}, b"x"))],
    "foreign secret": [bearer(token("another secret of more than thirty-two bytes", **HERE))],
    "foreign RSA key": [bearer(token(OTHER_RSA, "RS256"))],
    "alg none": [bearer(f"{b64({'alg': 'none'})}.{b64(claims(**HERE))}.")],
    "alg None": [bearer(f"{b64({'alg': 'None', 'typ': 'JWT'})}.{b64(claims(**HERE))}.{b64(b'x')}")],
    "the public key as a secret": [bearer(forged({"alg": "HS256"}, pem(RSA).encode()))],
    "the public key as a secret, trimmed": [bearer(forged({"alg": "HS256"}, pem(RSA).strip().encode()))],
    "an embedded key": [bearer(forged({"alg": "HS256", "jwk": {"kty": "oct", "k": b64(b"mine")}}, b"mine"))],
    "a key's address": [
        bearer(forged({"alg": "HS256", "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/"}, b"x"))
    ],
    "an unknown extension": [bearer(token(**HERE, headers={"crit": ["exp2"], "exp2": 1}))],
    "another algorithm": [bearer(forged({"alg": "HS384"}, SECRET.encode(), hashlib.sha384))],
    "cut token": [bearer(token(**HERE)[:-4])],
    "changed token": [bearer(token(**HERE).replace(".", ".e", 1))],
    "four parts": [bearer(token(**HERE) + ".x")],
    "a token as a key": [("X-API-Key", token(**HERE))],
}


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_bad_credential_is_401_and_never_anonymous(service, surface):
    async def send(name, headers):
        answer = await service.post(PATHS[surface], ask(surface, "parrot"), headers=headers)
        try:
            check_error(surface, answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert (await service.entry(answer))["kind"] == "nobody"
            for _, value in headers:
                assert not value or value.removeprefix("Bearer ").strip()[:20] not in answer.text or len(value) < 10
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None

    await asyncio.gather(*(send(name, headers) for name, headers in REFUSED.items()))


ELSEWHERE = {
    "POST": ["/complete", "/stream", "/generate", "/admin/keys", "/admin/reload"],
    "POST openai": ["/v1/completions", "/v1/responses", "/v1/embeddings"],
    "POST anthropic": ["/v1/messages/count_tokens"],
    "GET": ["/me", "/usage", "/admin/keys", "/admin/entries", "/metrics"],
    "GET openai": ["/v1/models", "/v1/models/parrot", "/v1/responses/resp_1"],
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", REFUSED)
async def test_no_path_takes_a_bad_credential(service, name):
    for how, paths in ELSEWHERE.items():
        method, _, surface = how.partition(" ")
        for path in paths:
            body = b'{"model": "parrot"}' if method == "POST" else None
            answer = await service.call(method, path, body, headers=REFUSED[name])
            assert answer.status == 401, (path, answer)
            check_error(surface or "simple", answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "who"),
    [
        ([bearer(KEY)], ("key", "ann", "open")),
        ([("X-API-Key", KEY)], ("key", "ann", "open")),
        ([("x-api-key", KEY), ("authorization", f"bearer {KEY}")], ("key", "ann", "open")),
        ([bearer("key-of-bob")], ("key", "bob", "standard")),
        ([bearer(token(**HERE))], ("user", "ada", "free")),
        ([bearer(token(**HERE, tier="open"))], ("user", "ada", "open")),
        ([bearer(token(RSA, "RS256", sub="bea"))], ("user", "bea", "open")),
        ([bearer(ADMIN)], ("admin", "admin", "admin")),
    ],
)
async def test_a_good_credential_is_known(service, headers, who):
    me = (await service.get("/me", headers=headers)).json
    assert (me["kind"], me["id"], me["tier"]) == who
    answer = await service.post("/chat", ask("simple", "parrot"), headers=headers)
    row = await service.entry(answer)
    assert (row["kind"], row["principal"], row["tier"], row["status"]) == (*who, "ok")


@pytest.mark.anyio
async def test_each_request_of_a_connection_is_its_own_credentials(service):
    made = await create(service, user="finn", tier="open")
    body = json.dumps(ask("simple", "parrot")).encode()

    async def known(line, key):
        await line.send(request("POST", "/chat", body, {"X-API-Key": key}))
        answer = await line.answer()
        return (await service.entry(answer))["principal"] if answer.status == 200 else answer.status

    async with connected(service.port) as line:
        keys = [KEY, KEY, "key-of-bob", "nobody-knows-this-key", "key-of-bob", KEY, made["key"], made["key"]]
        assert [await known(line, key) for key in keys] == ["ann", "ann", "bob", 401, "bob", "ann", "finn", "finn"]
        await service.call("DELETE", f"/admin/keys/{made['id']}", key=ADMIN)
        assert [await known(line, key) for key in (made["key"], KEY)] == [401, "ann"]


@pytest.mark.anyio
async def test_a_credential_in_the_address_is_not_read(service):
    for query in (f"api_key={KEY}", f"key={KEY}", f"token={KEY}", f"access_token={KEY}"):
        assert (await service.get(f"/me?{query}")).status == 401


@pytest.mark.anyio
async def test_an_unknown_tier_is_forbidden_and_never_without_limits(service):
    for headers in ([bearer(token(**HERE, tier="emperor"))], [bearer(token(**HERE, tier="anonymous2"))]):
        answer = await service.post("/chat", ask("simple", "parrot"), headers=headers)
        check_error("simple", answer, 403, "forbidden")
        assert (await service.get("/me", headers=headers)).status == 403


@pytest.mark.anyio
async def test_a_token_cannot_claim_to_be_the_admin(service):
    for tier in ("admin", "ADMIN", ["admin"], {"name": "admin"}, 5, True):
        headers = [bearer(token(**HERE, tier=tier, sub="admin", kind="admin", scopes=["admin"]))]
        assert (await service.get("/admin/keys", headers=headers)).status in {401, 403}
        assert (await service.post("/chat", ask("simple", "parrot"), headers=headers)).status in {401, 403}


async def create(service, **settings) -> dict:
    answer = await service.post("/admin/keys", settings, key=ADMIN)
    assert answer.status == 201, answer
    return answer.json


async def try_key(service, key: str, model: str = "parrot", surface: str = "simple"):
    return await service.post(PATHS[surface], ask(surface, model), key=key)


@pytest.mark.anyio
async def test_a_key_is_made_used_and_revoked_over_http(service):
    made = await create(service, user="cleo", tier="open", name="a note")
    assert (await try_key(service, made["key"])).status == 200
    assert made["key"] not in (await service.get("/admin/keys", key=ADMIN)).text
    assert made["key"] not in (await service.get(f"/admin/keys/{made['id']}", key=ADMIN)).text
    assert (await service.call("DELETE", f"/admin/keys/{made['id']}", key=ADMIN)).json["state"] == "revoked"
    check_error("simple", await try_key(service, made["key"]), 401, "unauthenticated")
    assert made["key"] not in service.log


@pytest.mark.anyio
async def test_a_key_revoked_by_the_command_line_ends_within_a_second(service):
    text = (await command(service, "keys", "create", "--user", "dora", "--tier", "open")).strip()
    async with asyncio.timeout(1.5):
        while (await try_key(service, text)).status != 200:  # noqa: ASYNC110 - the service cannot tell us
            await asyncio.sleep(0.05)
    await command(service, "keys", "revoke", text[:11])
    revoked = time.monotonic()
    while (await try_key(service, text)).status == 200:
        assert time.monotonic() - revoked < 1.2
        await asyncio.sleep(0.05)


@pytest.mark.anyio
async def test_a_rotated_key_works_on_for_its_grace(service):
    made = await create(service, user="eve", tier="open")
    rotated = (await service.post(f"/admin/keys/{made['id']}/rotate", {"grace": 1.0}, key=ADMIN)).json
    assert rotated["key"] != made["key"]
    assert [(await try_key(service, key)).status for key in (made["key"], rotated["key"])] == [200, 200]
    await asyncio.sleep(1.1)
    assert [(await try_key(service, key)).status for key in (made["key"], rotated["key"])] == [401, 200]
    again = (await service.call("POST", f"/admin/keys/{made['id']}/rotate", key=ADMIN)).json
    assert [(await try_key(service, key)).status for key in (rotated["key"], again["key"])] == [401, 200]
    await service.call("DELETE", f"/admin/keys/{made['id']}", key=ADMIN)
    assert (await try_key(service, again["key"])).status == 401
    assert (await service.post(f"/admin/keys/{made['id']}/rotate", {}, key=ADMIN)).status in {400, 404, 409, 422}


@pytest.mark.anyio
async def test_an_expired_key_is_refused(service):
    made = await create(service, user="fay", tier="open", expires=time.time() + 0.8)
    assert (await try_key(service, made["key"])).status == 200
    await asyncio.sleep(0.9)
    assert (await try_key(service, made["key"])).status == 401


@pytest.mark.anyio
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_model_that_is_not_allowed_is_403(service, surface):
    by_key = await create(service, user="gus", tier="open", models=["parrot", "echo/m*"])
    by_tier = await create(service, user="hal", tier="narrow")
    by_both = await create(service, user="ivy", tier="narrow", models=["macaw"])
    allowed = {
        "parrot": (200, 200, 403),
        "macaw": (403, 403, 403),
        "echo/macaw": (200, 403, 403),
        "echo/echo": (403, 403, 403),
    }
    for model, expected in allowed.items():
        for made, status in zip((by_key, by_tier, by_both), expected, strict=True):
            answer = await try_key(service, made["key"], model, surface)
            assert answer.status == status, (model, made["user"])
            if status == 403:
                check_error(surface, answer, 403, "forbidden")
                assert ("this key" in answer.text) is (made is by_key or (made is by_both and model != "macaw"))
                assert (await service.entry(answer))["status"] == "refused"
    listed = (await service.get("/v1/models", key=by_tier["key"])).json
    assert [model["id"] for model in listed["data"]] == ["parrot"]
    assert (await service.get("/v1/models/macaw", key=by_tier["key"])).status == 404


@pytest.mark.anyio
async def test_wrong_settings_of_a_key_are_refused(service):
    for wrong in (
        {"tier": "emperor"},
        {"limits": {"requests": "many"}},
        {"limits": {"wishes": "5/minute"}},
        {"surprise": 1},
        {"expires": "soon"},
        {"models": "parrot"},
        {"user": "x" * 500},
        {"user": "a\x00b"},
    ):
        answer = await service.post("/admin/keys", wrong, key=ADMIN)
        check_error("simple", answer, 422, "validation_error")
    answer = await service.post("/admin/keys", {"user": "\ud800"}, key=ADMIN)
    check_error("simple", answer, 400, "invalid_json")
    for path in ("/admin/keys/nobody", "/admin/keys/%00", "/admin/keys/%ff", "/admin/keys/" + "x" * 3000):
        check_error("simple", await service.get(path, key=ADMIN), 404, "not_found")


@pytest.mark.anyio
async def test_every_route_denies_by_default(service):
    """All routes there are, for nobody, for a caller and for the admin."""
    described = json.loads(await command(service, "openapi"))
    operations = [(method.upper(), path) for path, item in described["paths"].items() for method in item]
    assert len(operations) > 15
    public = {"/", "/health", "/ready", "/docs", "/redoc", "/openapi.json"}
    for method, path in operations:
        real = (
            path.replace("{key_id}", "x")
            .replace("{name}", "x")
            .replace("{model}", "parrot")
            .replace("{model:path}", "parrot")
        )
        body = None if method == "GET" else b"{}"
        statuses = [(await service.call(method, real, body, key=key)).status for key in ("", "wrong-key", KEY, ADMIN)]
        if path in public:
            assert statuses == [200] * 4, path
        elif path.startswith("/admin") or path == "/metrics":
            assert statuses[:3] == [401, 401, 403], path
            assert statuses[3] not in {401, 403, 500}, path
        else:
            assert statuses[:2] == [401, 401], path
            assert statuses[2] not in {401, 403, 500}, path


@pytest.mark.anyio
async def test_a_caller_sees_its_own_usage_only(service):
    mine, other = await create(service, user="jan", tier="open"), await create(service, user="kim", tier="open")
    await try_key(service, mine["key"])
    assert (await service.get("/usage", key=mine["key"])).json["total"]["requests"] == 1
    assert (await service.get("/usage?by=user", key=other["key"])).json["rows"] == []
    everyone = (await service.get("/usage?by=user", key=ADMIN)).json["rows"]
    assert (await service.get("/admin/usage?by=user", key=ADMIN)).json["rows"] == everyone
    check_error("simple", await service.get("/admin/usage", key=mine["key"]), 403, "forbidden")
    assert "user:jan" in [row["user"] for row in everyone]
    for query in (
        "by=secrets",
        "since=yesterday-ish",
        "since=-5",
        "since=nan",
        "since=1e400",
        "until=%00",
        "since=9999999d",
        "by=user&by=key",
    ):
        assert (await service.get(f"/usage?{query}", key=mine["key"])).status in {200, 422}


@pytest.mark.anyio
async def test_anonymous_callers_get_the_default_model_only(tmp_path):
    config = (
        CONFIG.replace("anonymous = false", "anonymous = true")
        + "[tiers.anonymous]\nrequests = 'unlimited'\nrequests_per_address = 'unlimited'\n"
    )
    async with serving(tmp_path, config) as service:
        assert (await service.get("/me")).json["kind"] == "anonymous"
        for surface in SURFACES:
            assert (await try_key(service, "", "parrot", surface)).status == 200
            for model in ("macaw", "echo/echo", "echo/macaw"):
                check_error(surface, await try_key(service, "", model, surface), 403, "forbidden")
        unnamed = await service.post("/chat", {"message": "Hi"})
        assert unnamed.json["model"] == "echo"
        for path in ("/admin/keys", "/admin/usage", "/admin/entries", "/metrics", "/admin/models"):
            assert (await service.get(path)).status == 401
        assert (await service.get("/usage")).json["rows"] == []
        check_error("simple", await try_key(service, "wrong"), 401, "unauthenticated")


@pytest.mark.anyio
async def test_a_forwarded_address_is_believed_only_behind_a_trusted_proxy(tmp_path):
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    for number, (proxies, address) in enumerate(
        {"": "127.0.0.1", 'trusted_proxies = ["127.0.0.1"]': "203.0.113.9"}.items()
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with serving(folder, CONFIG.replace("anonymous = false", f"anonymous = true\n{proxies}")) as service:
            answer = await service.post("/chat", ask("simple", "parrot"), headers=forwarded, key=KEY)
            assert (await service.entry(answer))["address"] == address


@pytest.mark.anyio
async def test_beyond_loopback_somebody_must_have_said_who_may_call(tmp_path):
    (tmp_path / "headgate.toml").write_text(
        '[server]\nhost = "0.0.0.0"\n[models.parrot]\ntargets = ["echo/echo"]\n[providers.echo]\n'
    )
    code, said = await command(tmp_path, "serve", "--port", "0", code=True)
    assert code == 1
    assert "[access]" in said
