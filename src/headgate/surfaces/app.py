"""The application: an ordinary FastAPI app, with the model endpoints answered in front of it.

One table says which paths ask a model. They are declared in FastAPI, for the documentation, and answered by plain ASGI
handlers found with one dictionary lookup; an app that adds middleware has it run for them too, at its price.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from headgate import __version__
from headgate.config import Config
from headgate.runtime import Runtime
from headgate.surfaces import admin, docs, errors, health, me, models, responses
from headgate.surfaces.documented import DOCUMENTED
from headgate.surfaces.edge import Edge, Endpoint, Handler
from headgate.surfaces.table import endpoints

DESCRIPTION = """
The LLM backend that every product otherwise writes again. Call it with an API key, your app's own login token,
or, where the operator allows it, with nothing.

The **simple** surface is made for apps and `curl`; the **OpenAI** surface is what OpenAI's SDKs expect.
"""

Opening = Callable[[], AbstractAsyncContextManager[Runtime]]


class Headgate(FastAPI):
    """FastAPI with a fast lane: `hot` holds the handlers of the model endpoints by (method, path)."""

    def __init__(self, **settings: Any) -> None:
        self.hot: dict[tuple[str, str], Handler] = {}
        self.cors: ASGIApp | None = None
        super().__init__(**settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: CORS first where it is configured, then the fast lane, then FastAPI."""
        if self.cors is not None and scope["type"] == "http":
            await self.cors(scope, receive, send)
        else:
            await self.route(scope, receive, send)

    async def route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the fast lane or by FastAPI."""
        if scope["type"] == "http" and not self.user_middleware:
            handler = self.hot.get((scope["method"], scope["path"]))
            if handler is not None:
                await handler(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    @property
    def runtime(self) -> Runtime:
        """What the app is made of while it runs. Raises RuntimeError before it has started."""
        runtime = getattr(self.state, "headgate", None)
        if not isinstance(runtime, Runtime):
            raise RuntimeError("Headgate has not started: its lifespan has not run")  # noqa: TRY004
        return runtime


def build(config: Config, opening: Opening) -> Headgate:
    """The application for a configuration; `opening` makes its Runtime when the server starts."""
    table = endpoints(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert isinstance(app, Headgate)  # noqa: S101 - made below
        async with opening() as runtime:
            app.state.headgate = runtime
            edge = Edge(runtime)
            for path, endpoint in table.items():
                app.hot["POST", path] = edge.handler(endpoint)
            yield
            app.hot.clear()

    app = Headgate(
        title="Headgate",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    errors.install(app)
    for path, endpoint in table.items():
        _declare(app, path, endpoint)
    for room in (health, models, responses, me, admin):
        app.include_router(room.router)
    docs.install(app, public=config.telemetry.public_docs)
    origins = list(config.server.cors_origins)
    if origins:
        app.cors = CORSMiddleware(
            app.route,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    return app


def _declare(app: Headgate, path: str, endpoint: Endpoint) -> None:
    """Put a model endpoint into the documentation, and into FastAPI's routes for apps with middleware."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await app.hot["POST", path](scope, receive, send)

    async def documented() -> None:
        """Stand in for the documentation; `answer` is what runs."""

    said = DOCUMENTED[path]
    app.add_api_route(path, documented, methods=["POST"], openapi_extra=said.openapi(endpoint), **said.arguments())
    route = app.router.routes[-1]
    assert isinstance(route, APIRoute)  # noqa: S101 - just added
    route.app = answer
