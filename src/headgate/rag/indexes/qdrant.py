"""`QdrantIndex`: a Qdrant collection for each of ours, by Qdrant's own client.

Source: https://api.qdrant.tech. A point's id is a UUID made of the passage's; the passage's own is in the payload.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from headgate.core.faults import Unavailable
from headgate.core.knowledge import Near, Scope, Vector
from headgate.rag.indexes.labels import batches, choices, labels_of, name_of

TIMEOUT = 10
"""Seconds of one call."""
BATCH = 200
"""Points of one call."""


class _Missing(Exception):
    """The collection is not there."""


class QdrantIndex:
    """A `VectorIndex` in Qdrant."""

    def __init__(self, client: AsyncQdrantClient) -> None:
        self._client = client

    @classmethod
    def at(cls, url: str, api_key: str = "") -> QdrantIndex:
        """An index at an address of Qdrant's REST API; the port is 6333 unless it says another."""
        return cls(AsyncQdrantClient(url=url, api_key=api_key or None, timeout=TIMEOUT, check_compatibility=False))

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Add vectors. Raises Unavailable."""
        name = name_of(scope)
        for some in batches(vectors, BATCH):
            points = [
                q.PointStruct(
                    id=_point(each.passage_id),
                    vector=list(each.values),
                    payload={"passage": each.passage_id, "labels": labels_of(each.metadata)},
                )
                for each in some
            ]
            try:
                async with _reached():
                    await self._client.upsert(name, points)
            except _Missing:
                async with _reached():
                    await self._create(name, len(some[0].values))
                    await self._client.upsert(name, points)

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Forget passages. Raises Unavailable."""
        for some in batches(passage_ids, BATCH):
            with suppress(_Missing):
                async with _reached():
                    points = q.PointIdsList(points=[_point(each) for each in some])
                    await self._client.delete(name_of(scope), points)

    async def drop(self, scope: Scope) -> None:
        """Forget the collection. Raises Unavailable."""
        with suppress(_Missing):
            async with _reached():
                await self._client.delete_collection(name_of(scope))

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages. Raises Unavailable."""
        must: list[q.Condition] = [
            q.FieldCondition(key="labels", match=q.MatchAny(any=labels)) for labels in choices(where)
        ]
        try:
            async with _reached():
                found = await self._client.query_points(
                    name_of(scope), query=list(vector), limit=k, query_filter=q.Filter(must=must) if must else None
                )
        except _Missing:
            return ()
        return [Near((each.payload or {})["passage"], each.score) for each in found.points]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _create(self, name: str, dimension: int) -> None:
        """Make the collection, unless somebody else has just done so."""
        with suppress(UnexpectedResponse):  # the call that follows tells what is really wrong
            await self._client.create_collection(name, q.VectorParams(size=dimension, distance=q.Distance.COSINE))
            await self._client.create_payload_index(name, "labels", q.PayloadSchemaType.KEYWORD)


def _point(passage_id: str) -> str:
    return str(uuid.UUID(bytes=hashlib.sha256(passage_id.encode()).digest()[:16]))


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    """Qdrant's failures become Unavailable; what it says may hold addresses, and stays in the error's cause."""
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code == 404:
            raise _Missing from error
        raise Unavailable(f"Qdrant answered with status {error.status_code}") from error
    except (ResponseHandlingException, ApiException, OSError) as error:
        raise Unavailable("Qdrant is out of reach") from error
    except ValueError as error:  # how the client says it in process
        if "not found" in str(error):
            raise _Missing from error
        raise
