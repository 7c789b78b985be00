"""Knowledge: documents, their passages, and what a search finds, in no index's words."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Mode = Literal["hybrid", "lexical", "dense"]
ScoreKind = Literal["cosine", "coverage"]


class Scope(Struct, frozen=True):
    """Whose collection: part of every question to an index, and never taken from a request's body."""

    tenant: str
    collection: str


class Passage(Struct, frozen=True, kw_only=True):
    """A piece of a document: `text` is what stands between its characters `start` and `end`.

    `path` are the headings above it, outermost first; `metadata` is the document's own.
    """

    id: str
    document_id: str
    title: str
    text: str
    start: int
    end: int
    path: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}


class Vector(Struct, frozen=True, kw_only=True):
    """A passage as an index of vectors knows it; `values` have length 1. The metadata is there to filter by."""

    passage_id: str
    document_id: str
    values: tuple[float, ...]
    metadata: dict[str, Any] = {}


class Near(Struct, frozen=True):
    """A passage that an index of vectors found, with the cosine of the angle between it and the question."""

    passage_id: str
    cosine: float


class Scores(Struct, frozen=True, kw_only=True):
    """How each leg of a search rated a passage; None where the leg did not find it. They order, and mean no more."""

    lexical: float | None = None
    dense: float | None = None
    fused: float | None = None


class Found(Struct, frozen=True, kw_only=True):
    """A passage that a search found. `similarity` is calibrated, from 0 to 1, so that people can set a threshold.

    `kind` says what it is: the cosine of two vectors, or how much of the question's words, weighted by their rarity,
    the passage covers.
    """

    passage: Passage
    collection: str
    similarity: float
    kind: ScoreKind
    scores: Scores = Scores()


class Search(Struct, frozen=True, kw_only=True):
    """What someone looks for. `filter` maps fields of the metadata to a value, or to a list of which one must fit."""

    text: str
    collections: tuple[str, ...]
    k: int = 10
    mode: Mode = "hybrid"
    filter: dict[str, Any] = {}
    min_similarity: float = 0.0
