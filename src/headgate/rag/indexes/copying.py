"""Filling an index anew from the vectors that the shelf keeps: no model is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from headgate.core.knowledge import Document, Scope, Vector
from headgate.core.seams import Shelf, VectorIndex

PAGE = 50
"""Documents that are read at a time."""


async def copied(shelf: Shelf, index: VectorIndex, scope: Scope) -> AsyncIterator[int]:
    """Empty the collection in the index and fill it; after each page, how many passages it held.

    Raises NotFound, Unavailable; a second attempt begins again.
    """
    await index.drop(scope)
    after = ""
    while page := await asyncio.to_thread(shelf.documents, scope, None, after, PAGE):
        vectors = await asyncio.to_thread(_vectors, shelf, scope, page)
        if vectors:
            await index.put(scope, vectors)
        yield sum(document.chunks for document in page)
        after = page[-1].id


def _vectors(shelf: Shelf, scope: Scope, documents: Sequence[Document]) -> list[Vector]:
    found = []
    for document in documents:
        ids = [piece.id for piece in shelf.pieces(scope, document.id)]
        for id_, values in shelf.vectors(scope, ids).items():
            found.append(Vector(passage_id=id_, document_id=document.id, values=values, metadata=document.metadata))
    return found
