"""`ChromaIndex`: a Chroma collection for each of ours, by Chroma's own client in worker threads.

Source: https://docs.trychroma.com. Its metadata is flat, so a label is a key whose value is true.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import chromadb
from chromadb.errors import ChromaError, NotFoundError

from headgate.core.faults import Unavailable
from headgate.core.knowledge import Near, Scope, Vector
from headgate.rag.indexes.labels import batches, choices, labels_of, name_of

TIMEOUT = 10.0
"""Seconds of one call."""
BATCH = 200
"""Vectors of one call."""
AT_ONCE = 4
"""Threads of its own: calls that hang take none from anybody else."""

T = TypeVar("T")


class ChromaIndex:
    """A `VectorIndex` in Chroma; `opened` makes the client when it is first wanted, which asks the server."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._client: Any = None
        self._opening = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, "chroma")

    @classmethod
    def at(cls, url: str, api_key: str = "") -> ChromaIndex:
        """An index at the address of a Chroma server."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 8000)
        headers = {"x-chroma-token": api_key} if api_key else {}

        def opened() -> Any:
            settings = chromadb.Settings(anonymized_telemetry=False)
            client = chromadb.HttpClient(parts.hostname or "", port, secure, headers, settings)
            client._server._session.timeout = TIMEOUT  # noqa: SLF001 - it waits for ever, and cannot be told otherwise
            return client

        return cls(opened)

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Add vectors. Raises Unavailable."""
        for some in batches(vectors, BATCH):
            await self._asked(partial(_put, name=name_of(scope), vectors=some))

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Forget passages. Raises Unavailable."""
        for some in batches(passage_ids, BATCH):
            await self._asked(partial(_remove, name=name_of(scope), ids=list(some)))

    async def drop(self, scope: Scope) -> None:
        """Forget the collection. Raises Unavailable."""
        await self._asked(lambda client: client.delete_collection(name_of(scope)))

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages. Raises Unavailable."""
        clauses = [_all("$or", [{label: True} for label in labels]) for labels in choices(where)]
        ask = {"query_embeddings": [list(vector)], "n_results": k, "include": ["distances"]}
        if clauses:
            ask["where"] = _all("$and", clauses)
        found = await self._asked(lambda client: client.get_collection(name_of(scope), None).query(**ask))
        if found is None:
            return ()
        return [Near(id_, 1.0 - far) for id_, far in zip(found["ids"][0], found["distances"][0], strict=True)]

    async def aclose(self) -> None:
        """Wait for no call any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _asked(self, ask: Callable[[Any], T]) -> T | None:
        """What Chroma answers; None where it has no such collection."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, ask)
        except NotFoundError:
            return None
        except TimeoutError as error:
            raise Unavailable("Chroma does not answer") from error

    def _answer(self, ask: Callable[[Any], T]) -> T:
        try:
            with self._opening:
                if self._client is None:
                    self._client = self._opened()
            return ask(self._client)
        except NotFoundError:
            raise
        except ChromaError as error:
            raise Unavailable(f"Chroma refused a call: {error.name()}") from error
        except Exception as error:  # its clients raise what their transports do, and ValueError for no connection
            raise Unavailable("Chroma is out of reach") from error


def _put(client: Any, name: str, vectors: Sequence[Vector]) -> None:
    how = {"hnsw": {"space": "cosine"}}
    client.get_or_create_collection(name, configuration=how, embedding_function=None).upsert(
        ids=[each.passage_id for each in vectors],
        embeddings=[list(each.values) for each in vectors],
        metadatas=[{"document": each.document_id, **dict.fromkeys(labels_of(each.metadata), True)} for each in vectors],
    )


def _remove(client: Any, name: str, ids: list[str]) -> None:
    client.get_collection(name, None).delete(ids=ids)


def _all(operator: str, clauses: list[dict[str, Any]]) -> dict[str, Any]:
    return clauses[0] if len(clauses) == 1 else {operator: clauses}
