"""Headgate as a library: own routes, own middleware, mounted, and under a server that is not its own."""

import asyncio
import json
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

from headgate import Admin, Caller, Gate, create_app
from headgate.core.events import Text
from headgate.testing import Upset, chunk, stream_head
from journeys._asking import PATHS, SURFACES, ask, check_broken, check_error, check_good
from journeys._caller import connected, request
from journeys._library import plainly_served
from journeys._upstreams import frames, said

KEY = "key-of-ann"
CONFIG = """
[server]
cors_origins = [{origins}]
max_body = "100 KiB"
[access]
api_keys = "key-of-ann:ann:open,key-of-bob:bob:once"
admin_key = "the-admins-own-key"
[tiers.open]
[tiers.once]
requests = "1/hour"
[routing]
default = "parrot"
[models.parrot]
targets = ["echo/echo"]
[providers.echo]
"""


@pytest.fixture
def make(upstreams, tmp_path):
    """Makes an app with a configuration of its own."""

    def make(origins: str = ""):
        path = tmp_path / "headgate.toml"
        path.write_text(CONFIG.format(origins=origins) + upstreams.config)
        return create_app(path)

    return make


async def call(port, method, path, body=None, headers=(), key=KEY):
    fields = [*headers, ("Authorization", f"Bearer {key}")] if key else [*headers]
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    async with connected(port) as line:
        await line.send(request(method, path, data, fields))
        return await line.answer()


def with_routes(app):
    @app.post("/summarise")
    async def summarise(text: str, gate: Gate):
        return {"summary": (await gate.chat(f"Summarise: {text}")).text}

    @app.post("/spell")
    async def spell(text: str, gate: Gate, model: str = "parrot"):
        async def letters():
            async with aclosing(gate.stream(text, model=model)) as events:
                async for event in events:
                    if isinstance(event, Text):
                        yield event.text + "\n"

        return StreamingResponse(letters(), media_type="text/plain")

    @app.post("/inquire")
    async def question(text: str, model: str, gate: Gate, request: Request):
        reply = await gate.chat(text, model=model)
        return {"answer": reply.text, "body": len(await request.body())}

    @app.get("/who")
    async def who(caller: Caller):
        return {"id": caller.id}

    @app.get("/secret")
    async def secret(admin: Admin):
        return {"id": admin.id}

    @app.get("/teapot")
    async def teapot():
        raise HTTPException(418, "short and stout")

    @app.get("/bug")
    async def bug():
        raise RuntimeError("a secret of the app")

    return app


@pytest.mark.anyio
async def test_an_apps_own_routes_are_admitted_limited_and_metered(make):
    app = with_routes(make())
    async with plainly_served(app) as port:
        answer = await call(port, "POST", "/summarise?text=moby+dick")
        assert (answer.status, answer.json) == (200, {"summary": "You said: Summarise: moby dick"})
        answer = await call(port, "POST", "/spell?text=abc")
        assert answer.text == "You \nsaid: \nabc\n"
        answer = await call(port, "POST", "/inquire?text=abc&model=parrot", b"12345")
        assert answer.json == {"answer": "You said: abc", "body": 5}
        assert (await call(port, "GET", "/who")).json == {"id": "ann"}
        assert (await call(port, "GET", "/secret")).status == 403
        assert (await call(port, "GET", "/secret", key="the-admins-own-key")).json == {"id": "admin"}
        for path in ("/summarise?text=x", "/spell?text=x"):
            check_error("simple", await call(port, "POST", path, key=""), 401, "unauthenticated")
        assert (await call(port, "POST", "/summarise?text=x", key="key-of-bob")).status == 200
        limited = await call(port, "POST", "/summarise?text=x", key="key-of-bob")
        check_error("simple", limited, 429, "rate_limited")
        assert int(limited.headers["retry-after"]) > 3000
        check_error("simple", await call(port, "POST", "/summarise"), 422, "validation_error")
        check_error("simple", await call(port, "GET", "/teapot"), 418)
        rows = (await call(port, "GET", "/admin/entries", key="the-admins-own-key")).json["entries"]
        assert [(row["surface"], row["principal"], row["status"]) for row in rows] == [
            ("/summarise", "bob", "refused"),
            ("/summarise", "bob", "ok"),
            ("/inquire", "ann", "ok"),
            ("/spell", "ann", "ok"),
            ("/summarise", "ann", "ok"),
        ]


@pytest.mark.anyio
async def test_an_apps_own_bug_tells_its_callers_nothing(make):
    async with plainly_served(with_routes(make()), log_level="critical") as port:
        answer = await call(port, "GET", "/bug")
        check_error("simple", answer, 500, "internal_error")
        assert "secret" not in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize("served", ["alone", "with middleware", "with CORS", "mounted"])
@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_every_surface_answers_under_a_plain_server(make, upstreams, served, http):
    app = make('"https://app.example"' if served == "with CORS" else "")
    prefix = ""
    if served == "with middleware":

        async def stamp(request, call_next):
            response = await call_next(request)
            response.headers["x-stamp"] = request.headers.get("x-request-id", "none")
            return response

        app.add_middleware(BaseHTTPMiddleware, dispatch=stamp)
    if served == "mounted":
        app, prefix = mounted_under(app, "/llm"), "/llm"
    async with plainly_served(app, http=http) as port:
        for surface in SURFACES:
            for streamed in (False, True):
                model = upstreams.model(said("openai", streamed=streamed))
                body = ask(surface, f"openai/{model}", stream=streamed)
                origin = [("Origin", "https://app.example")] if served == "with CORS" else []
                answer = await call(port, "POST", prefix + PATHS[surface], body, origin)
                check_good(surface, answer)
                assert answer.headers["x-request-id"]
                assert answer.headers["headgate-provider"] == "openai"
                assert served != "with middleware" or "x-stamp" in answer.headers
                assert served != "with CORS" or answer.headers["access-control-allow-origin"] in {"*", origin[0][1]}
            check_error(surface, await call(port, "POST", prefix + PATHS[surface], b"{"), 400, "invalid_json")
            check_error(surface, await call(port, "POST", prefix + PATHS[surface], {}, key=""), 401)
            too_large = await call(port, "POST", prefix + PATHS[surface], b" " * 102_401)
            check_error(surface, too_large, 413, "too_large")
            broken = upstreams.model(
                [stream_head(), *map(chunk, frames("openai", "Hello", " there", end=False)), Upset.CLOSE]
            )
            answer = await call(port, "POST", prefix + PATHS[surface], ask(surface, f"openai/{broken}", stream=True))
            check_broken(surface, answer)
        assert (await call(port, "GET", prefix + "/health", key="")).status == 200
        check_error("openai", await call(port, "GET", prefix + "/v1/nothing"), 404)
        assert (await call(port, "GET", prefix + "/me")).json["id"] == "ann"


def mounted_under(app, prefix: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    parent = FastAPI(lifespan=lifespan)
    parent.mount(prefix, app)
    return parent


@pytest.mark.anyio
async def test_a_mounted_app_whose_lifespan_does_not_run_says_so(make):
    parent = FastAPI()
    parent.mount("/llm", make())
    async with plainly_served(parent, log_level="critical") as port:
        answer = await call(port, "POST", "/llm/chat", {"message": "hi"})
        assert answer.status == 500


@pytest.mark.anyio
@pytest.mark.parametrize("served", ["alone", "with middleware", "mounted", "own route"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_caller_who_leaves_is_noticed_under_a_plain_server(make, upstreams, served, streamed):
    app = with_routes(make())
    prefix = ""
    if served == "with middleware":

        async def pass_on(request, call_next):
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
    if served == "mounted":
        app, prefix = mounted_under(app, "/llm"), "/llm"
    begun = [stream_head(), *map(chunk, frames("openai", "Hello", end=False))] if streamed else []
    model = upstreams.model([*begun, Upset.HANG])
    async with plainly_served(app) as port:
        async with connected(port) as line:
            if served == "own route":
                path = f"/{'spell' if streamed else 'inquire'}?text=x&model=openai/{model}"
                await line.send(request("POST", path, b"", {"X-API-Key": KEY}))
            else:
                body = json.dumps(ask("openai", f"openai/{model}", stream=streamed)).encode()
                await line.send(request("POST", prefix + PATHS["openai"], body, {"X-API-Key": KEY}))
            await upstreams.asked(model)
            if streamed:
                await line.head()
            await asyncio.sleep(0.1)
        await upstreams.hung_up(model)
        root = prefix + "/admin/entries"
        async with asyncio.timeout(3):
            while not (rows := (await call(port, "GET", root, key="the-admins-own-key")).json["entries"]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert rows[0]["status"] == "cancelled"


@pytest.mark.anyio
async def test_browsers_of_allowed_origins_may_call_and_others_not(make):
    async with plainly_served(make('"https://app.example"')) as port:
        wish = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")]
        for path in PATHS.values():
            answer = await call(port, "OPTIONS", path, None, [("Origin", "https://app.example"), *wish], key="")
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
            assert answer.headers["x-request-id"]
            answer = await call(port, "OPTIONS", path, None, [("Origin", "https://evil.example"), *wish], key="")
            assert "access-control-allow-origin" not in answer.headers
            refused = await call(port, "POST", path, b"{", [("Origin", "https://app.example")])
            assert refused.headers["access-control-allow-origin"] == "https://app.example"
            assert refused.headers["x-request-id"]
        other = await call(port, "POST", "/chat", {"message": "hi"}, [("Origin", "https://evil.example")])
        assert "access-control-allow-origin" not in other.headers
