"""Faults outside the fast lane: FastAPI's own errors, in the taxonomy and the words of the surface."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from headgate.core.faults import Fault, Forbidden, InternalError, InvalidField, InvalidJson, NotFound, TooLarge
from headgate.surfaces.faults import body_of, headers_of, status_of, surface_of
from headgate.surfaces.ids import request_id_of
from headgate.surfaces.lines import headers_in
from headgate.surfaces.response import id_line

log = logging.getLogger("headgate")

_KINDS: dict[int, type[Fault]] = {403: Forbidden, 404: NotFound, 413: TooLarge}


def path_of(request: Request) -> str:
    """The path that was asked for, to be shown. Not from `request.url`, which a strange Host header breaks."""
    return repr(request.scope["path"][:200])


def respond(request: Request, fault: Fault, status: int | None = None) -> Response:
    """The fault as a response."""
    surface = surface_of(request.scope)
    request_id = request_id_of(request.scope)
    headers = {
        name.decode(): value.decode() for name, value in headers_in(headers_of(fault) + id_line(surface, request_id))
    }
    return Response(
        body_of(fault, surface, request_id),
        status or status_of(fault, surface),
        {**headers, "x-request-id": request_id},
        "application/json",
    )


async def on_fault(request: Request, fault: Exception) -> Response:
    """One of our own faults."""
    assert isinstance(fault, Fault)  # noqa: S101 - registered for these
    return respond(request, fault)


async def on_http(request: Request, error: Exception) -> Response:
    """FastAPI's 404 and 405, and what an app that builds on Headgate raises."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these
    if error.status_code == 404:
        return respond(request, NotFound(f"there is no path {path_of(request)} here"))
    if error.status_code == 405:
        fault = InvalidField(f"{request.method} is not a method of {path_of(request)}", field="method")
        response = respond(request, fault, 405)
        response.headers.update(error.headers or {})
        return response
    kind = _KINDS.get(error.status_code, InvalidField)
    return respond(request, kind(str(error.detail)), error.status_code)


async def on_invalid(request: Request, error: Exception) -> Response:
    """A request that does not fit its model: names the field, never repeats its value."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these
    problems: list[dict[str, Any]] = [
        {"field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), "message": item["msg"]}
        for item in error.errors()
    ]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return respond(request, InvalidJson("the body is not valid JSON"))
    first = problems[0]
    return respond(request, InvalidField(f"{first['field']}: {first['message']}", details=problems))


async def on_bug(request: Request, error: Exception) -> Response:
    """A bug of ours: the log has it, the caller an id to find it by."""
    log.error("bug", exc_info=error, extra={"request_id": request_id_of(request.scope)})
    return respond(request, InternalError("something went wrong inside Headgate; the request id helps to find it"))


def install(app: FastAPI) -> None:
    """Answer all errors of the app in these words."""
    app.add_exception_handler(Fault, on_fault)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_bug)
