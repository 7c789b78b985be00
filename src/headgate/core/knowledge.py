"""Knowledge: collections of documents, their passages, and what a search finds, in no index's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from headgate.core.entry import Entry
from headgate.core.principal import Principal

Mode = Literal["hybrid", "lexical", "dense"]
ScoreKind = Literal["cosine", "coverage"]
State = Literal["queued", "processing", "ready", "failed"]
Outcome = Literal["created", "updated", "unchanged"]


class Scope(Struct, frozen=True):
    """Whose collection: part of every question to a shelf or an index, and never taken from a request's body."""

    tenant: str
    collection: str


class Room(Struct, frozen=True):
    """How much a tenant may keep, in all its collections: documents and their bytes. None: any number."""

    documents: int | None = None
    size: int | None = None


def _nobody(_: Entry) -> None:
    """Nobody asks what it costs."""


class Origin(Struct, frozen=True):
    """Which request something is done for: the ledger's words for it. `billed` is told of each row that it makes."""

    request_id: str = ""
    address: str = ""
    surface: str = ""
    billed: Callable[[Entry], None] = _nobody


class Collection(Struct, frozen=True, kw_only=True):
    """A collection and what is in it; `size` are the bytes of its documents.

    Its vectors are of one `model` and of `dimension` numbers each; a collection without a model has none.
    """

    name: str
    model: str = ""
    dimension: int = 0
    documents: int = 0
    passages: int = 0
    size: int = 0
    unfinished: int = 0
    failed: int = 0
    created: float = 0.0


class Draft(Struct, frozen=True, kw_only=True):
    """A document as someone sends it. `id` is the caller's own name of it; `body` are its bytes, of the type `media`.

    `digest` tells whether anything has changed: it covers everything that is here.
    """

    id: str
    title: str
    body: bytes
    media: str
    digest: str
    metadata: dict[str, Any] = {}


class Document(Struct, frozen=True, kw_only=True):
    """A document as it is kept; `size` are the bytes that were sent, `chunks` how many passages are found."""

    id: str
    title: str
    state: State
    error: str = ""
    chunks: int = 0
    content_hash: str = ""
    media: str = ""
    size: int = 0
    metadata: dict[str, Any] = {}
    created: float = 0.0
    updated: float = 0.0


class Kept(Struct, frozen=True):
    """What became of a draft."""

    document: Document
    result: Outcome


class Job(Struct, frozen=True, kw_only=True):
    """A document that waits for its passages, leased to one worker. `who` sent it, and pays for its vectors.

    `number` is the shelf's own name of the document, `version` counts what was sent under its id, and `token` is the
    lease's: what is written with another one is too late. `tries` counts the leases that it had.
    """

    scope: Scope
    number: int
    version: int
    token: str
    draft: Draft
    who: Principal
    tries: int = 1


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


class Piece(Struct, frozen=True, kw_only=True):
    """A passage as it goes to the shelf. `words` are parts of identifiers, to be found besides the text's own words.

    `digest` covers what its vector is made of: a passage with the same one has the same vector. `values` have length 1
    and are empty where there is no vector.
    """

    id: str
    text: str
    start: int
    end: int
    digest: str
    path: tuple[str, ...] = ()
    words: str = ""
    values: tuple[float, ...] = ()


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


class Hit(Struct, frozen=True):
    """A passage that has some of the words; a higher `score` is better, and means nothing outside its collection."""

    passage_id: str
    score: float


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
    """What someone looks for. `filter` maps fields of the metadata to a value, or to a list of which one must fit.

    No collections means all that the caller has.
    """

    text: str
    collections: tuple[str, ...] = ()
    k: int = 10
    mode: Mode = "hybrid"
    filter: dict[str, Any] = {}
    min_similarity: float = 0.0


class Results(Struct, frozen=True, kw_only=True):
    """What a search found, best first; `mode` says how it searched, where no collection had vectors lexically."""

    found: tuple[Found, ...]
    mode: Mode
