"""`StrictRoute`: routes of FastAPI's whose bodies are read as strictly as those of the paths that ask a model.

One JSON object, whatever the `Content-Type` says, for `curl -d` says something else.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from headgate.dialects.strict import read_object

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that takes a JSON object, or nothing. Raises InvalidJson."""

    def get_route_handler(self) -> Handler:
        """The route's handler, behind the decoder where there is a body to decode."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handled(request: Request) -> Response:
            return await handle(await decoded(request))

        return handled


async def decoded(request: Request) -> Request:
    """The same request with its body read, so that FastAPI finds an object and does not parse it in its own way."""
    body = await body_of(request)
    if not body:
        return request
    headers = [header for header in request.scope["headers"] if header[0] != b"content-type"]
    scope = {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}
    known = Request(scope, request.receive)
    known._body, known._json = body, read_object(body)  # noqa: SLF001 - where Starlette keeps what it has read
    return known


async def body_of(request: Request) -> bytes:
    """The request's whole body."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise HTTPException(499, "the caller hung up") from None
