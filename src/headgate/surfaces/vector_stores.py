"""Collections as OpenAI's vector stores: to be listed, and searched (https://platform.openai.com/docs/api-reference).

A store's id is its collection's name. Files are documents; they come and go by `/documents`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from headgate.core.faults import InvalidField, LimitReached, NotFound, Unsupported, UpstreamFault
from headgate.core.knowledge import Collection, Found, Search
from headgate.dialects.openai_file_search import limits, result
from headgate.surfaces.depends import Caller, Running
from headgate.surfaces.once_route import OnceRoute
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_vector_stores import SearchPage, StoreSearch, VectorStore, VectorStoreList
from headgate.surfaces.visit import Visit

router = APIRouter(
    prefix="/v1/vector_stores", tags=["openai"], generate_unique_id_function=named, route_class=OnceRoute
)

_encode = msgspec.json.Encoder().encode


@router.get("", summary="List the vector stores", **told(VectorStoreList, surface="openai"))
async def vector_stores(who: Caller, runtime: Running) -> dict[str, Any]:
    """The caller's collections."""
    found = [_store(each) for each in await runtime.asker.searches.collections(who)]
    first, last = (found[0]["id"], found[-1]["id"]) if found else (None, None)
    return {"object": "list", "data": found, "first_id": first, "last_id": last, "has_more": False}


@router.get("/{store_id}", summary="Describe a vector store", **told(VectorStore, NotFound, surface="openai"))
async def vector_store(store_id: str, who: Caller, runtime: Running) -> dict[str, Any]:
    """One collection of the caller's."""
    for each in await runtime.asker.searches.collections(who):
        if each.name == store_id:
            return _store(each)
    raise NotFound(f"there is no vector store {store_id[:100]!r} here", field="vector_store_id")


@router.post(
    "/{store_id}/search",
    summary="Search a vector store",
    **told(
        SearchPage,
        NotFound,
        InvalidField,
        LimitReached,
        UpstreamFault,
        Unsupported,
        surface="openai",
        once=True,
        limited=True,
    ),
)
async def search_vector_store(
    store_id: str, body: StoreSearch, request: Request, who: Caller, runtime: Running
) -> Response:
    """The passages of a collection that fit a query, or any of several, best first. `score` is calibrated: from 0 to 1.

    `rewrite_query` and `ranker` are accepted, and change nothing.
    """
    queries = [body.query] if isinstance(body.query, str) else body.query
    best: dict[str, Found] = {}
    async with Visit(request, who, "openai.vector_stores.search") as visit:
        wanted = limits(body.model_dump(exclude_unset=True))
        for query in queries:
            search = Search(
                text=query,
                collections=(store_id,),
                k=wanted["k"],
                filter=wanted["filter"],
                min_similarity=wanted["min_score"],
            )
            for found in (await runtime.asker.searches.search(who, search, origin=visit.origin)).found:
                other = best.setdefault(found.passage.id, found)
                if found.similarity > other.similarity:
                    best[found.passage.id] = found
    ranked = list(best.values())
    if len(queries) > 1:
        ranked.sort(key=lambda each: -each.similarity)
    content = {
        "object": "vector_store.search_results.page",
        "search_query": queries,
        "data": [_result(each) for each in ranked[: wanted["k"]]],
        "has_more": False,
        "next_page": None,
    }
    return Response(_encode(content), headers=visit.headers, media_type="application/json")


def _result(found: Found) -> dict[str, Any]:
    said = result(found)
    text = said.pop("text")
    return {**said, "content": [{"type": "text", "text": text}]}


def _store(collection: Collection) -> dict[str, Any]:
    done = collection.documents - collection.unfinished - collection.failed
    return {
        "id": collection.name,
        "object": "vector_store",
        "name": collection.name,
        "created_at": int(collection.created),
        "last_active_at": None,
        "status": "in_progress" if collection.unfinished else "completed",
        "file_counts": {
            "in_progress": collection.unfinished,
            "completed": max(0, done),
            "failed": collection.failed,
            "cancelled": 0,
            "total": collection.documents,
        },
        "usage_bytes": collection.size,
        "metadata": {},
    }
