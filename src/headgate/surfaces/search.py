"""`/search`: the passages that fit a question best."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from headgate.core.faults import InvalidField, InvalidJson, LimitReached, NotFound, UpstreamFault
from headgate.core.knowledge import Found, Search
from headgate.surfaces.depends import Caller, Running
from headgate.surfaces.once_route import OnceRoute
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_knowledge import SearchRequest, SearchResults
from headgate.surfaces.visit import Visit

router = APIRouter(tags=["knowledge"], generate_unique_id_function=named, route_class=OnceRoute)

PREVIEW = 200

_encode = msgspec.json.Encoder().encode


@router.post(
    "/search",
    summary="Search",
    **told(SearchResults, InvalidJson, InvalidField, NotFound, LimitReached, UpstreamFault, once=True, limited=True),
)
async def search(body: SearchRequest, request: Request, who: Caller, runtime: Running) -> Response:
    """Finds passages in your collections, by their words and, where there is an embedding model, by their meaning."""
    wanted = Search(
        text=body.query,
        collections=tuple(body.collections or ()),
        k=body.top_k,
        mode=body.mode,
        filter=body.filters,
        min_similarity=body.min_score,
    )
    async with Visit(request, who, "search") as visit:
        results = await runtime.knowledge.searcher.search(who, wanted, origin=visit.origin)
    content = {
        "results": [shown(each) for each in results.found],
        "mode": results.mode,
        "latency_ms": round(visit.ms, 3),
        "request_id": visit.origin.request_id,
    }
    return Response(_encode(content), headers=visit.headers, media_type="application/json")


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
