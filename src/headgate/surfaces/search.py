"""`/search`: the passages that fit a question best."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from headgate.core.faults import InvalidField, InvalidJson, LimitReached, NotFound, UpstreamFault
from headgate.core.knowledge import Found, Origin, Search
from headgate.surfaces.depends import Admitted, Running
from headgate.surfaces.ids import request_id_of
from headgate.surfaces.once_route import OnceRoute
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_knowledge import SearchRequest, SearchResults

router = APIRouter(tags=["knowledge"], generate_unique_id_function=named, route_class=OnceRoute)

PREVIEW = 200

_encode = msgspec.json.Encoder().encode


@router.post(
    "/search",
    summary="Search",
    **told(SearchResults, InvalidJson, InvalidField, NotFound, LimitReached, UpstreamFault, once=True),
)
async def search(body: SearchRequest, request: Request, who: Admitted, runtime: Running) -> Response:
    """Finds passages in your collections, by their words and, where there is an embedding model, by their meaning."""
    begun = time.perf_counter()
    wanted = Search(
        text=body.query,
        collections=tuple(body.collections or ()),
        k=body.top_k,
        mode=body.mode,
        filter=body.filters,
        min_similarity=body.min_score,
    )
    address = runtime.address(request.scope.get("client"), request.scope["headers"])
    origin = Origin(request_id_of(request.scope), address, "search")
    results = await runtime.knowledge.searcher.search(who, wanted, origin=origin)
    content = {
        "results": [shown(each) for each in results.found],
        "mode": results.mode,
        "latency_ms": round((time.perf_counter() - begun) * 1000, 3),
        "request_id": origin.request_id,
    }
    return Response(_encode(content), media_type="application/json")


def shown(found: Found) -> dict[str, Any]:
    """A passage as it is shown."""
    passage = found.passage
    return {
        "document_id": passage.document_id,
        "chunk_id": passage.id,
        "collection": found.collection,
        "title": passage.title,
        "path": passage.path,
        "content": passage.text,
        "content_preview": preview(passage.text),
        "start": passage.start,
        "end": passage.end,
        "similarity_score": round(found.similarity, 6),
        "score_kind": found.kind,
        "scores": found.scores,
        "metadata": passage.metadata,
    }


def preview(text: str) -> str:
    """The beginning of a text on one line, cut between words."""
    line = " ".join(text[: 2 * PREVIEW].split())
    return line if len(line) <= PREVIEW else line[:PREVIEW].rpartition(" ")[0] + "…"
