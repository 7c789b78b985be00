"""The shapes of OpenAI's vector stores, as far as collections have them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from headgate.dialects.openai_file_search import MOST_RESULTS
from headgate.dialects.simple import MAX_CHARS
from headgate.surfaces.schemas import Count, Strict
from headgate.surfaces.schemas_openai import Loose

Query = Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]


class StoreSearch(Loose):
    """A search of a vector store."""

    query: Query | Annotated[list[Query], Field(min_length=1, max_length=8)] = Field(
        description="What to look for, or several things."
    )
    max_num_results: int | None = Field(None, ge=1, le=MOST_RESULTS, description="Most results; default: 10.")
    filters: dict[str, Any] | None = Field(None, description="By attributes: `eq` and `in`, joined by `and` and `or`.")
    ranking_options: dict[str, Any] | None = Field(None, description="`score_threshold` is the lowest score, 0 to 1.")
    rewrite_query: bool | None = Field(None, description="Accepted, and without effect.")


class Content(Strict):
    """A passage's words."""

    type: Literal["text"]
    text: str


class SearchResult(Strict):
    """A passage that was found."""

    file_id: str = Field(description="The document's id.")
    filename: str = Field(description="The document's file; the title of one that is none.")
    score: float = Field(ge=0, le=1)
    attributes: dict[str, str | float | bool] = Field(description="The document's metadata.")
    content: list[Content]


class SearchPage(Strict):
    """What a search found."""

    object: Literal["vector_store.search_results.page"]
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool
    next_page: str | None


class FileCounts(Strict):
    """Documents by what became of them."""

    in_progress: Count
    completed: Count
    failed: Count
    cancelled: Count
    total: Count


class VectorStore(Strict):
    """A collection, as OpenAI's clients know one."""

    id: str = Field(description="The collection's name.")
    object: Literal["vector_store"]
    name: str
    created_at: int
    last_active_at: int | None
    status: Literal["completed", "in_progress"]
    file_counts: FileCounts
    usage_bytes: Count
    metadata: dict[str, str]


class VectorStoreList(Strict):
    """The caller's collections."""

    object: Literal["list"]
    data: list[VectorStore]
    first_id: str | None
    last_id: str | None
    has_more: bool
