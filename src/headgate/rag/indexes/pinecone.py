"""`PineconeIndex`: a namespace for each collection, in one Pinecone index that is there already, with metric cosine.

Source: https://docs.pinecone.io/reference/api (data plane). An index has one dimension, so all collections in it have
the same model. What was written is found a moment later only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from headgate.core.faults import Unavailable
from headgate.core.knowledge import Near, Scope, Vector
from headgate.rag.indexes.labels import batches, choices, labels_of, name_of

VERSION = "2025-04"
"""Of Pinecone's API."""
TIMEOUT = 10.0
"""Seconds of one call."""
BATCH = 100
"""Vectors of one call: 2 MB at most, and 1,000 of them."""
MOST = 10_000
"""Results of one question."""


class PineconeIndex:
    """A `VectorIndex` in Pinecone; `url` is the index's own host."""

    def __init__(self, url: str, api_key: str) -> None:
        headers = {"Api-Key": api_key, "X-Pinecone-Api-Version": VERSION}
        self._client = httpx2.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False)

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Add vectors. Raises Unavailable."""
        for some in batches(vectors, BATCH):
            told = [
                {"id": each.passage_id, "values": each.values, "metadata": {"labels": labels_of(each.metadata)}}
                for each in some
            ]
            await self._asked("/vectors/upsert", scope, {"vectors": told})

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Forget passages. Raises Unavailable."""
        for some in batches(passage_ids, BATCH):
            await self._asked("/vectors/delete", scope, {"ids": list(some)})

    async def drop(self, scope: Scope) -> None:
        """Forget the collection. Raises Unavailable."""
        await self._asked("/vectors/delete", scope, {"deleteAll": True})

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages. Raises Unavailable."""
        ask: dict[str, Any] = {"vector": list(vector), "topK": min(k, MOST)}
        if where:
            ask["filter"] = {"$and": [{"labels": {"$in": labels}} for labels in choices(where)]}
        answer = await self._asked("/query", scope, ask)
        return [Near(each["id"], each["score"]) for each in answer.get("matches", ())]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _asked(self, path: str, scope: Scope, what: dict[str, Any]) -> dict[str, Any]:
        """What Pinecone answers: nothing where the namespace is not there."""
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._client.post(path, json={**what, "namespace": name_of(scope)})
            if answer.status_code == 404 and path != "/vectors/upsert":
                return {}
            if answer.status_code != 200:
                raise Unavailable(f"Pinecone answered with status {answer.status_code}")
            told = answer.json()
        except (TimeoutError, httpx2.HTTPError, ValueError) as error:
            raise Unavailable("Pinecone is out of reach") from error
        return told if isinstance(told, dict) else {}
