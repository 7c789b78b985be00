"""`/admin/limits`: how a caller's limits stand, and the operator's hand on them: forget what was used, allow more."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from headgate.access.identify import ANONYMOUS
from headgate.core.faults import Forbidden, InvalidField, InvalidJson, NotFound
from headgate.core.limit import Want
from headgate.core.money import NANO
from headgate.core.principal import Principal
from headgate.core.seams import Refusal
from headgate.engine.levels import name_of, views
from headgate.runtime import Runtime
from headgate.surfaces.admin import Plain
from headgate.surfaces.depends import Running, admin_of
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_admin import Limits
from headgate.surfaces.strict_route import StrictRoute

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    dependencies=[Depends(admin_of)],
    generate_unique_id_function=named,
    route_class=StrictRoute,
)

NOBODY = Principal(kind="admin", id="", tier="")
"""Has no limits of its own: under it stand the model's and the service's."""
MOST = 10**15

WRONG = (InvalidJson, InvalidField, NotFound)


class Whose(BaseModel):
    """Whose limits: those of a key, of a user in a tier, of all anonymous callers; else the service's own."""

    model_config = ConfigDict(extra="forbid")

    key: Plain = Field("", description="A key's id.")
    user: Plain = Field("", description="A user's name, with the `tier` it calls in.")
    tier: Plain = Field("standard", description="The user's tier.")
    anonymous: bool = Field(False, description="The anonymous callers, who share theirs.")
    address: Plain = Field("", description="A caller's address, for limits per address.")
    model: Plain = Field("", description="The model that is called; default: the default one.")


class Reset(Whose):
    """Which limits are to forget what was used."""

    limits: list[Plain] | None = Field(
        None,
        max_length=100,
        description="Their names; null: all of the caller's own, not the model's or the service's.",
    )


class Extra(Whose):
    """How much more one limit is to allow."""

    limit: Plain = Field(description="The limit's name.")
    amount: Decimal = Field(gt=0, le=MOST, description="In the limit's unit: requests, tokens, US dollars.")


@router.get("/limits", summary="How a caller's limits stand", **told(Limits, InvalidField, NotFound))
async def limits(runtime: Running, whose: Annotated[Whose, Query()]) -> dict[str, Any]:
    """What is used and left of each rule, and when it frees. Limits that no store shares are this process's."""
    return await _standing(runtime, whose)


@router.post("/limits/reset", summary="Reset a caller's limits", **told(Limits, *WRONG))
async def reset(runtime: Running, body: Reset) -> dict[str, Any]:
    """Forgets what was used of them, and what was granted on top. Calls that run are no longer counted."""
    wants, _, _ = await _wants(runtime, body)
    chosen = [w for w in wants if _own(w)] if body.limits is None else [_named(wants, name) for name in body.limits]
    await runtime.admission.limiter.reset(chosen)
    return await _standing(runtime, body)


@router.post("/limits/grant", summary="Grant more of a limit", **told(Limits, *WRONG))
async def grant(runtime: Running, body: Extra) -> dict[str, Any]:
    """Allows so much on top of a limit, from now on for one of its windows: of 100 a day, 50 more for a day."""
    wants, _, _ = await _wants(runtime, body)
    want = _named(wants, body.limit)
    if not want.window:
        raise InvalidField("what runs at once has no window: change the limit, or reset it", field="limit")
    amount = body.amount * (NANO if want.kind == "spend" else 1)
    if amount != int(amount) or amount > MOST * 1000:
        raise InvalidField("amount must be whole requests or tokens, or US dollars to the billionth", field="amount")
    granted = await runtime.admission.limiter.reserve([structs.replace(want, amount=-int(amount))])
    assert not isinstance(granted, Refusal)  # noqa: S101 - the seam's promise
    return await _standing(runtime, body)


async def _standing(runtime: Runtime, whose: Whose) -> dict[str, Any]:
    wants, who, model = await _wants(runtime, whose)
    levels = await runtime.admission.limiter.levels(wants)
    return {
        "caller": who.tenant if who is not NOBODY else "",
        "tier": who.tier,
        "model": model,
        "limits": [msgspec.to_builtins(view) for view in views(levels, private=True)],
    }


async def _wants(runtime: Runtime, whose: Whose) -> tuple[tuple[Want, ...], Principal, str]:
    """One of everything that is limited, who wants it, and of which model."""
    routes = runtime.admission.routes
    who = await _principal(runtime, whose)
    model = routes.find(whose.model).name if whose.model else routes.default
    try:
        wants = runtime.admission.rules.wants(who, model, whose.address, 1, 1)
    except Forbidden as fault:
        raise InvalidField(fault.message, field="tier") from None
    if not whose.address:
        wants = tuple(want for want in wants if want.scope != "this address")
    return wants, who, model


async def _principal(runtime: Runtime, whose: Whose) -> Principal:
    if bool(whose.key) + bool(whose.user) + whose.anonymous > 1:
        raise InvalidField("name a key, a user or the anonymous callers", field="key")
    if whose.key:
        return (await asyncio.to_thread(runtime.keys.get, whose.key)).principal
    if whose.user:
        return Principal(kind="user", id=whose.user, tier=whose.tier)
    return ANONYMOUS if whose.anonymous else NOBODY


def _own(want: Want) -> bool:
    return not want.key.startswith(("model|", "service|"))


def _named(wants: tuple[Want, ...], name: str) -> Want:
    """The limit of that name. Raises InvalidField."""
    for want in wants:
        if name_of(want) == name:
            return want
    raise InvalidField(f"limit must be one of {', '.join(map(name_of, wants)) or 'none'}", field="limit")
