"""`/me` and `/usage`: who I am, what I may do, what is left of it, and what I used."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any, get_args

import msgspec
from fastapi import APIRouter, Query, Request

from headgate.config import duration
from headgate.core.faults import InvalidField, NotFound
from headgate.core.principal import Principal
from headgate.engine.levels import LevelView, room_view, views
from headgate.runtime import Runtime
from headgate.stores.usage import By
from headgate.surfaces.depends import Caller, Running
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas import Me, Usage

router = APIRouter(tags=["account"], generate_unique_id_function=named)

DAY = 86_400.0
GROUPS = get_args(By)


@router.get("/me", summary="Who I am", **told(Me, NotFound))
async def me(
    request: Request,
    who: Caller,
    runtime: Running,
    model: Annotated[str, Query(description="Limits of calls to this model; default: the default one.")] = "",
) -> dict[str, Any]:
    """The caller, its tier, each limit with what is left and when it frees, and what it used in the last 30 days."""
    admission = runtime.admission
    address = runtime.address(request.scope.get("client"), request.scope["headers"])
    model = admission.routes.find(model).name if model else admission.routes.default
    wants = admission.rules.wants(who, model, address, 1, 1)
    levels = await admission.limiter.levels(wants)
    room = await _room(runtime, who)
    since = time.time() - 30 * DAY
    used = await totals_of(runtime, who, "all", since, None)
    return {
        "kind": who.kind,
        "id": who.id,
        "tier": who.tier,
        "scopes": sorted(who.scopes),
        "models": None if who.models is None else list(who.models),
        "model": model,
        "limits": [msgspec.to_builtins(view) for view in (*views(levels, private=who.is_admin), *room)],
        "usage": {"since": int(since), **(used[0] if used else _NOTHING)},
    }


async def _room(runtime: Runtime, who: Principal) -> list[LevelView]:
    """The limits on the documents that the caller keeps, where its tier has them."""
    tier, scope = runtime.admission.tier_of(who), f"tier {who.tier}"
    if tier.documents is None and tier.document_bytes is None:
        return []
    there = await asyncio.to_thread(runtime.knowledge.shelf.collections, who.tenant)
    kinds = (
        ("documents", tier.documents, sum(each.documents for each in there)),
        ("bytes", tier.document_bytes, sum(each.size for each in there)),
    )
    return [room_view(scope, unit, limit, used) for unit, limit, used in kinds if limit is not None]


@router.get("/usage", summary="What I used", **told(Usage, InvalidField))
async def usage(
    who: Caller,
    runtime: Running,
    by: Annotated[str, Query(description=f"Group by: {', '.join(GROUPS)}.")] = "model",
    since: Annotated[str, Query(description="Since then: `7d`, `12h`, an ISO 8601 time or epoch seconds.")] = "30d",
    until: Annotated[str | None, Query(description="Until then, in the same forms; default: now.")] = None,
) -> dict[str, Any]:
    """Totals of requests, tokens and cost, a group a row: the caller's own; the admin sees everyone's."""
    if by not in GROUPS:
        raise InvalidField(f"by must be one of {', '.join(GROUPS)}", field="by")
    begin = moment("since", since)
    end = None if until is None else moment("until", until)
    rows = await totals_of(runtime, who, by, begin, end)
    return {"by": by, "since": begin, "until": end, "rows": rows, "total": _sum(rows)}


async def totals_of(
    runtime: Runtime, who: Principal, by: Any, since: float, until: float | None
) -> list[dict[str, Any]]:
    """The totals that the caller may see: its own, or everybody's for the admin."""
    if who.kind == "anonymous":
        return []  # anonymous callers share one name, and must not see each other
    tenant = None if who.is_admin else who.tenant
    await runtime.ledger.catch_up()
    found = await asyncio.to_thread(runtime.entries.totals, by, since, until, tenant=tenant)
    return [
        {
            by if by != "all" else "name": total.name,
            "requests": total.requests,
            "tokens_in": total.tokens_in,
            "tokens_out": total.tokens_out,
            "cached_tokens": total.cached,
            "cost_usd": total.cost_usd,
            "unpriced": total.unpriced,
            "errors": total.errors,
            "refused": total.refused,
        }
        for total in found
    ]


_NOTHING = {
    "requests": 0,
    "tokens_in": 0,
    "tokens_out": 0,
    "cached_tokens": 0,
    "cost_usd": 0.0,
    "unpriced": 0,
    "errors": 0,
    "refused": 0,
}


def _sum(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(row[name] for row in rows) for name in _NOTHING}


def moment(field: str, text: str) -> float:
    """A time as epoch seconds: a span before now, an ISO 8601 time (UTC where it names no zone), or a number.

    Raises InvalidField.
    """
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if 0 <= number < 1e12:
            return number
    try:
        return time.time() - duration(text)
    except ValueError:
        pass
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        said = f"{field} must be a span such as 7d or 12h, an ISO 8601 time, or seconds since the epoch"
        raise InvalidField(said, field=field) from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
