"""Operations: what runs, whether it lives, whether it is ready, and what it counts. None of them calls a model."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from headgate import __version__
from headgate.core.faults import Forbidden, Unauthenticated
from headgate.runtime import Runtime
from headgate.surfaces.credentials import CREDENTIALS
from headgate.surfaces.depends import Running, admin_of
from headgate.surfaces.said import errors, named
from headgate.surfaces.schemas import CostSummary, Health, Ready, Welcome

router = APIRouter(tags=["operations"], generate_unique_id_function=named)


@router.get("/", summary="Name, version and links", response_model=Welcome)
async def root() -> dict[str, Any]:
    """What this is, and where to go from here."""
    links = {"docs": "/docs", "health": "/health", "ready": "/ready", "openapi": "/openapi.json", "me": "/me"}
    return {"name": "headgate", "version": __version__, "links": links}


@router.get("/health", summary="Whether the process lives", response_model=Health)
async def health() -> dict[str, str]:
    """Answers while the process lives; touches nothing else."""
    return {"status": "ok"}


@router.get(
    "/ready",
    summary="Whether it can serve",
    response_model=None,
    responses={
        200: {"model": Ready, "description": "Every check is well."},
        503: {"model": Ready, "description": "A check fails; it is named."},
    },
)
async def ready(runtime: Running) -> JSONResponse:
    """Each check by name: `ok`, or what is wrong. 503 where one fails that calls cannot be served without."""
    states = {name: check() for name, check in (*runtime.checks.items(), *runtime.degraded.items())}
    failing = [name for name in runtime.checks if states[name]]
    body = {
        "status": "unready" if failing else "ready",
        "failing": failing,
        "degraded": [name for name in runtime.degraded if states[name]],
        "checks": {name: state or "ok" for name, state in states.items()},
    }
    return JSONResponse(body, 503 if failing else 200, {"retry-after": "1"} if failing else None)


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    dependencies=CREDENTIALS,
    responses={
        200: {
            "model": CostSummary,
            "description": "Prometheus's text, or the cost summary.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **errors("simple", Unauthenticated, Forbidden),
    },
)
async def metrics(request: Request, runtime: Running) -> Response:
    """Prometheus's text format; with `Accept: application/json` the cost summary. Needs the admin key by default."""
    if not runtime.config.telemetry.public_metrics:
        await admin_of(request)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(await cost_summary(runtime))
    text = await asyncio.to_thread(runtime.metrics.text, runtime.gauges())
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def cost_summary(runtime: Runtime) -> dict[str, Any]:
    """What all calls came to since the ledger began, and by model."""
    await runtime.ledger.catch_up()
    everything = await asyncio.to_thread(runtime.entries.totals, "all")
    models = await asyncio.to_thread(runtime.entries.totals, "model")
    return {
        "requests": sum(total.requests for total in everything),
        "tokens_in": sum(total.tokens_in for total in everything),
        "tokens_out": sum(total.tokens_out for total in everything),
        "cost_usd": sum(total.cost_usd for total in everything),
        "unpriced": sum(total.unpriced for total in everything),
        "errors": sum(total.errors for total in everything),
        "refused": sum(total.refused for total in everything),
        "models": {total.name: {"requests": total.requests, "cost_usd": total.cost_usd} for total in models},
    }
