"""`/collections`: making, listing, describing and dropping them, and making their vectors anew."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from headgate.core.faults import InvalidField, InvalidJson, NotFound, RateLimited
from headgate.core.knowledge import Collection, Scope
from headgate.surfaces.depends import Admitted, Caller, Running
from headgate.surfaces.documents import room_of
from headgate.surfaces.once_route import OnceRoute
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_knowledge import CollectionList, CollectionState, Deleted, NewCollection

router = APIRouter(prefix="/collections", tags=["knowledge"], generate_unique_id_function=named, route_class=OnceRoute)


@router.post(
    "",
    status_code=201,
    summary="Make a collection",
    **told(CollectionState, InvalidJson, InvalidField, RateLimited, status=201, once=True),
)
async def make_collection(body: NewCollection, who: Admitted, runtime: Running, response: Response) -> dict[str, Any]:
    """An empty collection. One that is there stays as it is, and the answer is 200."""
    room_of(runtime, who)
    knowledge, scope = runtime.knowledge, Scope(who.tenant, body.name)
    model = knowledge.embedder.model if knowledge.embedder else ""
    if not await asyncio.to_thread(knowledge.shelf.create, scope, model):
        response.status_code = 200
    return shown(await asyncio.to_thread(knowledge.shelf.collection, scope))


@router.get("", summary="List collections", **told(CollectionList))
async def list_collections(who: Caller, runtime: Running) -> dict[str, Any]:
    """All of yours, by name."""
    found = await asyncio.to_thread(runtime.knowledge.shelf.collections, who.tenant)
    return {"collections": [shown(each) for each in found]}


@router.get("/{name}", summary="Describe a collection", **told(CollectionState, NotFound))
async def get_collection(name: str, who: Caller, runtime: Running) -> dict[str, Any]:
    """What is in it."""
    return shown(await asyncio.to_thread(runtime.knowledge.shelf.collection, Scope(who.tenant, name)))


@router.post(
    "/{name}/embed",
    status_code=202,
    summary="Make a collection's vectors anew",
    **told(CollectionState, NotFound, InvalidField, RateLimited, status=202, once=True),
)
async def embed_collection(name: str, who: Admitted, runtime: Running) -> dict[str, Any]:
    """With the model that is configured now; until they are made, what has none yet is found by its words.

    Where none is configured any more, the vectors are dropped; where there are none either, the answer is 422.
    """
    scope = Scope(who.tenant, name)
    await runtime.knowledge.ingester.embed_anew(who, scope)
    return shown(await asyncio.to_thread(runtime.knowledge.shelf.collection, scope))


@router.delete("/{name}", summary="Drop a collection", **told(Deleted, NotFound))
async def drop_collection(name: str, who: Caller, runtime: Running) -> dict[str, Any]:
    """Forgets it and everything in it, at once."""
    await runtime.knowledge.ingester.drop(Scope(who.tenant, name))
    return {"id": name, "deleted": True}


def shown(collection: Collection) -> dict[str, Any]:
    """A collection as it is shown."""
    return {
        "name": collection.name,
        "embedder": collection.model or None,
        "dimension": collection.dimension or None,
        "documents": collection.documents,
        "chunks": collection.passages,
        "size": collection.size,
        "unfinished": collection.unfinished,
        "failed": collection.failed,
        "created": collection.created,
    }
