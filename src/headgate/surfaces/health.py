"""Operations: what runs, whether it lives, whether it is ready, and what it counts. None of them calls a model."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from headgate import __version__
from headgate.surfaces.depends import Running, admin_of

router = APIRouter(tags=["operations"])


@router.get("/", summary="Name, version and links")
async def root() -> dict[str, Any]:
    """What this is, and where to go from here."""
    links = {"docs": "/docs", "health": "/health", "ready": "/ready", "openapi": "/openapi.json", "me": "/me"}
    return {"name": "headgate", "version": __version__, "links": links}


@router.get("/health", summary="Whether the process lives")
async def health() -> dict[str, str]:
    """Answers while the process lives; touches nothing else."""
    return {"status": "ok"}


@router.get("/ready", summary="Whether it can serve", responses={503: {"description": "A check fails; it is named."}})
async def ready(runtime: Running) -> JSONResponse:
    """Each readiness check by name: `ok`, or what is wrong. 503 where one fails."""
    checks = {name: check() or "ok" for name, check in runtime.checks.items()}
    failing = [name for name, state in checks.items() if state != "ok"]
    body = {"status": "unready" if failing else "ready", "failing": failing, "checks": checks}
    return JSONResponse(body, 503 if failing else 200, {"retry-after": "1"} if failing else None)


@router.get("/metrics", summary="Metrics", response_class=Response)
async def metrics(request: Request, runtime: Running) -> Response:
    """Prometheus's text format; with `Accept: application/json` the cost summary. Needs the admin key by default."""
    if not runtime.config.telemetry.public_metrics:
        await admin_of(request)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(await runtime.summary())
    runtime.observe()
    return Response(runtime.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
