"""`/admin`: keys, everybody's usage, the models' health, and reloading. All of it needs the admin key."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, cast

import msgspec
from fastapi import APIRouter, Depends, Query
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from headgate.config import ConfigError
from headgate.core.entry import PASSING, Entry
from headgate.core.faults import InvalidField, InvalidJson, NotFound
from headgate.core.key import KeyRecord
from headgate.core.limit import parse_rule
from headgate.engine.targets import Target
from headgate.runtime import Runtime
from headgate.stores.keys import KeySettings
from headgate.surfaces.depends import Running, admin_of
from headgate.surfaces.me import usage
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas import Usage
from headgate.surfaces.schemas_admin import (
    Key,
    KeyList,
    LedgerRows,
    NewKey,
    PromptList,
    Reloaded,
    RouteStates,
    SavedPrompt,
)
from headgate.surfaces.strict_route import StrictRoute

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    dependencies=[Depends(admin_of)],
    generate_unique_id_function=named,
    route_class=StrictRoute,
)

WRONG = (InvalidJson, InvalidField)

router.add_api_route("/usage", usage, summary="Everybody's usage", **told(Usage, InvalidField))


Plain = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A name without control characters: it is shown in terminals and logs, and not every database keeps them."""


class KeyBody(BaseModel):
    """What a key may be given. A field that is left out is not changed."""

    model_config = ConfigDict(extra="forbid")

    user: Plain = Field("", description="Whose key it is; a key without one stands for itself.")
    tier: Plain = Field("standard", description="One of the configured tiers.")
    name: Plain = Field("", description="A note for people.")
    scopes: list[Plain] = Field([], max_length=50)
    models: list[Plain] | None = Field(None, max_length=200, description="Patterns of models; null: all of the tier's.")
    limits: dict[str, str] = Field({}, description='Limits of its own, such as `{"requests": "5/minute"}`.')
    expires: float | None = Field(None, description="Epoch seconds at which it ends; null: never.")

    def settings(self, runtime: Runtime) -> KeySettings:
        """The fields that were sent, checked against the configuration. Raises InvalidField."""
        if self.tier not in runtime.config.tiers:
            known = ", ".join(runtime.config.tiers)
            raise InvalidField(f"tier must be one of {known}", field="tier")
        for kind, text in self.limits.items():
            try:
                parse_rule(kind, text)
            except ValueError as error:
                raise InvalidField(str(error), field=f"limits.{kind}") from None
        said: dict[str, Any] = self.model_dump(exclude_unset=True)
        if "scopes" in said:
            said["scopes"] = frozenset(self.scopes)
        if self.models is not None and "models" in said:
            said["models"] = tuple(self.models)
        if "limits" in said:
            said["limits"] = tuple(self.limits.items())
        return cast("KeySettings", said)


class Rotation(BaseModel):
    """How a key is rotated."""

    model_config = ConfigDict(extra="forbid")

    grace: float = Field(0, ge=0, le=30 * 86_400, description="Seconds for which the old text still works.")


class PromptBody(BaseModel):
    """A system prompt."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=1_000_000)


@router.post("/keys", status_code=201, summary="Create a key", **told(NewKey, *WRONG, status=201))
async def create_key(body: KeyBody, runtime: Running) -> dict[str, Any]:
    """The key's text is in `key`, this once."""
    text, record = await asyncio.to_thread(lambda: runtime.keys.create(**body.settings(runtime)))
    await asyncio.to_thread(runtime.ring.refresh)
    return {"key": text, **shown(record)}


@router.get("/keys", summary="List keys", **told(KeyList, InvalidField))
async def list_keys(
    runtime: Running,
    prefix: Annotated[str, Query(description="Only keys whose text begins so.")] = "",
    user: Annotated[str, Query(description="Only this user's keys.")] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> dict[str, Any]:
    """The newest first, revoked ones too; never their text."""
    records = await asyncio.to_thread(runtime.keys.list, prefix, user, limit)
    return {"keys": [shown(record) for record in records]}


@router.get("/keys/{key_id}", summary="Describe a key", **told(Key, NotFound))
async def get_key(key_id: str, runtime: Running) -> dict[str, Any]:
    """One key; never its text."""
    return shown(await asyncio.to_thread(runtime.keys.get, key_id))


@router.patch("/keys/{key_id}", summary="Change a key", **told(Key, NotFound, *WRONG))
async def change_key(key_id: str, body: KeyBody, runtime: Running) -> dict[str, Any]:
    """Sets what is sent, leaves the rest."""
    record = await asyncio.to_thread(lambda: runtime.keys.change(key_id, **body.settings(runtime)))
    await asyncio.to_thread(runtime.ring.refresh)
    return shown(record)


@router.post("/keys/{key_id}/rotate", summary="Rotate a key", **told(NewKey, NotFound, *WRONG))
async def rotate_key(key_id: str, runtime: Running, body: Rotation | None = None) -> dict[str, Any]:
    """A new text, in `key`, this once; the old one works on for `grace` seconds."""
    grace = body.grace if body is not None else 0.0
    text, record = await asyncio.to_thread(runtime.keys.rotate, key_id, grace)
    await asyncio.to_thread(runtime.ring.refresh)
    return {"key": text, **shown(record)}


@router.delete("/keys/{key_id}", summary="Revoke a key", **told(Key, NotFound))
async def revoke_key(key_id: str, runtime: Running) -> dict[str, Any]:
    """Ends the key for good, on every replica within a second."""
    record = await asyncio.to_thread(runtime.keys.revoke, key_id)
    await asyncio.to_thread(runtime.ring.refresh)
    return shown(record)


@router.get("/entries", summary="The newest calls", **told(LedgerRows, InvalidField))
async def entries(runtime: Running, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """The ledger's newest rows, newest first."""
    await runtime.ledger.catch_up()
    found = await asyncio.to_thread(lambda: runtime.entries.entries(limit=limit))
    return {"entries": [_row(entry) for entry in found]}


@router.get("/models", summary="The models and their health", **told(RouteStates))
async def models(runtime: Running) -> dict[str, Any]:
    """Every route in use, its targets in order, and how each does."""
    return {
        "default": runtime.admission.routes.default,
        "models": [
            {
                "name": route.name,
                "strategy": route.strategy,
                "hedges": route.hedge.asked if route.hedge is not None else 0,
                "targets": [state_of(target) for target in route.targets],
            }
            for route in runtime.admission.routes.all()
        ],
    }


@router.put("/prompts/{name}", summary="Save a system prompt", **told(SavedPrompt, *WRONG))
async def put_prompt(name: str, body: PromptBody, runtime: Running) -> dict[str, Any]:
    """A new version of the prompt that `system_prompt = "db:NAME"` refers to; in force within a second."""
    saved = await asyncio.to_thread(runtime.prompts.put, name, body.text)
    return msgspec.to_builtins(saved)  # type: ignore[no-any-return]


@router.get("/prompts", summary="List system prompts", **told(PromptList))
async def list_prompts(runtime: Running) -> dict[str, Any]:
    """The newest version of each."""
    return {"prompts": msgspec.to_builtins(await asyncio.to_thread(runtime.prompts.all))}


@router.post("/reload", summary="Reload the configuration", **told(Reloaded))
async def reload(runtime: Running) -> dict[str, Any]:
    """Takes over the saved configuration now, all of it or nothing; names the sections that wait for a restart."""
    try:
        waiting = await runtime.reload()
    except ConfigError as error:
        problems = [{"key": each.key, "where": each.where, "message": each.what} for each in error.problems]
        raise InvalidField(f"the running configuration stays: {error}", details=problems) from None
    return {"reloaded": True, "at_next_start": waiting}


def state_of(target: Target) -> dict[str, Any]:
    """How a target does, and each of its keys where there are several."""
    breaker, keys = target.breaker, target.upstream.keys
    return {
        "target": target.name,
        "tripped": breaker.tripped,
        "state": breaker.state,
        "tried_again_in": round(breaker.opens_in(), 1),
        "last_fault": breaker.last_fault.code if breaker.last_fault else None,
        "in_flight": target.busy,
        "latency_ms": round(target.latency * 1000, 1) if target.heard_at else None,
        "calls": target.calls,
        "failures": target.failures,
        "keys": [
            {
                "key": key.name,
                "state": key.breaker.state,
                "rests_for": round(target.rests_for(key), 1),
                "last_fault": key.breaker.last_fault.code if key.breaker.last_fault else None,
            }
            for key in (keys if len(keys) > 1 else ())
        ],
    }


def _row(entry: Entry) -> dict[str, Any]:
    kept = {name: value for name, value in structs.asdict(entry).items() if name not in PASSING}
    return {**kept, "cost_usd": entry.cost_usd}


def shown(record: KeyRecord) -> dict[str, Any]:
    """A key as it may be shown: everything but what opens it."""
    return {
        "id": record.id,
        "prefix": record.prefix,
        "user": record.user,
        "tier": record.tier,
        "name": record.name,
        "scopes": sorted(record.scopes),
        "models": record.models,
        "limits": dict(record.limits),
        "created": record.created,
        "expires": record.expires,
        "revoked": record.revoked,
        "state": "revoked" if record.revoked else "expired" if (record.expires or 9e18) < time.time() else "valid",
    }
