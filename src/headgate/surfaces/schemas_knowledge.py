"""What the documentation says of documents, collections and search, and what their requests must look like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from headgate.dialects.simple import MAX_CHARS

NAME = r"^\w[\w.\-]{0,99}$"
MOST_AT_ONCE = 1000
"""Documents of one request."""
MOST_METADATA = 64

Name = Annotated[str, Field(pattern=NAME, description="Letters, digits, `_`, `.` and `-`.", examples=["handbook"])]
DocumentId = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Plain = str | int | float | bool
Filter = Annotated[dict[str, Plain | Annotated[list[Plain], Field(min_length=1, max_length=100)]], Field(max_length=20)]
Status = Literal["queued", "processing", "ready", "failed"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewDocument(_Strict):
    """A document as text."""

    id: DocumentId | None = Field(
        None, description="Your own name of it, unique in its collection: what is sent again under it replaces it."
    )
    title: str = Field("", max_length=500)
    text: str = Field(
        min_length=1, validation_alias=AliasChoices("text", "content"), description="Markdown, unless `format` differs."
    )
    format: Literal["markdown", "text", "html"] = "markdown"
    metadata: dict[str, Any] = Field(
        {}, max_length=MOST_METADATA, description="Searches filter by its plain values, and by lists of them."
    )

    @field_validator("metadata")
    @classmethod
    def _short_names(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        if any(len(key) > 100 for key in metadata):
            raise ValueError("its names have at most 100 characters")
        return metadata


class OneDocument(NewDocument):
    """A document and where it belongs."""

    collection: Name = "default"


class DocumentBatch(_Strict):
    """Several documents of one collection."""

    collection: Name = "default"
    documents: list[NewDocument] = Field(min_length=1, max_length=MOST_AT_ONCE)


class NewCollection(_Strict):
    """A collection to be made."""

    name: Name


class SearchRequest(_Strict):
    """What to look for, and where."""

    query: str = Field(min_length=1, max_length=MAX_CHARS)
    collections: list[Name] | None = Field(None, max_length=50, description="Default: all of yours.")
    top_k: int = Field(10, ge=1, le=100)
    mode: Literal["hybrid", "lexical", "dense"] = Field(
        "hybrid", description="By words and vectors, or by one of them. Without an embedding model: by words."
    )
    filters: Filter = Field(
        {},
        validation_alias=AliasChoices("filters", "filter"),
        description="Metadata that must fit: a value, or a list of which one must.",
        examples=[{"lang": "en", "year": [2024, 2025]}],
    )
    min_score: float = Field(
        0.0,
        ge=0,
        le=1,
        validation_alias=AliasChoices("min_score", "min_similarity"),
        description="Least `similarity_score` of a result.",
    )

    @field_validator("filters", mode="before")
    @classmethod
    def _plain(cls, filters: Any) -> Any:
        """Says in one sentence what the types would say in one for each of them."""
        for name, value in filters.items() if isinstance(filters, dict) else ():
            if any(not isinstance(each, Plain) for each in (value if isinstance(value, list) else [value])):
                raise ValueError(f"{name[:100]} must be a plain value or a list of them")
        return filters


class DocumentState(BaseModel):
    """A document, and what became of it."""

    id: str = Field(examples=["guide.md"])
    collection: str = Field(examples=["handbook"])
    title: str
    status: Status
    error: str | None = Field(description="Why it failed, or why it waits.")
    chunks: int = Field(description="Passages that can be found; the last good version's, until a new one is ready.")
    content_hash: str
    media_type: str
    size: int = Field(description="Bytes that were sent.")
    metadata: dict[str, Any]
    created: float = Field(description="Epoch seconds.")
    updated: float
    text: str | None = Field(None, description="With `text=true`: what `start` and `end` of its passages count in.")


class DocumentResult(DocumentState):
    """A document as it was taken in."""

    result: Literal["created", "updated", "unchanged"]


class DocumentResults(BaseModel):
    """Several of them, in the order in which they were sent."""

    collection: str
    documents: list[DocumentResult]


class DocumentList(BaseModel):
    """A page of documents, by id."""

    documents: list[DocumentState]
    next: str | None = Field(description="What to send as `after` for the next page; null: this was the last.")


class CollectionState(BaseModel):
    """A collection, and what is in it."""

    name: str = Field(examples=["handbook"])
    embedder: str | None = Field(description="The model that its vectors are of.")
    dimension: int | None
    documents: int
    chunks: int
    size: int = Field(description="Bytes of its documents.")
    unfinished: int = Field(description="Documents that are queued or being read.")
    failed: int
    created: float


class CollectionList(BaseModel):
    """Your collections."""

    collections: list[CollectionState]


class Deleted(BaseModel):
    """What is gone."""

    id: str
    deleted: Literal[True]


class LegScores(BaseModel):
    """What each leg of the search said; they order results and mean no more."""

    lexical: float | None
    dense: float | None
    fused: float | None


class SearchResult(BaseModel):
    """A passage."""

    document_id: str = Field(examples=["guide.md"])
    chunk_id: str
    collection: str
    title: str
    path: list[str] = Field(description="The headings above it, outermost first.")
    content: str
    content_preview: str = Field(description="Its beginning, on one line.")
    start: int = Field(description="Its first character in the document's text.")
    end: int = Field(description="The character after its last.")
    similarity_score: float = Field(description="From 0 to 1, made to be compared with a threshold.")
    score_kind: Literal["cosine", "coverage"] = Field(
        description="The cosine of question and passage, or how much of the question's words, by rarity, it has."
    )
    scores: LegScores
    metadata: dict[str, Any]


class SearchResults(BaseModel):
    """What was found, best first."""

    results: list[SearchResult]
    mode: Literal["hybrid", "lexical", "dense"] = Field(description="How it was searched.")
    latency_ms: float
    request_id: str
