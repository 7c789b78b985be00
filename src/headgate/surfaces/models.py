"""`/v1/models`: what the caller may ask for, as both OpenAI's and Anthropic's SDKs read it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from headgate.core.faults import NotFound
from headgate.core.principal import Principal
from headgate.engine.routing import unknown
from headgate.runtime import Runtime
from headgate.surfaces.depends import Caller, Running
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_openai import Model, ModelList

router = APIRouter(prefix="/v1/models", tags=["openai"], generate_unique_id_function=named)


@router.get("", summary="List the models", **told(ModelList, surface="openai"))
async def models(who: Caller, runtime: Running) -> dict[str, Any]:
    """The public models that the caller may use; `provider/model` may be asked for too, where the tier allows it."""
    found = [_model(runtime, name) for name in runtime.admission.routes.public() if _may(who, runtime, name)]
    first, last = (found[0]["id"], found[-1]["id"]) if found else (None, None)
    return {"object": "list", "data": found, "has_more": False, "first_id": first, "last_id": last}


@router.get("/{model:path}", summary="Describe a model", **told(Model, NotFound, surface="openai"))
async def model(model: str, who: Caller, runtime: Running) -> dict[str, Any]:
    """One model, by its public name or as `provider/model`."""
    name = runtime.admission.routes.find(model).name
    if not _may(who, runtime, name):
        raise unknown(model)
    return _model(runtime, name)


def _may(who: Principal, runtime: Runtime, name: str) -> bool:
    admission = runtime.admission
    return admission.may_use(who, admission.tier_of(who), name)


def _model(runtime: Runtime, name: str) -> dict[str, Any]:
    since = int(runtime.started)
    target = runtime.admission.routes.find(name).targets[0]
    return {
        "id": name,
        "object": "model",
        "created": since,
        "owned_by": target.upstream.name,
        "type": "model",
        "display_name": name,
        "created_at": datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z"),
    }
