"""Searching: words and vectors at once, in several collections at once.

Within a collection the two legs are fused by a convex combination of their scores, each divided by its best: that
orders well, but means nothing by itself. So what is told, and merged across collections, is a similarity that is
calibrated: the cosine, or without vectors how much of the question a passage covers. These two do not compare:
where both are found, the collections take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, zip_longest

from msgspec import Struct

from headgate.core.faults import InvalidField
from headgate.core.knowledge import (
    Collection,
    Found,
    Hit,
    Mode,
    Near,
    Origin,
    Results,
    Scope,
    ScoreKind,
    Scores,
    Search,
)
from headgate.core.principal import Principal
from headgate.core.seams import Shelf, VectorIndex
from headgate.rag.embedder import Embeds, Values
from headgate.rag.words import wanted

DEPTH = 200
"""Passages that each leg brings to be fused, unless more results are wanted."""
SHARE = 0.5
"""The vectors' share of a fused score."""
NOBODY = Origin()
MOST_COLLECTIONS = 50
"""Collections of one search."""


class Searcher:
    """Finds passages in a tenant's collections."""

    def __init__(self, shelf: Shelf, index: VectorIndex, embedder: Embeds | None) -> None:
        self._shelf = shelf
        self._index = index
        self._embedder = embedder

    async def search(self, who: Principal, wanted: Search, *, owner: str = "", origin: Origin = NOBODY) -> Results:
        """What fits best, best first. `owner` is the tenant whose collections they are, if not the caller's own.

        Raises NotFound for a collection that is not there, InvalidField for a search that a collection cannot do, and
        the Faults of the embedding model.
        """
        collections = await self._chosen(owner or who.tenant, wanted.collections)
        dense = [each for each in collections if each.model and wanted.mode != "lexical"]
        vector = await self._vector(who, wanted, collections, dense, origin)
        answers = await asyncio.gather(
            *(self._one(Scope(owner or who.tenant, each.name), each, wanted, vector) for each in collections)
        )
        near = [[each for each in answer if each.similarity >= wanted.min_similarity] for answer in answers]
        found = near[0] if len(near) == 1 else merged(near)
        mode: Mode = wanted.mode if dense else "lexical"
        return Results(found=tuple(found[: wanted.k]), mode=mode)

    async def collections(self, who: Principal) -> list[Collection]:
        """The caller's collections, by name."""
        return await asyncio.to_thread(self._shelf.collections, who.tenant)

    async def _chosen(self, tenant: str, names: Sequence[str]) -> list[Collection]:
        if len(names) > MOST_COLLECTIONS:
            raise InvalidField(f"at most {MOST_COLLECTIONS} collections are searched at once", field="collections")
        if not names:
            every = await asyncio.to_thread(self._shelf.collections, tenant)
            return every[:MOST_COLLECTIONS]
        return [await asyncio.to_thread(self._shelf.collection, Scope(tenant, name)) for name in dict.fromkeys(names)]

    async def _vector(
        self,
        who: Principal,
        wanted: Search,
        collections: Sequence[Collection],
        dense: Sequence[Collection],
        origin: Origin,
    ) -> Values:
        """The question as a vector, where a collection has vectors to compare it with."""
        if wanted.mode == "dense":
            for each in collections:
                if not each.model:
                    what = f"the collection {each.name!r} has no vectors: it can be searched lexically"
                    raise InvalidField(what, field="mode")
        if not dense:
            return ()
        ours = self._embedder.model if self._embedder else ""
        for each in dense:
            if each.model != ours:
                what = f"the collection {each.name!r} has vectors of {each.model}, questions are asked with "
                what += f"{ours or 'no model'}: re-embed it, or search it lexically"
                raise InvalidField(what, field="collections")
        assert self._embedder is not None  # noqa: S101 - it has a model's name
        vector = (await self._embedder.embed(who, [wanted.text], "query", origin))[0]
        for each in dense:
            if each.dimension and each.dimension != len(vector):
                what = f"the collection {each.name!r} has vectors of {each.dimension} numbers, {ours} makes "
                raise InvalidField(what + f"{len(vector)}: re-embed it, or search it lexically", field="collections")
        return vector

    async def _one(self, scope: Scope, collection: Collection, search: Search, vector: Values) -> list[Found]:
        """What one collection has."""
        depth = max(DEPTH, search.k)
        words = [] if search.mode == "dense" else wanted(search.text)
        near_by = bool(collection.model) and search.mode != "lexical"
        hits, near = await asyncio.gather(
            self._hits(scope, words, depth, search),
            self._near(scope, vector if near_by else (), depth, search),
        )
        best = fused(hits, near)[: search.k]
        told = partial(self._told, scope, best, words, vector if near_by else ())
        return await asyncio.to_thread(told)

    async def _hits(self, scope: Scope, words: Sequence[str], depth: int, search: Search) -> Sequence[Hit]:
        return await asyncio.to_thread(self._shelf.lexical, scope, words, depth, search.filter) if words else ()

    async def _near(self, scope: Scope, vector: Values, depth: int, search: Search) -> Sequence[Near]:
        return await self._index.nearest(scope, vector, depth, search.filter) if vector else ()

    def _told(self, scope: Scope, best: Sequence[Rated], words: Sequence[str], vector: Values) -> list[Found]:
        """The passages themselves, with their calibrated similarity; one that has gone meanwhile is left out."""
        ids = [each.passage_id for each in best]
        passages = self._shelf.passages(scope, ids)
        kind: ScoreKind = "cosine" if vector else "coverage"
        similar = self._cosines(scope, best, vector) if vector else self._shelf.coverage(scope, words, ids)
        return [
            Found(
                passage=passages[each.passage_id],
                collection=scope.collection,
                similarity=min(1.0, max(0.0, similar.get(each.passage_id, 0.0))),
                kind=kind,
                scores=Scores(lexical=each.lexical, dense=each.dense, fused=each.fused),
            )
            for each in best
            if each.passage_id in passages
        ]

    def _cosines(self, scope: Scope, best: Sequence[Rated], vector: Values) -> Mapping[str, float]:
        """The cosine of each, also of those that only the words found."""
        cosines = {each.passage_id: each.dense for each in best if each.dense is not None}
        missing = [each.passage_id for each in best if each.dense is None]
        for passage_id, values in self._shelf.vectors(scope, missing).items() if missing else ():
            cosines[passage_id] = sum(a * b for a, b in zip(values, vector, strict=True))
        return cosines


def merged(answers: Sequence[Sequence[Found]]) -> list[Found]:
    """The answers of several collections in one order: by similarity, or where its kinds differ, by turns."""
    if len({each.kind for answer in answers for each in answer}) > 1:
        return [each for turn in zip_longest(*answers) for each in turn if each is not None]
    return sorted(chain(*answers), key=lambda each: -each.similarity)


class Rated(Struct, frozen=True):
    """A passage with its scores."""

    passage_id: str
    lexical: float | None
    dense: float | None
    fused: float


def fused(hits: Sequence[Hit], near: Sequence[Near]) -> list[Rated]:
    """Both legs in one order, best first; a leg that found nothing has no say."""
    words = {hit.passage_id: hit.score for hit in hits}
    vectors = {each.passage_id: each.cosine for each in near}
    share = SHARE if words and vectors else float(bool(vectors))
    most = max(words.values(), default=0.0) or 1.0
    nearest = max(vectors.values(), default=0.0) or 1.0

    def together(passage_id: str) -> float:
        lexical, dense = words.get(passage_id, 0.0) / most, vectors.get(passage_id, 0.0) / nearest
        return (1 - share) * lexical + share * dense

    rated = [Rated(each, words.get(each), vectors.get(each), together(each)) for each in {**words, **vectors}]
    return sorted(rated, key=lambda each: (-each.fused, each.passage_id))
