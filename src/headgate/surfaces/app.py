"""The application: an ordinary FastAPI app, with the model endpoints answered in front of it.

One table says which paths ask a model. They are declared in FastAPI, for the documentation, and answered by plain ASGI
handlers found with one dictionary lookup; an app that adds middleware has it run for them too, at its price.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from headgate import __version__
from headgate.config import Config, ConfigError
from headgate.core.faults import Fault
from headgate.runtime import Runtime
from headgate.surfaces import (
    admin,
    admin_limits,
    asking,
    collections,
    docs,
    documents,
    errors,
    health,
    me,
    models,
    responses,
    search,
    vector_stores,
)
from headgate.surfaces.direct import Lane
from headgate.surfaces.documented import DOCUMENTED
from headgate.surfaces.edge import Edge, Endpoint, Handler, OneShot
from headgate.surfaces.envelope import Envelope
from headgate.surfaces.table import endpoints

DESCRIPTION = """
The LLM backend that every product otherwise writes again. Call it with an API key, your app's own login token,
or, where the operator allows it, with nothing.

The **simple** surface is made for apps and `curl`; the **OpenAI** and **Anthropic** surfaces are what their SDKs
expect. Any of them reaches any provider.

Every answer carries `X-Request-Id`: the operator finds the call by it. A model's answer says in `Headgate-…` headers,
or in its body, which model spoke and what it cost, and in `RateLimit` headers what is left of your limits. Errors have
the form of their surface, and a stable code; `Retry-After` says when to come back.
"""

log = logging.getLogger("headgate")

NOT_STARTED = "Headgate has not started: its lifespan has not run (an app that is mounted must be told to run it)"

Opening = Callable[[], AbstractAsyncContextManager[Runtime]]


class Headgate(FastAPI):
    """FastAPI with a fast lane for the model endpoints, by (method, path).

    `hot` are plain ASGI handlers, for any server; `lane` what Headgate's own server calls without ASGI between.
    """

    def __init__(self, *, max_body: int, **settings: Any) -> None:
        self.hot: dict[tuple[str, str], Handler] = {}
        self.lane: Lane = {}
        self.cors: ASGIApp | None = None
        self._envelope = Envelope(self.route, max_body)
        super().__init__(**settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: by the fast lane, unless something stands around the app that must see it."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if self.cors is None and not self.user_middleware and "app" not in scope:
            handler = self.hot.get((scope["method"], scope["path"]))
            if handler is not None:
                await handler(scope, receive, send)
                return
        await (self.cors or self._envelope)(scope, receive, send)

    async def route(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by FastAPI."""
        await super().__call__(scope, receive, send)

    @property
    def started(self) -> bool:
        """Whether the app has started."""
        return isinstance(getattr(self.state, "headgate", None), Runtime)

    @property
    def runtime(self) -> Runtime:
        """What the app is made of while it runs. Raises RuntimeError before it has started."""
        runtime = getattr(self.state, "headgate", None)
        if not isinstance(runtime, Runtime):
            raise RuntimeError(NOT_STARTED)  # noqa: TRY004
        return runtime


def build(config: Config, opening: Opening) -> Headgate:
    """The application for a configuration; `opening` makes its Runtime when the server starts."""
    table = endpoints(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert isinstance(app, Headgate)  # noqa: S101 - made below
        async with AsyncExitStack() as stack:
            runtime = await _opened(stack, opening)
            app.state.headgate = runtime
            edge = Edge(runtime)
            app.hot["POST", asking.RECIPE] = asking.recipe_handler(runtime, edge)
            for path, endpoint in table.items():
                app.hot["POST", path] = edge.handler(endpoint)
                if app.cors is None and not app.user_middleware:
                    app.lane[b"POST", path.encode()] = edge.direct(endpoint)
            yield
            app.lane.clear()
            app.hot.clear()

    app = Headgate(
        max_body=config.server.max_body,
        title="Headgate",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,  # a redirect would send the caller's key wherever its Host header says
    )
    errors.install(app)
    for path, endpoint in table.items():
        _declare(app, path, endpoint)
    _declare(app, asking.RECIPE, asking.RECIPES)
    rooms = (health, models, responses, vector_stores, documents, collections, search, asking, me, admin, admin_limits)
    for room in rooms:
        app.include_router(room.router)
    docs.install(app, public=config.telemetry.public_docs, max_prompt_chars=config.server.max_prompt_chars)
    origins = list(config.server.cors_origins)
    if origins:
        cors = CORSMiddleware(
            app.route,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
        app.cors = Envelope(cors, config.server.max_body)
    return app


async def _opened(stack: AsyncExitStack, opening: Opening) -> Runtime:
    """The runtime; where there can be none, the log says why before the server says that there is none."""
    try:
        return await stack.enter_async_context(opening())
    except (ConfigError, Fault, OSError) as error:
        log.error("Headgate cannot start: %s", error)  # noqa: TRY400 - the operator can mend it
        raise
    except Exception:
        log.exception("Headgate cannot start")
        raise


def _declare(app: Headgate, path: str, endpoint: Endpoint | OneShot) -> None:
    """Put a model endpoint into the documentation, and into FastAPI's routes for apps with middleware."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if not app.hot:
            raise RuntimeError(NOT_STARTED)
        await app.hot["POST", path](scope, receive, send)

    async def documented() -> None:
        """Stand in for the documentation; `answer` is what runs."""

    app.add_api_route(path, documented, methods=["POST"], **DOCUMENTED[path].arguments(endpoint))
    route = app.router.routes[-1]
    assert isinstance(route, APIRoute)  # noqa: S101 - just added
    route.app = answer
